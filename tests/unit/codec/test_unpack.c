/* SPDX-License-Identifier: BSD-3-Clause */
/* Types and variables; the binding is compared with CPython in tests/wire/serialization. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/unpack.h"

static struct cel_arena arena;
static struct cel_buf why;
static json_t *owner;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    cel_buf_fini(&why);
    json_decref(owner);
    owner = NULL;
    return 0;
}

static celery_status unpack(const char *args, const char *kwargs, const char *fmt, ...)
{
    struct cel_node *a = NULL;
    struct cel_node *k = NULL;
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(args), NULL, &a, NULL), 0);
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(kwargs), NULL, &k, NULL), 0);
    cel_buf_clear(&why);
    va_list variables;
    va_start(variables, fmt);
    celery_status status = cel_unpack(&arena, "f", a, k, &why, &owner, fmt, variables);
    va_end(variables);
    return status;
}

static void test_each_type_is_stored(void **state)
{
    int64_t I = 0;
    int i = 0;
    double d = 0;
    bool b = false;
    const char *s = NULL, *z = "x", *S = NULL, *y = NULL;
    size_t S_len = 0, y_len = 0;
    const celery_value *v = NULL;
    json_t *j = NULL;
    assert_int_equal(
        unpack(
            "[9223372036854775807, -5, 2, true, \"\\u00e9\", null, \"a\\u0000b\"]",
            "{\"y\": {\"__type__\": \"base64\", \"__value__\": \"/wA=\"}, \"v\": 1e400, "
            "\"j\": {\"k\": [1]}}",
            "I:I i:i d:d b:b s:s z:z S:S y:y v:v j:j", &I, &i, &d, &b, &s, &z, &S, &S_len,
            &y, &y_len, &v, &j),
        CELERY_OK);
    assert_true(I == INT64_MAX && i == -5 && d == 2.0 && b);
    assert_string_equal(s, "\xc3\xa9");
    assert_null(z);
    assert_int_equal(S_len, 3);
    assert_memory_equal(S, "a\0b", 3);
    assert_int_equal(y_len, 2);
    assert_memory_equal(y, "\xff\0", 2);
    assert_int_equal(celery_value_kind(v), CELERY_KIND_FLOAT);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(j, "k"), 0)), 1);
}

static void test_what_is_left_out_keeps_its_value(void **state)
{
    int64_t a = 1, b = 2, c = 3;
    assert_int_equal(unpack("[10]", "{\"c\": 30}", "a:I | b:I c:I", &a, &b, &c),
                     CELERY_OK);
    assert_true(a == 10 && b == 2 && c == 30);
}

static void test_wrong_types_are_named_as_python_names_them(void **state)
{
    static const struct {
        const char *args;
        const char *fmt;
        const char *text;
    } cases[] = {
        {"[\"x\"]", "n:I", "f() argument 'n' must be int, not str"},
        {"[1.0]", "n:i", "f() argument 'n' must be int, not float"},
        {"[null]", "n:I", "f() argument 'n' must be int, not NoneType"},
        {"[[]]", "n:d", "f() argument 'n' must be float, not list"},
        {"[{}]", "n:s", "f() argument 'n' must be str, not dict"},
        {"[true]", "n:z", "f() argument 'n' must be str or None, not bool"},
        {"[1]", "n:b", "f() argument 'n' must be bool, not int"},
        {"[\"x\"]", "n:y", "f() argument 'n' must be bytes, not str"},
        {"[{\"__type__\": \"uuid\", \"__value__\": {}}]", "n:s",
         "f() argument 'n' must be str, not uuid.UUID"},
        {"[{\"__type__\": \"datetime\", \"__value__\": \"\"}]", "n:S",
         "f() argument 'n' must be str, not datetime.datetime"},
        {"[9223372036854775808]", "n:I",
         "f() argument 'n' must be an int of at most 64 bits"},
        {"[2147483648]", "n:i", "f() argument 'n' must be an int of at most 32 bits"},
        {"[\"a\\u0000\"]", "n:s", "f() argument 'n' must be str without null characters"},
        {"[\"\\ud800\"]", "n:s", "f() argument 'n' must be str without lone surrogates"},
        {"[[NaN]]", "n:j", "f() argument 'n'[0]: NaN"},
        {"[]", "n:I", "f() missing 1 required positional argument: 'n'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t room[2] = {0};
        assert_int_equal(unpack(cases[i].args, "{}", cases[i].fmt, &room[0], &room[1]),
                         CELERY_ETASK);
        assert_string_equal(cel_buf_cstr(&why), cases[i].text);
    }
}

static void test_bool_is_an_int(void **state)
{
    int64_t n = 0;
    assert_int_equal(unpack("[true]", "{}", "n:I", &n), CELERY_OK);
    assert_int_equal(n, 1);
}

static void test_malformed_formats_are_invalid(void **state)
{
    static const char *const formats[] = {
        "x",      "x:",      ":I",      "x:Q",       "x:I x:I", "x:I | | y:I",
        "** x:I", "* * x:I", "x:I,y:I", "x:I** y:I", "1x:I",    "a b:I",
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (unpack("[1, 2]", "{}", formats[i], NULL, NULL) != CELERY_EINVAL || !why.len) {
            fail_msg("accepted %s", formats[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_each_type_is_stored, reset),
        cmocka_unit_test_teardown(test_what_is_left_out_keeps_its_value, reset),
        cmocka_unit_test_teardown(test_wrong_types_are_named_as_python_names_them, reset),
        cmocka_unit_test_teardown(test_bool_is_an_int, reset),
        cmocka_unit_test_teardown(test_malformed_formats_are_invalid, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
