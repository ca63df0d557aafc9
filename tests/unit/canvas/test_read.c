/* SPDX-License-Identifier: BSD-3-Clause */
/* Documents that are signatures, and those that are none. */
#include "fixture.h"

static const char *why_not(struct fixture *f, const char *text)
{
    struct cel_sig *sig = NULL;

    f->err = (celery_error){0};
    assert_int_equal(cel_canvas_read(&f->a, json(f, text), "callbacks[0]", &sig, &f->err),
                     CELERY_EMESSAGE);
    assert_null(sig);
    return f->err.message;
}

static void what_is_read_is_written_again(void **state)
{
    static const char text[] =
        "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [{\"task\": "
        "\"a\", \"args\": [1], \"kwargs\": {\"x\": null}, \"options\": {\"link\": "
        "[{\"task\": \"cb\"}], \"queue\": \"q\"}, \"subtask_type\": null, "
        "\"immutable\": true}]}, \"options\": {\"task_id\": \"t\"}, \"subtask_type\": "
        "\"chain\", \"immutable\": false}";
    struct fixture *f = *state;
    struct cel_sig *sig = NULL;

    assert_int_equal(cel_canvas_read(&f->a, json(f, text), "", &sig, &f->err), CELERY_OK);
    assert_true(cel_slice_is(cel_sig_type(sig), "chain"));
    assert_true(cel_slice_is(cel_sig_task_name(sig), "celery.chain"));
    assert_string_equal(doc_of(f, sig), text);
}

static void the_path_of_what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"3", "callbacks[0]: no signature"},
        {"{}", "callbacks[0].task: no text"},
        {"{\"task\": \"\"}", "callbacks[0].task: no text"},
        {"{\"task\": \"a\", \"args\": {}}", "callbacks[0].args: no list"},
        {"{\"task\": \"a\", \"kwargs\": []}", "callbacks[0].kwargs: no map"},
        {"{\"task\": \"a\", \"options\": 1}", "callbacks[0].options: no map"},
        {"{\"task\": \"a\", \"subtask_type\": \"ring\"}",
         "callbacks[0].subtask_type: an unknown canvas type"},
        {"{\"task\": \"a\", \"subtask_type\": 7}",
         "callbacks[0].subtask_type: an unknown canvas type"},
        {"{\"task\": \"a\", \"options\": {\"link\": [{\"task\": \"b\"}, 2]}}",
         "callbacks[0].options.link[1]: no signature"},
        {"{\"task\": \"a\", \"options\": {\"link_error\": \"x\"}}",
         "callbacks[0].options.link_error: no signature"},
        {"{\"task\": \"a\", \"options\": {\"chord\": {\"task\": 1}}}",
         "callbacks[0].options.chord.task: no text"},
        {"{\"task\": \"a\", \"options\": {\"task_id\": 5}}",
         "callbacks[0].options.task_id: no text"},
        {"{\"task\": \"a\", \"options\": {\"group_index\": \"1\"}}",
         "callbacks[0].options.group_index: no integer"},
        {"{\"task\": \"a\", \"options\": {\"stamped_headers\": [1]}}",
         "callbacks[0].options.stamped_headers: no list of texts"},
        {"{\"task\": \"c\", \"subtask_type\": \"chain\"}",
         "callbacks[0].kwargs.tasks: no list"},
        {"{\"task\": \"c\", \"subtask_type\": \"group\", \"kwargs\": {\"tasks\": {}}}",
         "callbacks[0].kwargs.tasks: no list"},
        {"{\"task\": \"c\", \"subtask_type\": \"chain\", \"kwargs\": {\"tasks\": "
         "[{\"task\": \"a\"}, null]}}",
         "callbacks[0].kwargs.tasks[1]: no signature"},
        {"{\"task\": \"c\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": 1}}",
         "callbacks[0].kwargs.header: no list"},
        {"{\"task\": \"c\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": "
         "[{\"task\": \"\"}], \"body\": {\"task\": \"b\"}}}",
         "callbacks[0].kwargs.header[0].task: no text"},
        {"{\"task\": \"c\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": [], "
         "\"body\": []}}",
         "callbacks[0].kwargs.body: no signature"},
        {"{\"task\": \"m\", \"subtask_type\": \"xmap\", \"kwargs\": {\"task\": \"a\"}}",
         "callbacks[0].kwargs.task: no signature"},
        {"{\"task\": \"m\", \"subtask_type\": \"xstarmap\", \"kwargs\": {\"task\": "
         "{\"task\": \"a\"}}}",
         "callbacks[0].kwargs.it: no list"},
        {"{\"task\": \"m\", \"subtask_type\": \"chunks\", \"kwargs\": {\"task\": "
         "{\"task\": \"a\"}, \"it\": [], \"n\": 0}}",
         "callbacks[0].kwargs.n: no size"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(why_not(f, cases[i].text), cases[i].why);
    }
}

/* n chains around a task. */
static const char *nested(struct fixture *f, size_t n)
{
    struct cel_buf out = {0};

    for (size_t i = 0; i < n; i++) {
        cel_buf_adds(&out, "{\"task\": \"c\", \"subtask_type\": \"chain\", \"kwargs\": "
                           "{\"tasks\": [");
    }
    cel_buf_adds(&out, "{\"task\": \"a\"}");
    for (size_t i = 0; i < n; i++) {
        cel_buf_adds(&out, "]}}");
    }
    const char *text = cel_arena_strndup(&f->a, out.data, out.len);
    cel_buf_fini(&out);
    return text;
}

static void depth_has_an_end(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = NULL;
    struct cel_node *doc = NULL;
    const struct cel_json_limits deep = {.depth = 4096};

    assert_int_equal(cel_canvas_read(&f->a, json(f, nested(f, 200)), "", &sig, &f->err),
                     CELERY_OK);
    assert_string_equal(apply(f, sig), "[[\"u1\", null], null]");
    assert_int_equal(
        cel_json_parse(&f->a, cel_slice_of(nested(f, 1000)), &deep, &doc, &f->err),
        CELERY_OK);
    assert_int_equal(cel_canvas_read(&f->a, doc, "", &sig, &f->err), CELERY_EMESSAGE);
    assert_non_null(strstr(f->err.message, "nested too deep"));
}

static void a_loop_of_callbacks_is_no_endless_one(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *p = task(f, "p", "[]"), *q = task(f, "q", "[]");

    assert_int_equal(cel_sig_link(&f->a, p, p), CELERY_EINVAL);
    assert_int_equal(cel_sig_link(&f->a, p, q), CELERY_OK);
    assert_int_equal(cel_sig_link(&f->a, q, p), CELERY_OK);
    assert_null(cel_canvas_doc(&f->a, p));
    assert_int_equal(
        cel_sig_apply(&f->canvas, &f->a, p, NULL, NULL, NULL, &f->effects, NULL, &f->err),
        CELERY_ELIMIT);
    assert_int_equal(f->effects.n, 0);
}

static void options_of_a_call_are_checked_too(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(cel_sig_apply(&f->canvas, &f->a, task(f, "a", "[]"), NULL, NULL,
                                   json(f, "{\"link\": [5]}"), &f->effects, NULL,
                                   &f->err),
                     CELERY_EMESSAGE);
    assert_string_equal(f->err.message, "options.link[0]: no signature");
}

static void a_chord_without_a_body_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cel_sig *sig = NULL;

    assert_int_equal(
        cel_canvas_read(&f->a,
                        json(f, "{\"task\": \"c\", \"subtask_type\": \"chord\", "
                                "\"kwargs\": {\"header\": [{\"task\": \"a\"}]}}"),
                        "", &sig, &f->err),
        CELERY_OK);
    assert_int_equal(cel_sig_apply(&f->canvas, &f->a, sig, NULL, NULL, NULL, &f->effects,
                                   NULL, &f->err),
                     CELERY_EMESSAGE);
    assert_string_equal(f->err.message, "kwargs.body: a chord without a body");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_read_is_written_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_path_of_what_is_wrong_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(depth_has_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loop_of_callbacks_is_no_endless_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(options_of_a_call_are_checked_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_chord_without_a_body_is_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
