/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/redis_dead.h"

static void test_an_entry_keeps_every_byte(void **state)
{
    struct cel_slice raw = CEL_SLICE("\xff\x00\n{\"a\": 1}\n");
    struct cel_arena arena = {0};
    struct cel_redis_dead dead;
    struct cel_buf out = {0};

    assert_int_equal(
        cel_redis_dead_write(&out, CEL_SLICE("why\n\"so\""), CEL_SLICE("q"), raw), 0);
    assert_true(cel_redis_dead_read(&arena, cel_buf_slice(&out), &dead));
    assert_true(cel_slice_eq(dead.raw, raw));
    assert_true(cel_slice_is(dead.reason, "why\n\"so\""));
    assert_true(cel_slice_is(dead.queue, "q"));
    assert_true(dead.time > 1.7e9);
    cel_buf_fini(&out);
    cel_arena_fini(&arena);
}

static void test_what_is_no_entry_is_shown_whole(void **state)
{
    static const char *const texts[] = {
        "", "x", "{}\nx", "[1]\nx", "{\"reason\": 1}\nx", "{\"reason\": \"x\"}"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cel_arena arena = {0};
        struct cel_redis_dead dead;

        assert_false(cel_redis_dead_read(&arena, cel_slice_of(texts[i]), &dead));
        assert_true(cel_slice_is(dead.raw, texts[i]));
        cel_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_keeps_every_byte),
        cmocka_unit_test(test_what_is_no_entry_is_shown_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
