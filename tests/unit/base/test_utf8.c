/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "utf8_cases.h"

static void test_valid_is_that_of_python(void **state)
{
    for (size_t i = 0; i < sizeof utf8_cases / sizeof utf8_cases[0]; i++) {
        assert_int_equal(cel_utf8_valid(cel_slice_of(utf8_cases[i].text)),
                         utf8_cases[i].valid);
    }
}

static void test_printable_is_that_of_python(void **state)
{
    for (size_t i = 0; i < sizeof printable_cases / sizeof printable_cases[0]; i++) {
        assert_int_equal(cel_utf8_printable(printable_cases[i].code),
                         printable_cases[i].printable);
    }
}

static void test_every_code_point_comes_back(void **state)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        char bytes[4];
        size_t at = 0;
        size_t len = cel_utf8_put(code, bytes);
        assert_int_equal(cel_utf8_next(cel_slice(bytes, len), &at), code);
        assert_int_equal(at, len);
    }
}

static void test_escape(void **state)
{
    static const struct {
        const char *text;
        size_t max;
        const char *want;
    } cases[] = {
        {"plain", 100, "plain"},
        {"a\nb\033[1m\177", 100, "a\\x0ab\\x1b[1m\\x7f"},
        {"\302\205\303\251\342\200\256", 100, "\\x85\303\251\\u202e"},
        {"\355\240\200\377", 100, "\\ud800\\xff"},
        {"abcdef", 6, "abcdef"},
        {"abcdefg", 6, "abc..."},
        {"ab\303\251\303\251", 6, "ab\303\251\303\251"},
        {"ab\303\251\303\251c", 6, "ab..."},
        {"\n\n", 6, "..."},
        {"abc", 2, ".."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_buf out = {0};
        cel_buf_addc(&out, '>');
        cel_utf8_escape(&out, cel_slice_of(cases[i].text), cases[i].max);
        assert_string_equal(cel_buf_cstr(&out) + 1, cases[i].want);
        cel_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_is_that_of_python),
        cmocka_unit_test(test_printable_is_that_of_python),
        cmocka_unit_test(test_every_code_point_comes_back),
        cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
