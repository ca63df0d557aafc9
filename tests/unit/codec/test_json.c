/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/json_raw.h"
#include <stdio.h>
#include <stdlib.h>

static struct cel_arena arena;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    return 0;
}

static celery_status parse(struct cel_slice text, const struct cel_json_limits *limits,
                           struct cel_node **n, celery_error *err)
{
    /* An exact copy, so that valgrind and ASan see a read behind the end. */
    char *copy = cel_arena_alloc(&arena, text.len ? text.len : 1);
    assert_non_null(copy);
    memcpy(copy, text.data, text.len);
    return cel_json_parse(&arena, cel_slice(copy, text.len), limits, n, err);
}

#define TEXT(text)               \
    {                            \
        (text), sizeof(text) - 1 \
    }
#define BOTH(text) TEXT(text), TEXT(text)

static void test_round_trip_gives_pythons_bytes(void **state)
{
    static const struct {
        struct cel_slice in;
        struct cel_slice out;
    } cases[] = {
        {BOTH("{}")},
        {BOTH("[]")},
        {BOTH("[NaN, Infinity, -Infinity]")},
        {BOTH("123456789012345678901234567890")},
        {BOTH("\"\\ud800\"")},
        {BOTH("\"\\u0000\\u001f\\u007f\\b\\f\\n\\r\\t\\\"\\\\/\"")},
        {TEXT("\"\\/\""), TEXT("\"/\"")},
        {TEXT("\"\xc3\xa9\""), TEXT("\"\\u00e9\"")},
        {TEXT("\"\\uD83D\\uDE00\""), TEXT("\"\\ud83d\\ude00\"")},
        {TEXT("\"\\ude00\\ud83d\""), TEXT("\"\\ude00\\ud83d\"")},
        {TEXT("\"\xf0\x9f\x98\x80\""), TEXT("\"\\ud83d\\ude00\"")},
        {TEXT("\"\\ud800\\u0041\""), TEXT("\"\\ud800A\"")},
        {TEXT(" [ 1 ,\t{ \"a\" :\r\n2 } ] "), TEXT("[1, {\"a\": 2}]")},
        {TEXT("-0"), TEXT("0")},
        {TEXT("-0.0"), TEXT("-0.0")},
        {TEXT("1e400"), TEXT("Infinity")},
        {TEXT("1E2"), TEXT("100.0")},
        {TEXT("1.10"), TEXT("1.1")},
        {TEXT("{\"a\": 1, \"b\": 2, \"a\": 3}"), TEXT("{\"a\": 3, \"b\": 2}")},
        {TEXT("{\"a\": 1, \"\\u0061\": [3]}"), TEXT("{\"a\": [3]}")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        celery_error err = {0};
        struct cel_buf out = {0};
        assert_int_equal(parse(cases[i].in, NULL, &n, &err), CELERY_OK);
        assert_int_equal(cel_json_write(&out, n), CELERY_OK);
        assert_string_equal(cel_buf_cstr(&out), cases[i].out.data);
        cel_buf_fini(&out);
    }
}

static void test_what_python_refuses_is_refused(void **state)
{
    static const struct cel_slice cases[] = {
        TEXT(""),
        TEXT(" "),
        TEXT("nul"),
        TEXT("01"),
        TEXT("1."),
        TEXT(".5"),
        TEXT("+1"),
        TEXT("-"),
        TEXT("1e"),
        TEXT("-NaN"),
        TEXT("nan"),
        TEXT("[1,]"),
        TEXT("[1 2]"),
        TEXT("{\"a\":1,}"),
        TEXT("{\"a\" 1}"),
        TEXT("{a: 1}"),
        TEXT("{\"a\":1]"),
        TEXT("[1}"),
        TEXT("[1"),
        TEXT("{\"a\""),
        TEXT("[] []"),
        TEXT("\"\n\""),
        TEXT("\"\0\""),
        TEXT("\"\\x41\""),
        TEXT("\"\\u12g4\""),
        TEXT("\"\\u12\""),
        TEXT("\"abc"),
        TEXT("\"abc\\"),
        TEXT("\"abc\\\""),
        TEXT("\"\xff\""),
        TEXT("\"\xed\xa0\x80\""),
        TEXT("\"\xc0\x80\""),
        TEXT("\xef\xbb\xbf[]"),
        TEXT("[]\0"),
        TEXT("'a'"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        celery_error err = {0};
        if (parse(cases[i], NULL, &n, &err) != CELERY_EMESSAGE || !err.message[0]) {
            fail_msg("accepted %s", cases[i].data);
        }
    }
}

static void test_error_names_reason_and_offset(void **state)
{
    struct cel_node *n;
    celery_error err = {0};
    parse(CEL_SLICE("[1, 2"), NULL, &n, &err);
    assert_string_equal(err.message,
                        "not JSON: ',' or the end of the container is missing at byte 5");
    parse(CEL_SLICE("[\"a\tb\"]"), NULL, &n, &err);
    assert_string_equal(err.message, "not JSON: control character in a string at byte 3");
}

static void test_plain_strings_point_into_the_text(void **state)
{
    struct cel_node *n;
    const char text[] = "[\"plain\", \"\\u0041\", \"caf\xc3\xa9\", \"\x7f\"]";
    assert_int_equal(cel_json_parse(&arena, CEL_SLICE(text), NULL, &n, NULL), CELERY_OK);
    n = n->first;
    assert_ptr_equal(n->text, text + 2);
    assert_true(n->flags & CEL_NODE_PLAIN);
    n = n->next;
    assert_memory_equal(n->text, "A", 1);
    n = n->next;
    assert_int_equal(n->size, 5);
    assert_false(n->flags & CEL_NODE_PLAIN);
    assert_false(n->next->flags & CEL_NODE_PLAIN);
}

static void test_depth_limit(void **state)
{
    char text[20001];
    struct cel_node *n;
    for (size_t depth = 999; depth <= 1001; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(parse(cel_slice(text, depth * 2), NULL, &n, NULL),
                         depth <= 1000 ? CELERY_OK : CELERY_ELIMIT);
    }
    struct cel_json_limits limits = {.depth = 1000000}; /* cut at 4096 */
    memset(text, '[', sizeof text);
    assert_int_equal(parse(cel_slice(text, sizeof text), &limits, &n, NULL),
                     CELERY_ELIMIT);
    limits.depth = 1;
    assert_int_equal(parse(CEL_SLICE("[{}]"), &limits, &n, NULL), CELERY_ELIMIT);
    assert_int_equal(parse(CEL_SLICE("[1]"), &limits, &n, NULL), CELERY_OK);
}

static void test_element_limit(void **state)
{
    struct cel_json_limits limits = {.elements = 4};
    struct cel_node *n;
    assert_int_equal(parse(CEL_SLICE("[1, 2, 3]"), &limits, &n, NULL), CELERY_OK);
    assert_int_equal(parse(CEL_SLICE("[1, 2, 3, 4]"), &limits, &n, NULL), CELERY_ELIMIT);
    assert_int_equal(parse(CEL_SLICE("{\"a\": 1, \"b\": 2}"), &limits, &n, NULL),
                     CELERY_ELIMIT);
}

static void test_many_keys_keep_order_and_last_value(void **state)
{
    struct cel_buf text = {0};
    cel_buf_addc(&text, '{');
    for (int i = 0; i < 100000; i++) {
        cel_buf_addf(&text, "%s\"k%d\": %d", i ? ", " : "", i % 50000, i);
    }
    cel_buf_addc(&text, '}');
    struct cel_node *n;
    assert_int_equal(cel_json_parse(&arena, cel_buf_slice(&text), NULL, &n, NULL),
                     CELERY_OK);
    assert_int_equal(n->size, 50000);
    int i = 0;
    for (const struct cel_node *k = cel_node_first(n); k; k = k->next->next, i++) {
        char want[16];
        snprintf(want, sizeof want, "k%d", i);
        assert_true(cel_slice_is(cel_node_text(k), want));
        assert_int_equal(cel_node_int(k->next, 0), 50000 + i);
    }
    assert_int_equal(i, 50000);
    cel_buf_fini(&text);
}

static void test_arena_ceiling_is_a_limit_and_no_memory_is_not(void **state)
{
    struct cel_arena small;
    struct cel_node *n;
    cel_arena_init(&small, 2000);
    char text[4000];
    memset(text, '1', sizeof text);
    for (size_t i = 0; i < sizeof text; i += 2) {
        text[i] = i ? ',' : '[';
    }
    text[sizeof text - 1] = ']';
    text[sizeof text - 2] = '1';
    assert_int_equal(cel_json_parse(&small, cel_slice(text, sizeof text), NULL, &n, NULL),
                     CELERY_ELIMIT);
    cel_arena_fini(&small);
    cel_arena_init(&small, 0);
    cel_alloc_fail_at(1, 1);
    assert_int_equal(cel_json_parse(&small, CEL_SLICE("[]"), NULL, &n, NULL),
                     CELERY_ENOMEM);
    cel_alloc_fail_at(0, 0);
    cel_arena_fini(&small);
}

static void test_write_stops_at_the_ceiling(void **state)
{
    struct cel_buf out;
    struct cel_node *n;
    cel_buf_init(&out, 10);
    parse(CEL_SLICE("[\"12345678901234567890\"]"), NULL, &n, NULL);
    assert_int_equal(cel_json_write(&out, n), CELERY_ELIMIT);
    assert_true(out.len <= 10);
    cel_buf_fini(&out);
}

static const char *passed(const char *text)
{
    /* An exact copy, as above. */
    size_t len = strlen(text);
    char *copy = cel_arena_alloc(&arena, len ? len : 1);
    memcpy(copy, text, len);
    const char *end = cel_json_skip_same(copy, copy + len);
    return end ? text + (end - copy) : NULL;
}

static void test_what_is_passed_on_would_be_written_the_same(void **state)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "123456789012345678901234567890",
        "\"\"",
        "\"a b\"",
        "\"\\\"\\\\\\n\\r\\t\\b\\f\"",
        "\"\\u00e9\\ud83d\\ude00\\u0000\\u007f\"",
        "\"\\ud800\"",
        "[]",
        "{}",
        "[1, [2, {}], \"x\"]",
        "{\"a\": 1, \"b\": {\"a\": [null]}}",
        "{\"\": \"\"}",
    };

    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct cel_node *n = NULL;
        struct cel_buf out = {0};

        assert_ptr_equal(passed(same[i]), same[i] + strlen(same[i]));
        assert_int_equal(parse(cel_slice_of(same[i]), NULL, &n, NULL), CELERY_OK);
        assert_int_equal(cel_json_write(&out, n), CELERY_OK);
        assert_string_equal(cel_buf_cstr(&out), same[i]);
        cel_buf_fini(&out);
    }
}

static void test_what_would_be_written_otherwise_is_not_passed_on(void **state)
{
    static const char *const other[] = {
        "",
        " 1",
        "01",
        "-0",
        "1.0",
        "1e3",
        "NaN",
        "-Infinity",
        "-",
        "nul",
        "\"",
        "\"a",
        "\"\xc3\xa9\"",
        "\"\x7f\"",
        "\"\n\"",
        "\"\\/\"",
        "\"\\u0041\"",
        "\"\\u00E9\"",
        "\"\\u000a\"",
        "\"\\u00e\"",
        "\"\\",
        "[1,2]",
        "[1 , 2]",
        "[ 1]",
        "[1, ]",
        "[,]",
        "[1",
        "[1, 2",
        "{\"a\":1}",
        "{\"a\" : 1}",
        "{\"a\": 1,\"b\": 2}",
        "{\"a\": 1, }",
        "{\"a\": 1, \"a\": 2}",
        "{\"__type__\": \"uuid\"}",
        "{1: 2}",
        "{\"a\"}",
        "{\"a\": ",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    };

    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        if (passed(other[i])) {
            fail_msg("passed on: %s", other[i]);
        }
    }
}

static void test_raw_members_are_parsed_on_demand(void **state)
{
    struct cel_node *map = NULL;
    struct cel_buf out = {0};

    assert_int_equal(parse(CEL_SLICE("{\"a\": 1}"), NULL, &map, NULL), CELERY_OK);
    assert_ptr_equal(cel_json_whole(&arena, map, NULL), map);
    assert_int_equal(cel_node_put(&arena, map, CEL_SLICE("b"),
                                  cel_json_raw(&arena, CEL_SLICE("1, [2]"))),
                     CELERY_OK);
    assert_true(cel_node_truth(cel_node_get(map, CEL_SLICE("b"))));
    assert_null(cel_node_first(cel_node_get(map, CEL_SLICE("b"))));
    assert_int_equal(cel_json_write(&out, map), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), "{\"a\": 1, \"b\": [1, [2]]}");
    const struct cel_node *whole = cel_json_whole(&arena, map, NULL);
    assert_int_equal(cel_node_get(whole, CEL_SLICE("b"))->size, 2);
    cel_buf_clear(&out);
    assert_int_equal(cel_json_write(&out, whole), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), "{\"a\": 1, \"b\": [1, [2]]}");
    assert_int_equal(cel_json_raw(&arena, CEL_SLICE(""))->kind, CELERY_KIND_ARRAY);
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_round_trip_gives_pythons_bytes, reset),
        cmocka_unit_test_setup(test_what_python_refuses_is_refused, reset),
        cmocka_unit_test_setup(test_error_names_reason_and_offset, reset),
        cmocka_unit_test_setup(test_plain_strings_point_into_the_text, reset),
        cmocka_unit_test_setup(test_depth_limit, reset),
        cmocka_unit_test_setup(test_element_limit, reset),
        cmocka_unit_test_setup(test_many_keys_keep_order_and_last_value, reset),
        cmocka_unit_test_setup(test_arena_ceiling_is_a_limit_and_no_memory_is_not, reset),
        cmocka_unit_test_setup(test_write_stops_at_the_ceiling, reset),
        cmocka_unit_test_setup(test_what_is_passed_on_would_be_written_the_same, reset),
        cmocka_unit_test_setup(test_what_would_be_written_otherwise_is_not_passed_on,
                               reset),
        cmocka_unit_test_setup(test_raw_members_are_parsed_on_demand, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
