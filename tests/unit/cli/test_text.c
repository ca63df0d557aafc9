/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/text.h"

#include <stdlib.h>
#include <string.h>

static void test_escaping(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *want;
    } cases[] = {
        {"plain \\ text", 12, "plain \\ text"},
        {"a\0b", 3, "a\\x00b"},
        {"\033[31m\r\n\t", 8, "\\x1b[31m\\x0d\\x0a\\x09"},
        {"gr\xc3\xbc\xc3\x9f \xe6\x96\x87 \xf0\x9f\x90\x8d", 15,
         "gr\xc3\xbc\xc3\x9f \xe6\x96\x87 \xf0\x9f\x90\x8d"},
        {"\xc2\x9b"
         "31m",
         5,
         "\\xc2\\x9b"
         "31m"},                                /* C1: CSI in one character */
        {"\xe2\x80\xae", 3, "\\xe2\\x80\\xae"}, /* right-to-left override */
        {"\xff\xc3", 2, "\\xff\\xc3"},          /* no UTF-8, cut */
        {"\xc0\xaf\xed\xa0\x80", 5,
         "\\xc0\\xaf\\xed\\xa0\\x80"},                   /* overlong, surrogate */
        {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"}, /* over U+10FFFF */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = text_escape(cases[i].text, cases[i].size);

        assert_string_equal(got, cases[i].want);
        free(got);
    }
}

static void test_lines_stay_where_wanted(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    text_print_lines(out, "a\n\tb\r\033", 6);
    fclose(out);
    assert_string_equal(text, "a\n\tb\\x0d\\x1b");
    free(text);
}

static void test_width(void **state)
{
    assert_int_equal(text_width("abc"), 3);
    assert_int_equal(text_width("gr\xc3\xbc\xc3\x9f"), 4);
    assert_int_equal(text_width("\xe6\x96\x87"), 2); /* wide */
    assert_int_equal(text_width("e\xcc\x81"), 1);    /* combining */
    assert_int_equal(text_fit("abc", 2), 2);
    assert_int_equal(text_fit("a\xe6\x96\x87", 2), 1); /* half a character is none */
    assert_int_equal(text_fit("a\xe6\x96\x87", 9), 4);
}

static void test_time(void **state)
{
    char text[32];

    setenv("TZ", "UTC", 1);
    text_time(1700000000.9, text);
    assert_string_equal(text, "2023-11-14 22:13:20");
    for (size_t i = 0; i < 4; i++) {
        static const double bad[] = {0, -1, 1e300, 0.0 / 1.0};

        text_time(bad[i], text);
        assert_string_equal(text, "-");
    }
}

static void test_a_file_is_no_terminal(void **state)
{
    FILE *file = tmpfile();
    struct term t = term_of(file, false);

    assert_false(t.tty || t.colour || t.width);
    assert_string_equal(term_on(&t, STYLE_RED), "");
    assert_string_equal(term_off(&t), "");
    t.colour = true;
    assert_string_equal(term_on(&t, STYLE_RED), "\033[31m");
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_lines_stay_where_wanted),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_a_file_is_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
