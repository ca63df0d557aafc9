/* SPDX-License-Identifier: BSD-3-Clause */
/* What is sent for each kind of signature; test_canvas_messages.py compares with Celery's. */
#include "fixture.h"

static const char *embed_of(struct fixture *f, size_t n, const char *name)
{
    struct cel_task_call call = call_at(f, n);

    return text_of(f, cel_node_get(call.embed, cel_slice_of(name)));
}

#define ASSERT_SLICE(slice, expected) assert_true(cel_slice_is((slice), (expected)))

static void a_task_is_one_message(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = task(f, "add", "[1, 2]");

    cel_sig_set_option(&f->a, sig, "queue", json(f, "\"fast\""));
    assert_string_equal(apply(f, sig), "[[\"u1\", null], null]");
    assert_int_equal(f->effects.n, 1);
    struct cel_task_call call = call_at(f, 0);
    ASSERT_SLICE(call.id, "u1");
    ASSERT_SLICE(call.task, "add");
    ASSERT_SLICE(call.root_id, "u1");
    ASSERT_SLICE(call.argsrepr, "(1, 2)");
    ASSERT_SLICE(effect_at(f, 0).queue, "fast");
    ASSERT_SLICE(effect_at(f, 0).routing_key, "fast");
}

static void arguments_are_shown_as_deep_as_is_asked_for(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *levels, *args, *kwargs;
    } cases[] = {
        {NULL, "([[[...]]],)", "{'k': [[[...]]]}"},
        {"1", "([...],)", "{'k': [...]}"},
        {"4", "([[[[...]]]],)", "{'k': [[[5]]]}"},
        {"0", "([[[[[1]]]]],)", "{'k': [[[5]]]}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_sig *sig =
            cel_sig_task(&f->a, CEL_SLICE("t"), json(f, "[[[[[[1]]]]]]"),
                         json(f, "{\"k\": [[[5]]]}"), json(f, "{}"), false);
        if (cases[i].levels) {
            assert_int_equal(cel_config_set(f->config, "task_repr_maxlevels",
                                            cases[i].levels, CEL_FROM_API, &f->err),
                             CELERY_OK);
        }
        apply(f, sig);
        struct cel_task_call call = call_at(f, i);
        if (!cel_slice_is(call.argsrepr, cases[i].args) ||
            !cel_slice_is(call.kwargsrepr, cases[i].kwargs)) {
            fail_msg("%zu: %.*s %.*s", i, (int)call.argsrepr.len, call.argsrepr.data,
                     (int)call.kwargsrepr.len, call.kwargsrepr.data);
        }
    }
}

static void a_group_is_sent_with_indices(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *tasks[] = {task(f, "a", "[]"), task(f, "b", "[]")};

    assert_string_equal(
        apply(f, cel_sig_group(&f->a, tasks, 2)),
        "[[\"u1\", null], [[[\"u2\", null], null], [[\"u3\", null], null]]]");
    assert_int_equal(f->effects.n, 2);
    struct cel_task_call call = call_at(f, 1);
    ASSERT_SLICE(call.group, "u1");
    assert_int_equal(call.group_index, 1);
}

static void a_chain_carries_the_rest_reversed(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *tasks[] = {task(f, "a", "[1]"), task(f, "b", "[2]"),
                               task(f, "c", "[3]")};

    assert_string_equal(apply(f, cel_sig_chain(&f->a, tasks, 3)),
                        "[[\"u1\", [[\"u2\", [[\"u3\", null], null]], null]], null]");
    assert_int_equal(f->effects.n, 1);
    ASSERT_SLICE(call_at(f, 0).id, "u3");
    struct cel_task_call call = call_at(f, 0);
    const struct cel_node *chain = cel_node_get(call.embed, CEL_SLICE("chain"));
    assert_int_equal(chain->size, 2);
    ASSERT_SLICE(cel_node_text(cel_node_get(chain->first, CEL_SLICE("task"))), "c");
}

static void a_chord_notes_its_size_before_its_last_part(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *tasks[] = {task(f, "a", "[1]"), task(f, "b", "[2]")};
    struct cel_sig *header = cel_sig_group(&f->a, tasks, 2);

    (void)apply(f, cel_sig_chord(&f->a, header, task(f, "sum", "[]")));
    assert_int_equal(f->effects.n, 3);
    struct cel_effect size = effect_at(f, 1);
    assert_int_equal(size.kind, CEL_EFFECT_CHORD_SIZE);
    assert_int_equal(size.number, 2);
    assert_true(cel_slice_eq(size.id, call_at(f, 0).group));
    assert_non_null(strstr(embed_of(f, 2, "chord"), "\"task\": \"sum\""));
}

static void without_counting_the_chord_is_unlocked_by_a_task(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *tasks[] = {task(f, "a", "[1]"), task(f, "b", "[2]")};
    struct cel_sig *header = cel_sig_group(&f->a, tasks, 2);

    f->canvas.backend_counts = false;
    (void)apply(f, cel_sig_chord(&f->a, header, task(f, "sum", "[]")));
    assert_int_equal(f->effects.n, 3);
    struct cel_task_call call = call_at(f, 0);
    ASSERT_SLICE(call.task, "celery.chord_unlock");
    assert_int_equal(call.ignore_result, CEL_YES);
    assert_int_equal(cel_node_get(call.kwargs, CEL_SLICE("result"))->size, 2);
}

static void a_running_task_is_parent_and_gets_children(void **state)
{
    struct fixture *f = *state;

    f->canvas.running_id = CEL_SLICE("me");
    f->canvas.running_root = CEL_SLICE("top");
    (void)apply(f, task(f, "a", "[]"));
    struct cel_task_call call = call_at(f, 0);
    ASSERT_SLICE(call.parent_id, "me");
    ASSERT_SLICE(call.root_id, "top");
    assert_int_equal(effect_at(f, 1).kind, CEL_EFFECT_CHILD);
    ASSERT_SLICE(effect_at(f, 1).json, "[[\"u1\", null], null]");
}

static void a_failure_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *tasks[] = {task(f, "a", "[]"), task(f, "b", "[]")};

    cel_sig_set_option(&f->a, tasks[1], "expires", json(f, "\"some day\""));
    assert_int_equal(cel_sig_apply(&f->canvas, &f->a, cel_sig_group(&f->a, tasks, 2),
                                   NULL, NULL, NULL, &f->effects, NULL, &f->err),
                     CELERY_EMESSAGE);
    assert_string_equal(f->err.message, "b: options.expires is no ISO 8601 time");
    assert_int_equal(f->effects.n, 0);
    assert_int_equal(f->effects.bytes.len, 0);
}

/* Upstream copies the body to each header task: with each level twice as much is sent. */
static void what_doubles_with_each_level_has_an_end(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = task(f, "a", "[]");

    for (int i = 0; i < 40; i++) {
        struct cel_sig *inner = task(f, "b", "[]");
        struct cel_sig *body =
            cel_sig_chord(&f->a, cel_sig_group(&f->a, &inner, 1), task(f, "c", "[]"));
        sig = cel_sig_chord(&f->a, cel_sig_group(&f->a, &sig, 1), body);
    }
    assert_int_equal(cel_sig_apply(&f->canvas, &f->a, sig, NULL, NULL, NULL, &f->effects,
                                   NULL, &f->err),
                     CELERY_ELIMIT);
    assert_int_equal(f->effects.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_task_is_one_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arguments_are_shown_as_deep_as_is_asked_for,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_is_sent_with_indices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chain_carries_the_rest_reversed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_chord_notes_its_size_before_its_last_part,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_counting_the_chord_is_unlocked_by_a_task,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_running_task_is_parent_and_gets_children,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_leaves_nothing_behind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_doubles_with_each_level_has_an_end, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
