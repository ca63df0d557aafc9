/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/ini.h"
#include "base/buf.h"

static const struct {
    const char *text;
    const char *section;
    const char *key;
    const char *wanted; /* NULL: none */
} rows[] = {
    {"[a]\nk=v", "a", "k", "v"},
    {"[a]\nk = v \n", "a", "k", "v"},
    {"[a]\r\nk=v\r\n", "a", "k", "v"},
    {"\xef\xbb\xbf[a]\nk=v\n", "a", "k", "v"},
    {"[a]\nK: v=w\n", "a", "k", "v=w"},
    {"[a]\nk=a:b\n", "a", "k", "a:b"},
    {"[a]\n# k=x\n;k=y\nk=v\n", "a", "k", "v"},
    {"[a]\nk=v # not a comment\n", "a", "k", "v # not a comment"},
    {"[a]\ns3 =\n  k = nested\n\tk = too\n", "a", "k", NULL},
    {"[a]\n  k = first of its section\n", "a", "k", "first of its section"},
    {"[a]\nk=1\n[b]\nk=2\n", "a", "k", "1"},
    {"[a]\nk=1\n[b]\nk=2\n", "b", "k", "2"},
    {"[a]\nk=1\nk=2\n", "a", "k", "2"},
    {"[a]\nk=\n", "a", "k", ""},
    {"[profile x]\nk=v\n", "profile x", "k", "v"},
    {"[a]\n", "a", "k", NULL},
    {"", "a", "k", NULL},
};

static void test_values(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_arena arena = {0};
        struct cel_ini ini;

        assert_int_equal(cel_ini_parse(&arena, cel_slice_of(rows[i].text), &ini, NULL),
                         CELERY_OK);
        struct cel_slice value =
            cel_ini_get(&ini, cel_slice_of(rows[i].section), rows[i].key);
        if (rows[i].wanted) {
            assert_true(value.data && cel_slice_is(value, rows[i].wanted));
        } else {
            assert_null(value.data);
        }
        assert_int_equal(cel_ini_has(&ini, cel_slice_of(rows[i].section)),
                         rows[i].text[0] != '\0');
        cel_arena_fini(&arena);
    }
}

/* The line's number, and never what stands in it: it may be a secret. */
static void test_errors(void **state)
{
    static const struct {
        const char *text;
        const char *wanted;
    } bad[] = {
        {"k=s3cret", "line 1: no section before it"},
        {"[a]\n\ns3cret\n", "line 3: neither a section nor KEY = VALUE"},
        {"[a]\n=s3cret\n", "line 2: neither a section nor KEY = VALUE"},
        {"[s3cret\n", "line 1: a section without \"]\""},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cel_arena arena = {0};
        struct cel_ini ini;
        celery_error err = {0};

        assert_int_equal(cel_ini_parse(&arena, cel_slice_of(bad[i].text), &ini, &err),
                         CELERY_ECONFIG);
        assert_string_equal(err.message, bad[i].wanted);
        cel_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
