/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits and forms; values are compared with PyYAML in tests/wire/serialization. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/yaml.h"

static struct cel_arena arena;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    return 0;
}

static celery_status read_text(const char *text, struct cel_node **n, celery_error *err)
{
    return cel_yaml_read(&arena, cel_slice_of(text), NULL, n, err);
}

static void test_documents_become_json(void **state)
{
    static const struct {
        const char *yaml;
        const char *json;
    } cases[] = {
        {"[yes, No, on, OFF, ~, null, '']",
         "[true, false, true, false, null, null, \"\"]"},
        {"[1_000, 0x1f, 010, 0b11, 1:30, -1:30]", "[1000, 31, 8, 3, 90, -90]"},
        {"0xffffffffffffffffffffffff", "79228162514264337593543950335"},
        {"[1.5, 1e5, 1.0e+5, .inf, -.INF, .NaN, 1:30.5]",
         "[1.5, \"1e5\", 100000.0, Infinity, -Infinity, NaN, 90.5]"},
        {"2001-12-14", "{\"__type__\": \"date\", \"__value__\": \"2001-12-14\"}"},
        {"2001-12-14t21:59:43.10-05:00",
         "{\"__type__\": \"datetime\", \"__value__\": \"2001-12-14T21:59:43.100000-05:00\"}"},
        {"!!binary /w==", "{\"__type__\": \"base64\", \"__value__\": \"/w==\"}"},
        {"a: &x {b: 1}\nc: *x", "{\"a\": {\"b\": 1}, \"c\": {\"b\": 1}}"},
        {"x: &x {a: 1, c: 1}\nz: {<<: *x, c: 5}",
         "{\"x\": {\"a\": 1, \"c\": 1}, \"z\": {\"a\": 1, \"c\": 5}}"},
        {"", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        celery_error err = {0};
        struct cel_buf out = {0};
        if (read_text(cases[i].yaml, &n, &err) < 0) {
            fail_msg("%s: %s", cases[i].yaml, err.message);
        }
        cel_json_write(&out, n);
        assert_string_equal(cel_buf_cstr(&out), cases[i].json);
        cel_buf_fini(&out);
    }
}

static void test_errors_name_line_and_reason(void **state)
{
    static const struct {
        const char *yaml;
        const char *text;
    } cases[] = {
        {"a: 1\nb: *c", "not YAML: undefined alias in line 2"},
        {"&a [*a]", "not YAML: alias inside of what it stands for in line 1"},
        {"a: !!python/object:os.system x", "not YAML: unsupported tag in line 1"},
        {"!!int x", "not YAML: invalid integer in line 1"},
        {"1\n--- 2", "not YAML: more than one document in line 2"},
        {"2001-02-29", "not YAML: invalid timestamp in line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        celery_error err = {0};
        assert_int_equal(read_text(cases[i].yaml, &n, &err), CELERY_EMESSAGE);
        assert_string_equal(err.message, cases[i].text);
    }
}

static void test_alias_bombs_are_bounded(void **state)
{
    struct cel_buf bomb = {0};
    cel_buf_adds(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        cel_buf_addf(&bomb, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            cel_buf_addf(&bomb, "%s*a%d", j ? ", " : "", i - 1);
        }
        cel_buf_adds(&bomb, "]\n");
    }
    struct cel_node *n;
    celery_error err = {0};
    assert_int_equal(read_text(cel_buf_cstr(&bomb), &n, &err), CELERY_ELIMIT);
    assert_string_equal(err.message, "YAML aliases add too many elements");
    cel_buf_fini(&bomb);
}

static void test_depth_is_limited_through_aliases_too(void **state)
{
    struct cel_json_limits limits = {.depth = 10};
    struct cel_node *n;
    assert_int_equal(
        cel_yaml_read(&arena, CEL_SLICE("[[[[[[[[[[[]]]]]]]]]]]"), &limits, &n, NULL),
        CELERY_ELIMIT);
    assert_int_equal(cel_yaml_read(&arena, CEL_SLICE("- &a [[[[[]]]]]\n- &b [[[*a]]]"),
                                   &limits, &n, NULL),
                     CELERY_OK);
    assert_int_equal(cel_yaml_read(&arena,
                                   CEL_SLICE("- &a [[[[[]]]]]\n- &b [[[*a]]]\n- [[*b]]"),
                                   &limits, &n, NULL),
                     CELERY_ELIMIT);
    limits = (struct cel_json_limits){.elements = 3};
    assert_int_equal(cel_yaml_read(&arena, CEL_SLICE("[1, 2, 3]"), &limits, &n, NULL),
                     CELERY_ELIMIT);
}

static void test_what_is_written_reads_back_equal(void **state)
{
    static const char *const cases[] = {
        "[null, true, false, 0, -5, 123456789012345678901234567890]",
        "[1.5, 1e+16, 1e-05, 5e-324, NaN, Infinity, -Infinity]",
        "[\"yes\", \"1\", \"\", \" \", \"\\u0000\\n\\u0085\\u2028\\ufeff\", \"\\ud83d\\ude00\"]",
        "{\"<<\": 1, \"=\": 2, \"a: b\": {\"\": []}}",
        ("[{\"__type__\": \"date\", \"__value__\": \"2001-12-14\"}, {\"__type__\": \"uuid\", "
         "\"__value__\": {\"hex\": \"x\"}}]"),
        "{\"__type__\": \"datetime\", \"__value__\": \"2001-12-14T21:59:43.100000-05:00\"}",
        "{\"__type__\": \"datetime\", \"__value__\": \"no date\"}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        struct cel_node *back;
        struct cel_buf out = {0};
        celery_error err = {0};
        assert_int_equal(cel_json_parse(&arena, cel_slice_of(cases[i]), NULL, &n, NULL),
                         0);
        assert_int_equal(cel_yaml_write(&out, n, &err), CELERY_OK);
        if (cel_yaml_read(&arena, cel_buf_slice(&out), NULL, &back, &err) < 0) {
            fail_msg("%s: %s", cases[i], err.message);
        }
        assert_true(cel_node_equal(n, back));
        cel_buf_fini(&out);
    }
}

static void test_each_allocation_may_fail(void **state)
{
    for (unsigned long nth = 1;; nth++) {
        struct cel_arena a = {0};
        struct cel_node *n;
        cel_alloc_fail_at(nth, 0);
        celery_status status = cel_yaml_read(
            &a, CEL_SLICE("&a {x: !!binary eA==, <<: {y: 0x1}, z: 2001-01-01}"), NULL, &n,
            NULL);
        cel_alloc_fail_at(0, 0);
        cel_arena_fini(&a);
        if (status == CELERY_OK) {
            assert_true(nth > 1);
            return;
        }
        assert_int_equal(status, CELERY_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_documents_become_json, reset),
        cmocka_unit_test_setup(test_errors_name_line_and_reason, reset),
        cmocka_unit_test_setup(test_alias_bombs_are_bounded, reset),
        cmocka_unit_test_setup(test_depth_is_limited_through_aliases_too, reset),
        cmocka_unit_test_setup(test_what_is_written_reads_back_equal, reset),
        cmocka_unit_test_setup(test_each_allocation_may_fail, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
