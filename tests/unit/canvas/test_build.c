/* SPDX-License-Identifier: BSD-3-Clause */
/* Building: the operator |, callbacks, stamps, clones. */
#include "fixture.h"

static struct cel_sig *chain_of(struct fixture *f, struct cel_sig *p, struct cel_sig *q)
{
    struct cel_sig *tasks[] = {p, q};

    return cel_sig_chain(&f->a, tasks, 2);
}

static struct cel_sig *group_of(struct fixture *f, const char *p, const char *q)
{
    struct cel_sig *tasks[] = {task(f, p, "[]"), task(f, q, "[]")};

    return cel_sig_group(&f->a, tasks, 2);
}

static const char *type_of(const struct cel_sig *sig)
{
    return cel_sig_type(sig).data;
}

static void a_group_in_front_of_a_task_becomes_a_chord(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *upgraded = chain_of(f, group_of(f, "a", "b"), task(f, "c", "[]"));

    assert_string_equal(type_of(upgraded), "chord");
    assert_string_equal(type_of(chain_of(f, task(f, "x", "[]"), group_of(f, "a", "b"))),
                        "chain");
    assert_string_equal(
        type_of(chain_of(f, chain_of(f, task(f, "x", "[]"), group_of(f, "a", "b")),
                         task(f, "c", "[]"))),
        "chain");
}

static void a_chain_of_one_group_is_that_group(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *group = group_of(f, "a", "b");

    assert_ptr_equal(cel_sig_chain(&f->a, &group, 1), group);
}

static void an_equal_callback_is_linked_once(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = task(f, "a", "[]");

    assert_int_equal(cel_sig_link(&f->a, sig, task(f, "cb", "[1]")), CELERY_OK);
    assert_int_equal(cel_sig_link(&f->a, sig, task(f, "cb", "[1]")), CELERY_OK);
    assert_int_equal(cel_sig_link(&f->a, sig, task(f, "cb", "[2]")), CELERY_OK);
    const char *doc = doc_of(f, sig);
    const struct cel_node *options = cel_node_get(json(f, doc), CEL_SLICE("options"));
    assert_int_equal(cel_node_get(options, CEL_SLICE("link"))->size, 2);
}

static void a_callback_of_a_group_is_its_first_tasks(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *group = group_of(f, "a", "b");

    assert_int_equal(cel_sig_link(&f->a, group, task(f, "cb", "[]")), CELERY_OK);
    assert_non_null(strstr(doc_of(f, group),
                           "\"options\": {\"link\": [{\"task\": \"cb\", \"args\": [], "
                           "\"kwargs\": {}, \"options\": {}, \"subtask_type\": null, "
                           "\"immutable\": true}]}"));
    assert_int_equal(
        cel_sig_link(&f->a, cel_sig_group(&f->a, NULL, 0), task(f, "cb", "[]")),
        CELERY_EINVAL);
}

static void a_clone_has_arguments_in_front_and_options_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = task(f, "a", "[2]"), *copy;

    copy = cel_sig_clone(&f->a, sig, json(f, "[1]"), json(f, "{\"k\": 3}"));
    cel_sig_set_option(&f->a, copy, "queue", json(f, "\"q\""));
    assert_string_equal(doc_of(f, copy),
                        "{\"task\": \"a\", \"args\": [1, 2], \"kwargs\": {\"k\": 3}, "
                        "\"options\": {\"queue\": \"q\"}, \"subtask_type\": null, "
                        "\"immutable\": false}");
    assert_null(cel_sig_option(sig, "queue"));
    assert_true(cel_slice_is(cel_node_text(cel_sig_option(copy, "queue")), "q"));
}

static void an_immutable_one_takes_no_arguments(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = task(f, "a", "[2]");

    cel_sig_set_immutable(sig, true);
    assert_non_null(strstr(doc_of(f, cel_sig_clone(&f->a, sig, json(f, "[1]"), NULL)),
                           "\"args\": [2]"));
}

static void stamps_go_to_tasks_and_callbacks_but_not_to_a_chords_body(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *body = task(f, "body", "[]");
    struct cel_sig *chord = cel_sig_chord(&f->a, group_of(f, "a", "b"), body);

    assert_int_equal(cel_sig_stamp(&f->a, chord, json(f, "{\"s\": 1}")), CELERY_OK);
    const char *doc = doc_of(f, chord);
    assert_non_null(strstr(doc, "{\"s\": 1, \"stamped_headers\": [\"s\"]}"));
    assert_null(cel_sig_option(body, "s"));
    assert_int_equal(cel_sig_stamp(&f->a, chord, json(f, "[]")), CELERY_EINVAL);
}

static void a_map_knows_its_task(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *map =
        cel_sig_map(&f->a, task(f, "a", "[]"), json(f, "[1, 2]"), false, 0);

    assert_string_equal(type_of(map), "xmap");
    assert_non_null(strstr(doc_of(f, map), "\"it\": [1, 2]"));
    assert_null(cel_sig_map(&f->a, task(f, "a", "[]"), json(f, "{}"), false, 0));
}

static void freezing_gives_every_part_its_id(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *chain = chain_of(f, task(f, "a", "[]"), task(f, "b", "[]"));
    struct cel_node *result = NULL;

    assert_int_equal(cel_sig_freeze(&f->canvas, &f->a, chain, &result, &f->err),
                     CELERY_OK);
    assert_string_equal(text_of(f, result), "[[\"u1\", [[\"u2\", null], null]], null]");
    assert_string_equal(apply(f, chain), text_of(f, result));
}

static void nothing_is_built_without_memory(void **state)
{
    struct fixture *f = *state;
    struct cel_arena small;
    struct cel_sig *sig = task(f, "a", "[]");

    cel_arena_init(&small, 64);
    assert_null(cel_sig_chain(&small, &sig, 1));
    assert_null(cel_sig_group(&small, &sig, 1));
    assert_null(cel_sig_clone(&small, sig, NULL, NULL));
    cel_arena_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_in_front_of_a_task_becomes_a_chord,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chain_of_one_group_is_that_group, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_equal_callback_is_linked_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_callback_of_a_group_is_its_first_tasks, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_clone_has_arguments_in_front_and_options_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_immutable_one_takes_no_arguments, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            stamps_go_to_tasks_and_callbacks_but_not_to_a_chords_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_map_knows_its_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(freezing_gives_every_part_its_id, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_built_without_memory, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
