/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include <string.h>

static void test_the_nth_allocation_fails_once(void **state)
{
    cel_alloc_fail_at(2, 0);
    void *a = cel_alloc(1);
    void *b = cel_calloc(1, 1);
    void *c = cel_alloc(1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_int_equal(cel_alloc_count(), 3);
    cel_alloc_fail_at(0, 0);
    cel_free(a);
    cel_free(c);
}

static void test_all_fail_from_then_on(void **state)
{
    cel_alloc_fail_at(1, 1);
    assert_null(cel_strdup("x"));
    assert_null(cel_alloc(1));
    cel_alloc_fail_at(0, 0);
}

static void test_failed_realloc_keeps_the_block(void **state)
{
    char *block = cel_strdup("kept");
    cel_alloc_fail_at(1, 0);
    assert_null(cel_realloc(block, 100, 1));
    cel_alloc_fail_at(0, 0);
    assert_null(cel_realloc(block, SIZE_MAX / 2, 4));
    assert_string_equal(block, "kept");
    cel_free(block);
}

static void test_size_zero_is_a_block(void **state)
{
    void *a = cel_alloc(0);
    void *b = cel_calloc(0, 8);
    char *c = cel_strndup(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(c, "");
    cel_free(a);
    cel_free(b);
    cel_free(c);
    cel_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nth_allocation_fails_once),
        cmocka_unit_test(test_all_fail_from_then_on),
        cmocka_unit_test(test_failed_realloc_keeps_the_block),
        cmocka_unit_test(test_size_zero_is_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
