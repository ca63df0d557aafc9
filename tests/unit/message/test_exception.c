/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "message/meta.h"

/* tests/wire/results/exceptions.json has what Python says; this is what it cannot. */

static void line_is(const char *type, const char *args, const char *want)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_exception_line(&out, cel_slice_of(type), cel_slice_of(args)),
                     CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), want);
    cel_buf_fini(&out);
}

static void test_line(void **state)
{
    (void)state;
    line_is("KeyError", "[\"x\"]", "KeyError: 'x'");
    line_is("shop.NoSuchKey", "[\"x\"]", "shop.NoSuchKey: x");
    line_is("ValueError", "", "ValueError");
    line_is("ValueError", "[]", "ValueError");
    line_is("ValueError", "[1, \"a\"]", "ValueError: (1, 'a')");
    line_is("OSError", "[2, \"gone\"]", "OSError: [Errno 2] gone");
}

static void test_args_that_are_no_array_are_none(void **state)
{
    (void)state;
    line_is("ValueError", "{\"a\": 1}", "ValueError");
    line_is("ValueError", "not JSON", "ValueError");
    struct cel_buf out = {0};
    assert_int_equal(cel_exception_repr(&out, CEL_SLICE("E"), CEL_SLICE("7")), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), "E()");
    cel_buf_fini(&out);
}

static void test_write_without_args(void **state)
{
    (void)state;
    struct cel_buf out = {0};
    assert_int_equal(
        cel_exception_write(&out, CEL_SLICE("E"), CEL_SLICE_NULL, CEL_SLICE("builtins")),
        CELERY_OK);
    assert_string_equal(
        cel_buf_cstr(&out),
        "{\"exc_type\": \"E\", \"exc_message\": [], \"exc_module\": \"builtins\"}");
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_args_that_are_no_array_are_none),
        cmocka_unit_test(test_write_without_args),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
