/* SPDX-License-Identifier: BSD-3-Clause */
/* The public view, repr() and what json_t holds: value.c, repr.c, doc_jansson.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/doc.h"
#include <stdlib.h>

static struct cel_arena arena;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    return 0;
}

static struct cel_node *parse(const char *text)
{
    struct cel_node *n = NULL;
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(text), NULL, &n, NULL),
                     CELERY_OK);
    return n;
}

static void test_null_and_other_kinds_are_answered(void **state)
{
    int64_t i = 7;
    double d = 7;
    size_t len = 7;
    const celery_value *text = parse("\"x\"");
    assert_int_equal(celery_value_kind(NULL), CELERY_KIND_NULL);
    assert_false(celery_value_int(NULL, &i) || celery_value_int(text, &i));
    assert_false(celery_value_double(NULL, &d) || celery_value_double(text, &d));
    assert_true(i == 7 && d == 7);
    assert_null(celery_value_text(NULL, &len));
    assert_int_equal(len, 0);
    assert_int_equal(celery_value_size(NULL) + celery_value_size(text), 0);
    assert_null(celery_value_first(text));
    assert_null(celery_value_next(NULL));
    assert_null(celery_value_at(text, 0));
    assert_null(celery_value_get(text, "x"));
    assert_null(celery_value_get(parse("{}"), NULL));
}

static void test_walk_and_lookup(void **state)
{
    const celery_value *v = parse("{\"a\": [1, 2.5, \"three\"], \"b\": null}");
    const celery_value *a = celery_value_get(v, "a");
    int64_t i;
    double d;
    size_t len;
    assert_int_equal(celery_value_size(v), 2);
    assert_string_equal(celery_value_text(celery_value_at(a, 2), &len),
                        "three\"], \"b\": null}");
    assert_int_equal(len, 5);
    assert_true(celery_value_int(celery_value_at(a, 0), &i) && i == 1);
    assert_true(celery_value_double(celery_value_at(a, 1), &d) && d == 2.5);
    assert_null(celery_value_at(a, 3));
    const celery_value *key = celery_value_next(celery_value_next(celery_value_first(v)));
    assert_int_equal(celery_value_text(key, &len)[0], 'b');
    assert_null(celery_value_next(celery_value_next(key)));
}

static void test_repr_is_cut_between_characters(void **state)
{
    static const struct {
        size_t max;
        const char *text;
    } cases[] = {
        {0, "['\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9', {'k': None}]"},
        {100, "['\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9', {'k': None}]"},
        {7, "['\xc3\xa9..."},
        {8, "['\xc3\xa9..."},
        {9, "['\xc3\xa9\xc3\xa9..."},
        {3, "..."},
        {1, "."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = celery_value_repr(
            parse("[\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\", {\"k\": null}]"), cases[i].max);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
    char *none = celery_value_repr(NULL, 0);
    assert_string_equal(none, "None");
    free(none);
}

static void test_dumps_gives_text_and_length(void **state)
{
    size_t len;
    char *text = celery_value_dumps(parse("{\"a\":[1,\"\\u0000\"]}"), &len);
    assert_string_equal(text, "{\"a\": [1, \"\\u0000\"]}");
    assert_int_equal(len, strlen(text));
    free(text);
    text = celery_value_dumps(NULL, NULL);
    assert_string_equal(text, "null");
    free(text);
}

static void test_what_json_t_cannot_hold_is_named_with_its_path(void **state)
{
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"99999999999999999999", "value: integer over 64 bits"},
        {"[[0, {\"total\": 9223372036854775808}]]",
         "value[0][1].total: integer over 64 bits"},
        {"{\"a\": [NaN]}", "value.a[0]: NaN"},
        {"[-Infinity]", "value[0]: infinity"},
        {"[1e400]", "value[0]: infinity"},
        {"{\"k\": \"\\ud800\"}", "value.k: string with a lone surrogate"},
        {"{\"\\ud800\": 1}", "value.\\ud800: key with a lone surrogate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        celery_error err = {0};
        assert_null(celery_value_to_json(parse(cases[i].json), &err));
        assert_int_equal(err.status, CELERY_EMESSAGE);
        assert_string_equal(err.message, cases[i].text);
    }
}

static void assert_json(const struct cel_node *n, const char *want)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_json_write(&out, n), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), want);
    cel_buf_fini(&out);
}

static void test_json_t_and_back_is_the_same(void **state)
{
    const char *text =
        "{\"i\": -9223372036854775808, \"f\": 0.1, \"s\": \"a\\u0000\\u00e9\", "
        "\"l\": [true, false, null, [], {}], \"\\u00e9\": 1}";
    json_t *json = celery_value_to_json(parse(text), NULL);
    assert_non_null(json);
    assert_json(cel_doc_from_json(&arena, json), text);
    json_decref(json);
    assert_json(cel_doc_from_json(&arena, NULL), "null");
    json = cel_doc_to_json(cel_node_new_bytes(&arena, CEL_SLICE("\xff")), "", NULL);
    assert_json(cel_doc_from_json(&arena, json),
                "{\"__type__\": \"base64\", \"__value__\": \"/w==\"}");
    json_decref(json);
}

static void test_each_allocation_may_fail(void **state)
{
    const struct cel_node *n = parse("[\"\\u00e9\", {\"a\": [1, 2.5]}, \"b\"]");
    for (unsigned long nth = 1; nth < 30; nth++) {
        struct cel_arena a = {0};
        cel_alloc_fail_at(nth, 0);
        char *repr = celery_value_repr(n, 0);
        char *dumps = celery_value_dumps(n, NULL);
        struct cel_node *copy = cel_node_copy(&a, n);
        cel_alloc_fail_at(0, 0);
        assert_true(!copy || cel_node_equal(copy, n));
        free(repr);
        free(dumps);
        cel_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_null_and_other_kinds_are_answered, reset),
        cmocka_unit_test_setup(test_walk_and_lookup, reset),
        cmocka_unit_test_setup(test_repr_is_cut_between_characters, reset),
        cmocka_unit_test_setup(test_dumps_gives_text_and_length, reset),
        cmocka_unit_test_setup(test_what_json_t_cannot_hold_is_named_with_its_path,
                               reset),
        cmocka_unit_test_setup(test_json_t_and_back_is_the_same, reset),
        cmocka_unit_test_setup(test_each_allocation_may_fail, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
