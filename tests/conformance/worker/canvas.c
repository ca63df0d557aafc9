/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that send others, or put others in their own place. */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

/* What a call that made no signature, or could not send it, ends with. */
static celery_outcome no_signature(celery_task *task, const celery_error *err)
{
    return celery_task_fail(task, "ValueError", "%s", err->message);
}

static celery_outcome replace(celery_task *task, celery_sig *give_sig, celery_error *err)
{
    return give_sig ? celery_task_replace(task, give_sig) : no_signature(task, err);
}

/* sig(*args) with all positional arguments of this task. */
static celery_sig *with_own_args(celery_task *task, const char *name, celery_error *err)
{
    celery_sig *sig = celery_sig_new(name, err, NULL);
    json_t *args = json_array_get(celery_task_json(task, NULL), 0);

    celery_sig_set_args(sig, json_incref(args));
    return sig;
}

/* ---- sending ---- */

static bool sent(celery_task *task, celery_sig *give_sig, celery_error *err)
{
    bool done = give_sig && celery_task_send(task, give_sig, err);

    celery_sig_free(give_sig);
    return done;
}

static celery_outcome send_one(celery_task *task, celery_sig *give_sig, celery_error *err)
{
    return sent(task, give_sig, err) ? celery_task_return_none(task)
                                     : no_signature(task, err);
}

static celery_outcome chain_add(celery_task *task)
{
    celery_error err = {0};
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return send_one(task,
                    celery_chain(&err, celery_sig_new(SUITE "add", &err, "[II]", x, x),
                                 celery_sig_new(SUITE "add", &err, "[I]", y), NULL),
                    &err);
}

static celery_outcome chord_add(celery_task *task)
{
    celery_error err = {0};
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return send_one(task,
                    celery_chord(&err, celery_sig_new(SUITE "add", &err, "[II]", x, x),
                                 celery_sig_new(SUITE "add", &err, "[I]", y)),
                    &err);
}

/* Answers with the whole result of what it sent, as json.dumps(AsyncResult) has it. */
static celery_outcome build_chain_inside_task(celery_task *task)
{
    celery_error err = {0};
    celery_sig *sig;

    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    sig = celery_chain(&err, celery_sig_new(SUITE "add", &err, "[ii]", 1, 1),
                       celery_sig_new(SUITE "add", &err, "[i]", 2),
                       celery_group(&err, celery_sig_new(SUITE "add", &err, "[i]", 3),
                                    celery_sig_new(SUITE "add", &err, "[i]", 4), NULL),
                       celery_sig_new(SUITE "add", &err, "[i]", 5), NULL);
    return sent(task, sig, &err) ? celery_task_return_value(task, celery_task_sent(task))
                                 : no_signature(task, &err);
}

/* ---- replacing ---- */

static celery_outcome add_replaced(celery_task *task)
{
    celery_error err = {0};
    json_t *x, *y;

    if (celery_task_args(task, "x:j y:j", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return replace(task, celery_sig_new(SUITE "add", &err, "[OO]", x, y), &err);
}

static celery_outcome add_replaced_with_chain(celery_task *task)
{
    celery_error err = {0};
    json_t *x, *y;

    if (celery_task_args(task, "x:j y:j", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return replace(task,
                   celery_chain(&err, celery_sig_new(SUITE "add", &err, "[OO]", x, y),
                                celery_sig_new(SUITE "identity", &err, NULL), NULL),
                   &err);
}

static celery_outcome record_replaced_task_nesting(celery_task *task)
{
    celery_error err = {0};
    int64_t replacements, level = 0;
    json_t *given = NULL, *nesting;
    celery_sig *sig;

    if (celery_task_args(task, "replacements:I | nesting:j", &replacements, &given) < 0) {
        return CELERY_FAILED;
    }
    celery_value_int(celery_task_header(task, "replaced_task_nesting"), &level);
    nesting = json_is_array(given) ? json_copy(given) : json_array();
    json_array_append_new(nesting, json_integer(level));
    if (replacements == 0) {
        return celery_task_return(task, nesting);
    }
    sig = celery_sig_new(SUITE "record_replaced_task_nesting", &err, "[Io]",
                         replacements - 1, nesting);
    if (celery_task_reply_to(task)) {
        celery_sig_set_reply_to(sig, celery_task_reply_to(task));
    }
    return replace(task, sig, &err);
}

/* redis_echo.s(), or redis_echo.si(link_msg) when there is one. */
static celery_sig *echo_of(json_t *link_msg, celery_error *err)
{
    celery_sig *sig = celery_sig_new(SUITE "redis_echo", err, NULL);

    if (link_msg && !json_is_null(link_msg)) {
        celery_sig_set_args(sig, json_pack("[O]", link_msg));
        celery_sig_set_immutable(sig, true);
    }
    return sig;
}

static celery_outcome replace_with_chain(celery_task *task)
{
    celery_error err = {0};
    json_t *link_msg = NULL;
    celery_sig *c;

    if (celery_task_args(task, "* | link_msg:j", &link_msg) < 0) {
        return CELERY_FAILED;
    }
    c = celery_chain(&err, with_own_args(task, SUITE "identity", &err),
                     celery_sig_new(SUITE "identity", &err, NULL), NULL);
    celery_sig_link(c, echo_of(link_msg, &err));
    return replace(task, c, &err);
}

static celery_outcome replace_with_chain_which_raises(celery_task *task)
{
    celery_error err = {0};
    json_t *link_msg = NULL;
    celery_sig *c;

    if (celery_task_args(task, "* | link_msg:j", &link_msg) < 0) {
        return CELERY_FAILED;
    }
    c = celery_chain(&err, with_own_args(task, SUITE "identity", &err),
                     celery_sig_new(SUITE "raise_error", &err, NULL), NULL);
    celery_sig_link_error(c, echo_of(link_msg, &err));
    return replace(task, c, &err);
}

/* A chain without steps comes from elsewhere only: celery_chain() refuses to make one. */
static celery_outcome replace_with_empty_chain(celery_task *task)
{
    static const char empty[] =
        "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": []}, "
        "\"options\": {}, \"subtask_type\": \"chain\", \"immutable\": false}";
    celery_error err = {0};

    if (celery_task_args(task, "*") < 0) {
        return CELERY_FAILED;
    }
    return replace(task, celery_sig_loads(empty, sizeof empty - 1, &err), &err);
}

static celery_outcome replace_with_chain_which_contains_a_group(celery_task *task)
{
    celery_error err = {0};

    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    return replace(
        task,
        celery_chain(&err, celery_sig_new(SUITE "add", &err, "[ii]", 1, 2),
                     celery_group(&err, celery_sig_new(SUITE "add", &err, "[i]", 1),
                                  celery_sig_new(SUITE "add", &err, "[i]", 1), NULL),
                     NULL),
        &err);
}

/* group(add.s(num, val) for num in nums) */
static celery_sig *adders(json_t *nums, json_t *val, celery_error *err)
{
    size_t n = json_array_size(nums);
    celery_sig **parts = calloc(n + 1, sizeof *parts), *group;

    for (size_t i = 0; i < n; i++) {
        parts[i] = celery_sig_new(SUITE "add", err, "[OO]", json_array_get(nums, i), val);
    }
    group = celery_group_of(err, parts, n);
    free(parts);
    return group;
}

static celery_outcome add_to_all(celery_task *task)
{
    celery_error err = {0};
    json_t *nums, *val;

    if (celery_task_args(task, "nums:j val:j", &nums, &val) < 0) {
        return CELERY_FAILED;
    }
    return replace(task, adders(nums, val, &err), &err);
}

static celery_outcome fail_replaced(celery_task *task)
{
    celery_error err = {0};
    celery_sig *sig;

    if (celery_task_args(task, "*") < 0) {
        return CELERY_FAILED;
    }
    sig = with_own_args(task, SUITE "fail", &err);
    celery_sig_set_immutable(sig, true);
    return replace(task, sig, &err);
}

/* In A, then other, then this task again with state=True, in its own place. */
static celery_outcome second_order(celery_task *task, const char *in, const char *out,
                                   celery_sig *give_other)
{
    celery_error err = {0};
    json_t *state = NULL;
    celery_sig *again;

    if (celery_task_args(task, "| state:j", &state) < 0 ||
        !redis_push(task, "redis-echo", state && py_truth(state) ? out : in)) {
        celery_sig_free(give_other);
        return CELERY_FAILED;
    }
    if (state && py_truth(state)) {
        celery_sig_free(give_other);
        return celery_task_return_none(task);
    }
    again = celery_sig_new(celery_task_name(task), &err, NULL);
    celery_sig_set_kwargs(again, json_pack("{sb}", "state", true));
    celery_sig_set_immutable(again, true);
    return replace(task, celery_chain(&err, give_other, again, NULL), &err);
}

static celery_outcome second_order_replace1(celery_task *task)
{
    return second_order(task, "In A", "Out A",
                        celery_sig_new(SUITE "second_order_replace2", NULL, NULL));
}

static celery_outcome second_order_replace2(celery_task *task)
{
    return second_order(task, "In B", "Out B",
                        celery_sig_new(SUITE "redis_echo", NULL, "[s]", "In/Out C"));
}

/* StampedTaskOnReplace.on_replace() puts its stamp on the replacement. */
static celery_outcome replace_with_stamped_task(celery_task *task)
{
    celery_error err = {0};
    const celery_value *given = NULL;
    celery_sig *sig;

    if (celery_task_args(task, "| replace_with:v", &given) < 0) {
        return CELERY_FAILED;
    }
    if (celery_value_kind(given) == CELERY_KIND_NULL) {
        sig = celery_sig_new(SUITE "replaced_with_me", &err, NULL);
    } else {
        size_t len;
        char *text = celery_value_dumps(given, &len);

        sig = celery_sig_loads(text, len, &err);
        free(text);
    }
    celery_sig_set_stamp(sig, "StampOnReplace", json_string("This is the replaced task"));
    return replace(task, sig, &err);
}

/* ---- more parts for the chord that this task is part of ---- */

static bool added(celery_task *task, celery_sig *give_sig, celery_error *err)
{
    bool done = give_sig && celery_task_add_to_chord(task, give_sig, err);

    celery_sig_free(give_sig);
    return done;
}

static celery_outcome add_to_all_to_chord(celery_task *task)
{
    celery_error err = {0};
    json_t *nums, *val, *num;
    size_t i;

    if (celery_task_args(task, "nums:j val:j", &nums, &val) < 0) {
        return CELERY_FAILED;
    }
    json_array_foreach(nums, i, num)
    {
        if (!added(task, celery_sig_new(SUITE "add", &err, "[OO]", num, val), &err)) {
            return no_signature(task, &err);
        }
    }
    return celery_task_return_int(task, 0);
}

static celery_outcome add_chord_to_chord(celery_task *task)
{
    celery_error err = {0};
    json_t *nums, *val;
    celery_sig *sig;

    if (celery_task_args(task, "nums:j val:j", &nums, &val) < 0) {
        return CELERY_FAILED;
    }
    sig = celery_chain(&err, adders(nums, val, &err),
                       celery_sig_new(SUITE "tsum", &err, NULL), NULL);
    return added(task, sig, &err) ? celery_task_return_int(task, 0)
                                  : no_signature(task, &err);
}

static const struct suite_task tasks[] = {
    {"chain_add", chain_add, NULL},
    {"chord_add", chord_add, NULL},
    {"build_chain_inside_task", build_chain_inside_task, NULL},
    {"add_replaced", add_replaced, NULL},
    {"add_replaced_with_chain", add_replaced_with_chain, NULL},
    {"record_replaced_task_nesting", record_replaced_task_nesting, NULL},
    {"replace_with_chain", replace_with_chain, NULL},
    {"replace_with_chain_which_raises", replace_with_chain_which_raises, NULL},
    {"replace_with_empty_chain", replace_with_empty_chain, NULL},
    {"replace_with_chain_which_contains_a_group",
     replace_with_chain_which_contains_a_group, NULL},
    {"add_to_all", add_to_all, NULL},
    {"fail_replaced", fail_replaced, NULL},
    {"second_order_replace1", second_order_replace1, NULL},
    {"second_order_replace2", second_order_replace2, NULL},
    {"replace_with_stamped_task", replace_with_stamped_task, NULL},
    {"add_to_all_to_chord", add_to_all_to_chord, NULL},
    {"add_chord_to_chord", add_chord_to_chord, NULL},
};

void register_canvas(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
    register_signatures(app);
}
