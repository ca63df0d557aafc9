/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/doc.h"
#include <math.h>
#include <stdio.h>

static struct cel_arena arena;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    return 0;
}

static struct cel_node *parse(const char *text)
{
    struct cel_node *n = NULL;
    celery_error err = {0};
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(text), NULL, &n, &err),
                     CELERY_OK);
    return n;
}

static void assert_dumps(const struct cel_node *n, const char *want)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_json_write(&out, n), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), want);
    cel_buf_fini(&out);
}

static void test_scalars_answer_only_for_their_kind(void **state)
{
    const struct cel_node *n = parse("{\"i\": -7, \"f\": 2.5, \"s\": \"x\", \"t\": true, "
                                     "\"n\": null, \"big\": 99999999999999999999}");
    assert_int_equal(cel_node_int(cel_node_get(n, CEL_SLICE("i")), 0), -7);
    assert_int_equal(cel_node_int(cel_node_get(n, CEL_SLICE("big")), 5), 5);
    assert_int_equal(cel_node_int(cel_node_get(n, CEL_SLICE("s")), 5), 5);
    assert_int_equal(cel_node_int(NULL, 5), 5);
    assert_true(cel_node_double(cel_node_get(n, CEL_SLICE("f")), 0) == 2.5);
    assert_true(cel_node_double(cel_node_get(n, CEL_SLICE("big")), 0) == 1e20);
    assert_true(cel_node_bool(cel_node_get(n, CEL_SLICE("t")), false));
    assert_false(cel_node_bool(cel_node_get(n, CEL_SLICE("i")), false));
    assert_true(cel_node_is_null(cel_node_get(n, CEL_SLICE("n"))));
    assert_true(cel_node_is_null(cel_node_get(n, CEL_SLICE("absent"))));
    assert_true(cel_node_is_string(cel_node_get(n, CEL_SLICE("s"))));
    assert_null(cel_node_text(n).data);
}

static void test_truth_is_pythons(void **state)
{
    static const struct {
        const char *json;
        bool truth;
    } cases[] = {
        {"null", false}, {"false", false},    {"0", false},      {"-0", false},
        {"0.0", false},  {"-0.0", false},     {"1e-400", false}, {"\"\"", false},
        {"[]", false},   {"{}", false},       {"true", true},    {"1", true},
        {"-1", true},    {"0.1", true},       {"NaN", true},     {"\" \"", true},
        {"[0]", true},   {"{\"\": 0}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cel_node_truth(parse(cases[i].json)) != cases[i].truth) {
            fail_msg("truth of %s", cases[i].json);
        }
    }
    assert_false(cel_node_truth(NULL));
}

static void test_equal_ignores_order_of_members(void **state)
{
    assert_true(cel_node_equal(parse("{\"a\": 1, \"b\": [2, {}]}"),
                               parse("{\"b\": [2, {}], \"a\": 1}")));
    assert_false(cel_node_equal(parse("{\"a\": 1}"), parse("{\"b\": 1}")));
    assert_false(cel_node_equal(parse("[1, 2]"), parse("[2, 1]")));
    assert_false(cel_node_equal(parse("1"), parse("1.0")));
    assert_true(cel_node_equal(parse("1e1"), parse("10.0")));
    assert_true(cel_node_equal(parse("NaN"), parse("NaN")));
    assert_false(cel_node_equal(parse("NaN"), parse("0.0")));
    assert_true(cel_node_equal(parse("\"\\u00e9\""), parse("\"\xc3\xa9\"")));
}

static void test_put_replaces_in_place(void **state)
{
    struct cel_node *o = cel_node_new(&arena, CELERY_KIND_OBJECT);
    assert_int_equal(
        cel_node_put(&arena, o, CEL_SLICE("a"), cel_node_new_int(&arena, INT64_MIN)), 0);
    assert_int_equal(
        cel_node_put(&arena, o, CEL_SLICE("b"), cel_node_new_bool(&arena, true)), 0);
    assert_int_equal(cel_node_put(&arena, o, CEL_SLICE("b"), parse("[]")), 0);
    assert_int_equal(cel_node_put(&arena, o, CEL_SLICE("a"), parse("1.50")), 0);
    assert_int_equal(cel_node_put(&arena, o, CEL_SLICE("c"), parse("null")), 0);
    assert_dumps(o, "{\"a\": 1.5, \"b\": [], \"c\": null}");
    assert_int_equal(o->size, 3);
}

static void test_append_works_on_built_and_on_parsed_arrays(void **state)
{
    struct cel_node *built = cel_node_new(&arena, CELERY_KIND_ARRAY);
    struct cel_node *parsed = parse("[1]");
    for (int i = 2; i < 4; i++) {
        assert_int_equal(cel_node_append(built, cel_node_new_int(&arena, i)), 0);
        assert_int_equal(cel_node_append(parsed, cel_node_new_int(&arena, i)), 0);
    }
    assert_dumps(built, "[2, 3]");
    assert_dumps(parsed, "[1, 2, 3]");
    assert_int_equal(cel_node_append(built, NULL), CELERY_ENOMEM);
}

static void test_copy_is_deep_and_can_grow(void **state)
{
    struct cel_arena other = {0};
    struct cel_node *copy =
        cel_node_copy(&other, parse("[{\"k\": [1.10, \"\\ud800\"]}, null, \"\"]"));
    cel_arena_reset(&arena);
    cel_node_append(copy, cel_node_new_bytes(&other, CEL_SLICE("\xff")));
    assert_dumps(copy, "[{\"k\": [1.1, \"\\ud800\"]}, null, \"\", "
                       "{\"__type__\": \"base64\", \"__value__\": \"/w==\"}]");
    cel_arena_fini(&other);
}

static void test_built_doubles_are_json(void **state)
{
    assert_dumps(cel_node_new_double(&arena, 0.1), "0.1");
    assert_dumps(cel_node_new_double(&arena, -INFINITY), "-Infinity");
    assert_dumps(cel_node_new_double(&arena, INFINITY), "Infinity");
    assert_dumps(cel_node_new_double(&arena, NAN), "NaN");
    assert_true(isinf(cel_node_double(cel_node_new_double(&arena, INFINITY), 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_scalars_answer_only_for_their_kind, reset),
        cmocka_unit_test_setup(test_truth_is_pythons, reset),
        cmocka_unit_test_setup(test_equal_ignores_order_of_members, reset),
        cmocka_unit_test_setup(test_put_replaces_in_place, reset),
        cmocka_unit_test_setup(test_append_works_on_built_and_on_parsed_arrays, reset),
        cmocka_unit_test_setup(test_copy_is_deep_and_can_grow, reset),
        cmocka_unit_test_setup(test_built_doubles_are_json, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
