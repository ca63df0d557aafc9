/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/sig.h"
#include "codec/doc.h"
#include <math.h>
#include <stdlib.h>

static void assert_sig(const celery_sig *sig, const char *want)
{
    celery_error err = {0};
    char *text = celery_sig_dumps(sig, NULL, &err);
    if (!text) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(text, want);
    free(text);
}

static void assert_option(const celery_sig *sig, const char *name, const char *want)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_json_write(&out, celery_sig_option(sig, name)), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), want);
    cel_buf_fini(&out);
}

#define SIG(args, kwargs, options)                              \
    "{\"task\": \"t\", \"args\": " args ", \"kwargs\": " kwargs \
    ", \"options\": " options ", \"subtask_type\": null, \"immutable\": false}"

static void test_arguments_by_format_json_and_text(void **state)
{
    celery_error err = {0};
    celery_sig *sig = celery_sig_new("t", &err, "[i, s, {s: f}]", 1, "x", "y", 2.5);
    assert_sig(sig, SIG("[1, \"x\", {\"y\": 2.5}]", "{}", "{}"));
    celery_sig_set_args(sig, json_pack("[b]", 1));
    celery_sig_set_kwargs(sig, json_pack("{s:n}", "k"));
    assert_sig(sig, SIG("[true]", "{\"k\": null}", "{}"));
    assert_int_equal(celery_sig_set_args_text(sig, "[NaN, 18446744073709551616]", &err),
                     0);
    assert_int_equal(celery_sig_set_kwargs_text(sig, "{}", &err), 0);
    assert_sig(sig, SIG("[NaN, 18446744073709551616]", "{}", "{}"));
    celery_sig_free(sig);
    sig = celery_sig_new("t", &err, "");
    assert_sig(sig, SIG("[]", "{}", "{}"));
    assert_string_equal(celery_sig_task(sig), "t");
    assert_string_equal(celery_sig_type(sig), "");
    celery_sig_free(sig);
    assert_int_equal(err.status, CELERY_OK);
}

static void test_wrong_arguments_are_refused(void **state)
{
    celery_error err = {0};
    assert_null(celery_sig_new(NULL, &err, NULL));
    assert_null(celery_sig_new("", &err, "[o]", json_integer(1)));
    assert_null(celery_sig_new("t", &err, "i", 1));
    assert_int_equal(err.status, CELERY_EINVAL);
    assert_non_null(strstr(err.message, "array"));
    celery_sig *sig = celery_sig_new("t", &err, NULL);
    assert_true(celery_sig_set_kwargs_text(sig, "[]", &err) < 0);
    assert_true(celery_sig_set_kwargs_text(sig, "{", &err) < 0);
    assert_true(celery_sig_set_kwargs_text(sig, NULL, &err) < 0);
    assert_true(sig->failed.status < 0);
    celery_sig_free(sig);
}

static void test_the_first_failed_setter_is_remembered(void **state)
{
    static const struct {
        void (*set)(celery_sig *sig, double seconds);
        double value;
    } cases[] = {
        {celery_sig_set_countdown, -1}, {celery_sig_set_countdown, NAN},
        {celery_sig_set_expires, -1},   {celery_sig_set_expires, INFINITY},
        {celery_sig_set_expires, 1e18},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_error err = {0};
        celery_sig *sig = celery_sig_new("t", NULL, NULL);
        cases[i].set(sig, cases[i].value);
        celery_sig_set_priority(sig, 10);
        assert_null(celery_sig_dumps(sig, NULL, &err));
        assert_int_equal(err.status, CELERY_EINVAL);
        assert_null(strstr(err.message, "priority"));
        celery_sig_free(sig);
    }
    celery_sig *sig = celery_sig_new("t", NULL, NULL);
    celery_sig_set_serializer(sig, "pickle");
    assert_int_equal(sig->failed.status, CELERY_ENOTSUP);
    celery_sig_free(sig);
}

static void test_the_last_setter_of_a_time_wins(void **state)
{
    celery_sig *sig = celery_sig_new("t", NULL, NULL);
    celery_sig_set_countdown(sig, 5);
    assert_option(sig, "countdown", "5");
    celery_sig_set_eta(sig, "1970-01-01T00:00:01+00:00");
    assert_option(sig, "countdown", "null");
    assert_option(sig, "eta", "\"1970-01-01T00:00:01+00:00\"");
    celery_sig_set_countdown(sig, 2.5);
    assert_option(sig, "countdown", "2.5");
    assert_option(sig, "eta", "null");
    celery_sig_set_expires(sig, 5);
    celery_sig_set_expires_at(sig, "1970-01-01T00:00:01Z");
    assert_option(sig, "expires", "\"1970-01-01T00:00:01Z\"");
    celery_sig_free(sig);
}

static void test_every_option_by_its_setter(void **state)
{
    celery_error err = {0};
    celery_sig *sig = celery_sig_new("t", &err, NULL);
    celery_sig_set_task_id(sig, "id");
    celery_sig_set_queue(sig, "q");
    celery_sig_set_exchange(sig, "ex");
    celery_sig_set_routing_key(sig, "key");
    celery_sig_set_priority(sig, 3);
    celery_sig_set_header(sig, "a", json_integer(1));
    celery_sig_set_header(sig, "b", json_string("x"));
    celery_sig_set_serializer(sig, "json");
    celery_sig_set_compression(sig, "gzip");
    celery_sig_set_ignore_result(sig, true);
    celery_sig_set_time_limit(sig, 30, 2.5);
    celery_sig_set_shadow(sig, "shown");
    celery_sig_set_reply_to(sig, "back");
    celery_sig_set_option(sig, "delivery_mode", json_integer(1));
    assert_int_equal(
        celery_sig_set_option_text(sig, "big", "123456789012345678901", &err), 0);
    assert_sig(sig,
               SIG("[]", "{}",
                   "{\"task_id\": \"id\", \"queue\": \"q\", \"exchange\": \"ex\", "
                   "\"routing_key\": \"key\", \"priority\": 3, "
                   "\"headers\": {\"a\": 1, \"b\": \"x\"}, \"serializer\": \"json\", "
                   "\"compression\": \"gzip\", \"ignore_result\": true, "
                   "\"time_limit\": 30, \"soft_time_limit\": 2.5, "
                   "\"shadow\": \"shown\", \"reply_to\": \"back\", "
                   "\"delivery_mode\": 1, \"big\": 123456789012345678901}"));
    assert_int_equal(celery_sig_set_option_text(sig, "countdown", "\"soon\"", &err),
                     CELERY_EMESSAGE);
    celery_sig_free(sig);
}

static celery_sig *task(const char *name)
{
    return celery_sig_new(name, NULL, NULL);
}

static void test_a_tree_and_its_text(void **state)
{
    celery_error err = {0};
    celery_sig *sig =
        celery_chain(&err, task("a"),
                     celery_group(&err, task("b"),
                                  celery_map(&err, task("c"), json_pack("[i]", 1)), NULL),
                     task("d"), NULL);
    celery_sig_link(sig, task("e"));
    celery_sig_link_error(sig, task("f"));
    assert_string_equal(celery_sig_type(sig), "chain");
    char *text = celery_sig_dumps(sig, NULL, &err);
    assert_non_null(text);
    for (const char *c = "abcdef"; *c; c++) {
        char want[] = "\"task\": \"?\"";
        want[9] = *c;
        assert_non_null(strstr(text, want));
    }
    celery_sig *again = celery_sig_loads(text, strlen(text), &err);
    assert_sig(again, text);
    free(text);
    celery_sig_free(again);
    celery_sig_free(sig);
    sig = celery_chord(&err, celery_group(&err, task("a"), task("b"), NULL), task("c"));
    assert_string_equal(celery_sig_type(sig), "chord");
    celery_sig_free(sig);
    sig = celery_chunks(&err, task("a"), json_pack("[[i],[i]]", 1, 2), 10);
    assert_string_equal(celery_sig_type(sig), "chunks");
    celery_sig_free(sig);
    sig = celery_starmap(&err, task("a"), json_pack("[[i]]", 1));
    assert_string_equal(celery_sig_type(sig), "xstarmap");
    celery_sig_free(sig);
    sig = celery_group_of(&err, NULL, 0);
    assert_string_equal(celery_sig_type(sig), "group");
    celery_sig_free(sig);
    assert_int_equal(err.status, CELERY_OK);
}

static void test_a_part_that_failed_fails_the_whole(void **state)
{
    celery_error err = {0};
    assert_null(
        celery_group(&err, task("a"), celery_sig_new("", &err, NULL), task("c"), NULL));
    assert_non_null(strstr(err.message, "name of its task"));
    err = (celery_error){0};
    assert_null(celery_chain(&err, task("a"), NULL, task("c"), NULL));
    assert_int_equal(err.status, CELERY_EINVAL);
    err = (celery_error){0};
    assert_null(celery_chain(&err, task("a"), task("b")));
    assert_non_null(strstr(err.message, "end with NULL"));
    assert_null(celery_chain(&err, NULL));
    assert_null(celery_chord(&err, task("a"), NULL));
    assert_null(celery_map(&err, NULL, json_array()));
    assert_null(celery_map(&err, task("a"), json_object()));
    assert_null(celery_chunks(&err, task("a"), json_array(), 0));
    celery_sig *late = task("a");
    celery_sig_set_priority(late, 77);
    celery_sig *sig = celery_chain(&err, late, task("b"), NULL);
    err = (celery_error){0};
    assert_null(celery_sig_dumps(sig, NULL, &err));
    assert_non_null(strstr(err.message, "priority"));
    celery_sig_free(sig);
    sig = task("a");
    celery_sig_link(sig, NULL);
    assert_null(cel_sig_tree(sig, NULL));
    celery_sig_free(sig);
}

static void test_a_copy_shares_nothing(void **state)
{
    celery_error err = {0};
    celery_sig *sig = celery_sig_new("t", &err, "[i]", 3);
    celery_sig_set_kwargs(sig, json_pack("{s:i}", "k", 1));
    celery_sig *copy = celery_sig_clone(sig, &err, "[ii]", 1, 2);
    celery_sig *more =
        celery_sig_partial(sig, NULL, json_pack("{s:i, s:i}", "k", 2, "l", 3), &err);
    celery_sig_set_immutable(sig, true);
    celery_sig *fixed = celery_sig_clone(sig, &err, "[i]", 9);
    celery_sig_set_queue(sig, "later");
    celery_sig_free(sig);
    assert_sig(copy, SIG("[1, 2, 3]", "{\"k\": 1}", "{}"));
    assert_sig(more, SIG("[3]", "{\"k\": 2, \"l\": 3}", "{}"));
    assert_option(fixed, "queue", "null");
    char *text = celery_sig_dumps(fixed, NULL, &err);
    assert_non_null(strstr(text, "\"args\": [3]"));
    assert_non_null(strstr(text, "\"immutable\": true"));
    free(text);
    celery_sig_free(copy);
    celery_sig_free(more);
    celery_sig_free(fixed);
    assert_null(celery_sig_clone(NULL, &err, "[o]", json_integer(1)));
    assert_null(celery_sig_partial(NULL, json_array(), json_object(), &err));
    assert_int_equal(err.status, CELERY_OK);
}

static void test_what_is_no_signature_is_refused_with_its_path(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"", ""},
        {"[]", ""},
        {"{\"task\": 1}", "task"},
        {"{\"task\": \"t\", \"options\": 5}", "options"},
        {"{\"task\": \"celery.chain\", \"subtask_type\": \"chain\", \"kwargs\": "
         "{\"tasks\": [{\"task\": \"t\"}, {\"task\": 1}]}}",
         "tasks[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_error err = {0};
        assert_null(celery_sig_loads(cases[i].text, strlen(cases[i].text), &err));
        assert_int_equal(err.status, CELERY_EMESSAGE);
        if (!strstr(err.message, cases[i].want)) {
            fail_msg("%s: %s", cases[i].text, err.message);
        }
    }
}

static void test_stamps_are_on_the_whole_tree(void **state)
{
    celery_error err = {0};
    celery_sig *sig = celery_group(&err, task("a"), task("b"), NULL);
    celery_sig_set_stamp(sig, "mark", json_string("x"));
    char *text = celery_sig_dumps(sig, NULL, &err);
    assert_non_null(text);
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, "\"mark\": \"x\"")) != NULL; p++) {
        n++;
    }
    assert_true(n >= 2);
    free(text);
    celery_sig_free(sig);
}

static void test_deep_nesting_is_freed_without_recursion(void **state)
{
    celery_error err = {0};
    celery_sig *sig = task("a");
    for (int i = 0; i < 20000 && sig; i++) {
        sig = celery_group(&err, sig, NULL);
    }
    celery_sig_free(sig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_by_format_json_and_text),
        cmocka_unit_test(test_wrong_arguments_are_refused),
        cmocka_unit_test(test_the_first_failed_setter_is_remembered),
        cmocka_unit_test(test_the_last_setter_of_a_time_wins),
        cmocka_unit_test(test_every_option_by_its_setter),
        cmocka_unit_test(test_a_tree_and_its_text),
        cmocka_unit_test(test_a_part_that_failed_fails_the_whole),
        cmocka_unit_test(test_a_copy_shares_nothing),
        cmocka_unit_test(test_what_is_no_signature_is_refused_with_its_path),
        cmocka_unit_test(test_stamps_are_on_the_whole_tree),
        cmocka_unit_test(test_deep_nesting_is_freed_without_recursion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
