/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

static const char *const head[] = {"NAME", "N", "TEXT"};

static struct table *filled(void)
{
    struct table *t = table_new(head, 3);

    table_align_right(t, 1);
    table_add(t, (const char *const[]){"a", "7", "short"});
    table_add_styled(t, (const char *const[]){"gr\xc3\xbc\xc3\x9f", "1234", NULL}, 0,
                     STYLE_GREEN);
    table_add(t, (const char *const[]){"evil\033\n", "5", "a text that has some length"});
    return t;
}

static void prints(struct table *give_table, bool colour, unsigned width,
                   const char *want)
{
    char *text = NULL;
    size_t len = 0;
    struct term term = {.out = open_memstream(&text, &len), .width = width};

    term.colour = colour;
    assert_int_equal(table_end(give_table, &term, "nothing"), 0);
    fclose(term.out);
    assert_string_equal(text, want);
    free(text);
}

static void test_whole_in_a_pipe(void **state)
{
    prints(filled(), false, 0,
           "NAME             N  TEXT\n"
           "a                7  short\n"
           "gr\xc3\xbc\xc3\x9f          1234  -\n"
           "evil\\x1b\\x0a     5  a text that has some length\n");
}

static void test_cut_on_a_terminal(void **state)
{
    prints(filled(), true, 30,
           "\033[1mNAME\033[0m            \033[1mN\033[0m  \033[1mTEXT\033[0m\n"
           "a               7  short\n"
           "\033[32mgr\xc3\xbc\xc3\x9f\033[0m         1234  -\n"
           "evil\\x1b...     5  a text t...\n");
}

static void test_no_column_vanishes(void **state)
{
    prints(filled(), false, 5,
           "NAME         N  TEXT\n"
           "a            7  short\n"
           "gr\xc3\xbc\xc3\x9f      1234  -\n"
           "evil\\...     5  a tex...\n");
}

static void test_empty(void **state)
{
    prints(table_new(head, 3), false, 0, "nothing\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_in_a_pipe),
        cmocka_unit_test(test_cut_on_a_terminal),
        cmocka_unit_test(test_no_column_vanishes),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
