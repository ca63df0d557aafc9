/* SPDX-License-Identifier: BSD-3-Clause */
#include "app/app.h"
#include "canvas/continue.h"
#include "fixture.h"

#define TASK(name, options)                                                         \
    "{\"task\": \"" name "\", \"args\": [], \"kwargs\": {}, \"options\": {" options \
    "}, \"subtask_type\": null, \"immutable\": false}"
#define GROUP(tasks)                                                             \
    "{\"task\": \"celery.group\", \"args\": [], \"kwargs\": {\"tasks\": [" tasks \
    "]}, \"options\": {}, \"subtask_type\": \"group\", \"immutable\": false}"

static struct cel_task_call call_with(struct fixture *f, const char *embed)
{
    struct cel_task_call call;

    cel_task_call_init(&call);
    call.id = CEL_SLICE("me");
    call.task = CEL_SLICE("t");
    call.root_id = CEL_SLICE("root");
    call.args = json(f, "[1]");
    call.kwargs = json(f, "{}");
    call.embed = json(f, embed);
    return call;
}

static celery_status succeed(struct fixture *f, const char *embed, int priority)
{
    struct cel_task_call call = call_with(f, embed);

    return cel_continue_success(&f->canvas, &f->a, &call, json(f, "7"), priority,
                                &f->effects, &f->err);
}

/* The kinds of all effects: P, S(ize), G(roup saved), C(hild). */
static const char *kinds(struct fixture *f)
{
    static char text[64];
    struct cel_slice rest = cel_buf_slice(&f->effects.bytes);
    struct cel_effect e;
    size_t n = 0;

    while (cel_effects_next(&rest, &e, NULL) && n < sizeof text - 1) {
        text[n++] = "?PSG+C"[e.kind];
    }
    text[n] = '\0';
    return text;
}

static void assert_slice(struct cel_slice s, const char *want)
{
    char text[200];

    snprintf(text, sizeof text, "%.*s", (int)s.len, s.data ? s.data : "");
    assert_string_equal(text, want);
}

/* ---- success ---- */

static void test_a_plain_call_needs_nothing(void **state)
{
    struct fixture *f = *state;
    struct cel_task_call call = call_with(
        f, "{\"callbacks\": null, \"errbacks\": [], \"chain\": [], \"chord\": null}");

    assert_false(cel_continue_needed(&call));
    assert_false(cel_continue_is_part(&call));
    call.embed = NULL;
    assert_false(cel_continue_needed(&call));
    call.embed = json(f, "{\"chord\": " TASK("b", "") "}");
    assert_true(cel_continue_needed(&call));
    assert_false(cel_continue_is_part(&call)); /* of no group */
    call.group = CEL_SLICE("g");
    assert_true(cel_continue_is_part(&call));
}

static void test_the_last_of_the_chain_comes_next(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(succeed(f,
                             "{\"chain\": [" TASK("c", "\"task_id\": \"3\"") ", " TASK(
                                 "b", "\"task_id\": \"2\"") "]}",
                             -1),
                     CELERY_OK);
    assert_string_equal(kinds(f), "PC");
    struct cel_task_call call = call_at(f, 0);
    assert_slice(call.id, "2");
    assert_slice(call.task, "b");
    assert_slice(call.parent_id, "me");
    assert_slice(call.root_id, "root");
    assert_string_equal(text_of(f, call.args), "[7]");
    const struct cel_node *rest = cel_node_get(call.embed, CEL_SLICE("chain"));
    assert_int_equal(rest->size, 1);
    assert_slice(cel_node_text(cel_node_get(cel_node_first(rest), CEL_SLICE("task"))),
                 "c");
    assert_slice(effect_at(f, 1).json, "[[\"2\", null], null]");
}

static void test_one_callback_is_applied_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(succeed(f, "{\"callbacks\": [" TASK("a", "") "]}", -1), CELERY_OK);
    assert_string_equal(kinds(f), "PC");
    assert_slice(call_at(f, 0).group, "");
}

/* Groups one by one, the plain ones as one new group behind them. */
static void test_several_callbacks_are_a_group(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(succeed(f,
                             "{\"callbacks\": [" TASK("a", "") ", " GROUP(
                                 TASK("x", "")) ", " TASK("b", "") "]}",
                             -1),
                     CELERY_OK);
    assert_string_equal(kinds(f), "PCPPC");
    assert_slice(call_at(f, 0).task, "x");
    assert_slice(call_at(f, 2).task, "a");
    assert_slice(call_at(f, 3).task, "b");
    assert_true(call_at(f, 2).group.len > 0);
    assert_true(cel_slice_eq(call_at(f, 2).group, call_at(f, 3).group));
    assert_int_equal(call_at(f, 3).group_index, 1);
}

static void test_priority_is_inherited_when_asked_for(void **state)
{
    struct fixture *f = *state;

    for (int priority = -1; priority < 9; priority += 5) {
        struct cel_envelope *env = NULL;
        cel_effects_clear(&f->effects);
        assert_int_equal(succeed(f, "{\"chain\": [" TASK("b", "") "]}", priority),
                         CELERY_OK);
        assert_int_equal(cel_envelope_read(effect_at(f, 0).json, &env, NULL), CELERY_OK);
        assert_int_equal(env->priority, priority < 0 ? 0 : priority);
        cel_envelope_free(env);
    }
}

static void test_what_is_no_signature_is_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *embed, *path;
    } rows[] = {
        {"{\"callbacks\": 5}", "callbacks"},
        {"{\"callbacks\": [5]}", "callbacks[0]"},
        {"{\"callbacks\": [" TASK("a", "") ", {\"task\": null}]}", "callbacks[1]"},
        {"{\"chain\": \"x\"}", "chain"},
        {"{\"chain\": [" TASK("a", "") ", []]}", "chain[1]"},
        {"{\"chain\": [{\"task\": \"a\", \"args\": {}}]}", "chain[0].args"},
        {"{\"callbacks\": [" GROUP("{}") "]}", "callbacks[0].kwargs.tasks[0]"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        f->err = (celery_error){0};
        assert_int_equal(succeed(f, rows[i].embed, -1), CELERY_EMESSAGE);
        if (strncmp(f->err.message, rows[i].path, strlen(rows[i].path)) != 0) {
            fail_msg("%s: %s", rows[i].embed, f->err.message);
        }
    }
}

/* ---- failure ---- */

static const struct cel_continue_exc boom = {{"KeyError", sizeof "KeyError" - 1},
                                             {"builtins", sizeof "builtins" - 1},
                                             {"[\"boom\"]", sizeof "[\"boom\"]" - 1},
                                             {"Traceback", sizeof "Traceback" - 1}};

static struct cel_continue_copies fail_with(struct fixture *f, const char *embed)
{
    struct cel_task_call call = call_with(f, embed);
    struct cel_continue_copies copies = {0};

    f->err = (celery_error){0};
    assert_int_equal(cel_continue_failure(&f->canvas, &f->a, &call, &boom, &f->effects,
                                          &copies, &f->err),
                     CELERY_OK);
    return copies;
}

static void test_the_chain_fails_with_it(void **state)
{
    struct fixture *f = *state;
    struct cel_continue_copies copies = fail_with(
        f,
        "{\"chain\": [" TASK(
            "c",
            "\"task_id\": \"3\", \"group_id\": \"g\", "
            "\"group_index\": 4, \"chord\": " TASK(
                "body",
                "\"task_id\": \"b\"")) ", " TASK("n",
                                                 "") ", " TASK("b",
                                                               "\"task_id\": \"2\"") "]}");

    assert_int_equal(copies.n, 2); /* one had no id */
    assert_slice(copies.items[0].task_id, "3");
    assert_slice(copies.items[0].group_id, "g");
    assert_int_equal(copies.items[0].group_index, 4);
    assert_non_null(copies.items[0].chord);
    assert_slice(copies.items[1].task_id, "2");
    assert_int_equal(copies.items[1].group_index, -1);
    assert_null(copies.items[1].chord);
    assert_int_equal(f->effects.n, 0);
}

/* What waits behind a chord waits for its body (#9674). */
static void test_a_chord_in_the_chain_fails_at_its_body(void **state)
{
    struct fixture *f = *state;
    struct cel_continue_copies copies = fail_with(
        f, "{\"chain\": [{\"task\": \"celery.chord\", \"subtask_type\": \"chord\", "
           "\"kwargs\": {\"header\": [], \"body\": " TASK(
               "b", "\"task_id\": \"body\"") "}, "
                                             "\"options\": {\"task_id\": \"chord\"}}]}");

    assert_int_equal(copies.n, 2);
    assert_slice(copies.items[0].task_id, "chord");
    assert_slice(copies.items[1].task_id, "body");
}

static void test_old_errbacks_are_one_group_with_the_id(void **state)
{
    struct fixture *f = *state;

    fail_with(f, "{\"errbacks\": [" TASK("a", "") ", " TASK("b", "") "]}");
    assert_string_equal(kinds(f), "PP");
    assert_string_equal(text_of(f, call_at(f, 0).args), "[\"me\"]");
    assert_slice(call_at(f, 1).parent_id, "me");
    assert_slice(call_at(f, 1).root_id, "root");
    assert_true(cel_slice_eq(call_at(f, 0).group, call_at(f, 1).group));
}

/* Celery 5.7.0 would call it in place, with what cannot be encoded. */
static void test_a_chain_as_errback_is_sent(void **state)
{
    struct fixture *f = *state;

    fail_with(f, "{\"errbacks\": [{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": "
                 "{\"tasks\": [" TASK("a", "") ", " TASK(
                     "b", "") "]}, \"options\": {}, "
                              "\"subtask_type\": \"chain\", \"immutable\": false}]}");
    assert_string_equal(kinds(f), "P");
    assert_slice(call_at(f, 0).task, "a");
    assert_string_equal(text_of(f, call_at(f, 0).args), "[\"me\"]");
    assert_int_equal(cel_node_get(call_at(f, 0).embed, CEL_SLICE("chain"))->size, 1);
}

static celery_outcome no_task(celery_task *task)
{
    return 0;
}

static void test_new_errbacks_get_request_exception_traceback(void **state)
{
    struct fixture *f = *state;
    celery_app *app = celery_app_new("app");

    assert_int_equal(celery_app_task(app, "new", no_task), CELERY_OK);
    assert_int_equal(celery_app_task(app, "old", no_task), CELERY_OK);
    assert_int_equal(celery_app_task_set(app, "new", "new_style_errback", "true", NULL),
                     CELERY_OK);
    f->canvas.app = app;
    fail_with(f, "{\"errbacks\": [" TASK("new", "") ", " TASK("old", "") "]}");
    assert_string_equal(kinds(f), "PP");
    struct cel_task_call call = call_at(f, 0);
    assert_slice(call.task, "new");
    assert_string_equal(
        text_of(f, call.args),
        "[{\"id\": \"me\", \"task\": \"t\", \"args\": [1], \"kwargs\": {}, \"root_id\": "
        "\"root\", \"parent_id\": null, \"group\": null, \"retries\": 0}, {\"exc_type\": "
        "\"KeyError\", \"exc_message\": [\"boom\"], \"exc_module\": \"builtins\"}, "
        "\"Traceback\"]");
    assert_string_equal(text_of(f, call_at(f, 1).args), "[\"me\"]");
    f->canvas.app = NULL;
    celery_app_free(app);
}

/* Nothing may stop the others. */
static void test_what_cannot_be_read_is_skipped_and_named(void **state)
{
    struct fixture *f = *state;
    struct cel_continue_copies copies = fail_with(
        f, "{\"chain\": [5, " TASK("b", "\"task_id\": \"2\"") "], "
                                                              "\"errbacks\": [7, " TASK(
                                                                  "a", "") "]}");

    assert_int_equal(copies.n, 1);
    assert_string_equal(kinds(f), "P");
    assert_true(f->err.status < 0);
    copies = fail_with(f, "{\"chain\": 5, \"errbacks\": 6}");
    assert_int_equal(copies.n, 0);
    assert_int_equal(f->effects.n, 1);
    assert_true(f->err.status < 0);
}

/* ---- chords ---- */

static void test_the_body_gets_the_results_as_a_list(void **state)
{
    struct fixture *f = *state;
    struct cel_task_call last = call_with(f, "{}");

    assert_int_equal(cel_continue_chord(
                         &f->canvas, &f->a, &last,
                         json(f, TASK("b", "\"task_id\": \"body\", \"group_id\": \"g\"")),
                         json(f, "[1, [2, 3]]"), -1, &f->effects, &f->err),
                     CELERY_OK);
    struct cel_task_call call = call_at(f, 0);
    assert_slice(call.id, "body");
    assert_slice(call.group, "g");
    assert_slice(call.parent_id, "me");
    assert_slice(call.root_id, "root");
    assert_string_equal(text_of(f, call.args), "[[1, [2, 3]]]");
    f->err = (celery_error){0};
    assert_int_equal(cel_continue_chord(&f->canvas, &f->a, &last, json(f, "[]"),
                                        json(f, "[]"), -1, &f->effects, &f->err),
                     CELERY_EMESSAGE);
    assert_true(strncmp(f->err.message, "chord", 5) == 0);
}

/* Ids of its own stay (protocol of chords inside chains). */
static void test_the_body_keeps_its_own_parent(void **state)
{
    struct fixture *f = *state;
    struct cel_task_call last = call_with(f, "{}");

    assert_int_equal(
        cel_continue_chord(&f->canvas, &f->a, &last,
                           json(f, TASK("b", "\"parent_id\": \"p\", \"root_id\": \"r\"")),
                           json(f, "[]"), -1, &f->effects, &f->err),
        CELERY_OK);
    assert_slice(call_at(f, 0).parent_id, "p");
    assert_slice(call_at(f, 0).root_id, "r");
}

static const struct cel_continue_exc chord_error = {
    {"ChordError", sizeof "ChordError" - 1},
    {"celery.exceptions", sizeof "celery.exceptions" - 1},
    {"[\"x\"]", sizeof "[\"x\"]" - 1},
    {NULL, 0}};

static struct cel_continue_copies fail_chord(struct fixture *f, const char *body)
{
    struct cel_task_call last = call_with(f, "{}");
    struct cel_continue_copies copies = {0};

    f->err = (celery_error){0};
    assert_int_equal(cel_continue_chord_error(&f->canvas, &f->a, &last, json(f, body),
                                              &chord_error, &boom, &f->effects, &copies,
                                              &f->err),
                     CELERY_OK);
    return copies;
}

static void test_a_failed_chord_fails_its_body_and_what_waits(void **state)
{
    struct fixture *f = *state;
    struct cel_continue_copies copies = fail_chord(
        f,
        TASK("b", "\"task_id\": \"body\", \"link_error\": [" TASK(
                      "e", "") "], \"chain\": [" TASK("n", "\"task_id\": \"next\"") "]"));

    assert_int_equal(copies.n, 2);
    assert_slice(copies.items[0].task_id, "body");
    assert_false(copies.items[0].bare);
    assert_slice(copies.items[1].task_id, "next");
    assert_true(copies.items[1].bare);
    assert_string_equal(kinds(f), "PC"); /* a child of the last part */
    assert_slice(copies.items[0].children, "[[\"u1\", null], [[[\"u2\", null], null]]]");
    assert_string_equal(text_of(f, call_at(f, 0).args), "[\"body\"]");
    assert_slice(call_at(f, 0).parent_id, "body");
    copies = fail_chord(f, TASK("b", ""));
    assert_int_equal(copies.n, 1);
    assert_slice(copies.items[0].task_id, "u3"); /* one has to be made */
}

static void test_a_group_as_body_fails_member_by_member(void **state)
{
    struct fixture *f = *state;
    struct cel_continue_copies copies = fail_chord(
        f, GROUP(TASK("a", "\"task_id\": \"1\", \"link_error\": [" TASK(
                               "e", "") "]") ", " TASK("b", "\"task_id\": \"2\"")));

    assert_int_equal(copies.n, 3);
    assert_slice(copies.items[0].task_id, "1");
    assert_slice(copies.items[1].task_id, "2");
    for (size_t i = 0; i < 3; i++) {
        assert_true(copies.items[i].original);
        assert_int_equal(copies.items[i].bare, i == 2);
    }
    assert_string_equal(kinds(f), "PC");
    assert_string_equal(text_of(f, call_at(f, 0).args), "[\"1\"]");
}

static void test_a_body_that_is_none_is_named(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fail_chord(f, "5").n, 0);
    assert_true(f->err.status < 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_a_plain_call_needs_nothing),
        T(test_the_last_of_the_chain_comes_next),
        T(test_one_callback_is_applied_alone),
        T(test_several_callbacks_are_a_group),
        T(test_priority_is_inherited_when_asked_for),
        T(test_what_is_no_signature_is_named),
        T(test_the_chain_fails_with_it),
        T(test_a_chord_in_the_chain_fails_at_its_body),
        T(test_old_errbacks_are_one_group_with_the_id),
        T(test_a_chain_as_errback_is_sent),
        T(test_new_errbacks_get_request_exception_traceback),
        T(test_what_cannot_be_read_is_skipped_and_named),
        T(test_the_body_gets_the_results_as_a_list),
        T(test_the_body_keeps_its_own_parent),
        T(test_a_failed_chord_fails_its_body_and_what_waits),
        T(test_a_group_as_body_fails_member_by_member),
        T(test_a_body_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
