/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include <stddef.h>

static void test_blocks_are_aligned_and_apart(void **state)
{
    struct cel_arena a = {0};
    char *last = NULL;
    for (size_t i = 0; i < 2000; i++) {
        char *block = cel_arena_alloc(&a, i % 100);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % _Alignof(max_align_t), 0);
        assert_true(block != last);
        memset(block, 1, i % 100);
        last = block;
    }
    cel_arena_fini(&a);
}

static void test_ceiling_counts_all_memory(void **state)
{
    struct cel_arena a;
    cel_arena_init(&a, 10000);
    size_t got = 0;
    while (cel_arena_alloc(&a, 100)) {
        got += 100;
    }
    assert_true(a.used <= 10000);
    assert_true(got > 7000);
    cel_arena_reset(&a);
    assert_non_null(cel_arena_alloc(&a, 100));
    assert_null(cel_arena_alloc(&a, SIZE_MAX - 4));
    cel_arena_fini(&a);
}

static void test_copies_are_terminated(void **state)
{
    struct cel_arena a = {0};
    assert_string_equal(cel_arena_strndup(&a, "abcdef", 3), "abc");
    cel_arena_reset(&a);
    cel_arena_reset(&a);
    assert_string_equal(cel_arena_strndup(&a, NULL, 0), "");
    cel_arena_fini(&a);
    cel_arena_reset(&a);
}

static void test_reset_lets_go_of_a_large_message(void **state)
{
    struct cel_arena a = {0};
    assert_non_null(cel_arena_alloc(&a, 10 << 20));
    cel_arena_reset(&a);
    assert_true(a.used < 1 << 20);
    cel_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_and_apart),
        cmocka_unit_test(test_ceiling_counts_all_memory),
        cmocka_unit_test(test_copies_are_terminated),
        cmocka_unit_test(test_reset_lets_go_of_a_large_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
