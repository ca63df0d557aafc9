/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/backoff.h"

static void test_stays_between_floor_and_doubling_ceiling(void **state)
{
    for (int run = 0; run < 200; run++) {
        struct cel_backoff b = CEL_BACKOFF_INIT(0.1, 30);
        double ceiling = 0.1;
        for (int i = 0; i < 20; i++) {
            double wait = cel_backoff_next(&b);
            assert_true(wait >= 0.01 && wait <= (ceiling < 30 ? ceiling : 30));
            ceiling *= 2;
        }
    }
}

static void test_spreads_over_the_whole_interval(void **state)
{
    double low = 30;
    double high = 0;

    for (int i = 0; i < 1000; i++) {
        struct cel_backoff b = {.base = 1, .max = 30, .tries = 20};
        double wait = cel_backoff_next(&b);
        low = wait < low ? wait : low;
        high = wait > high ? wait : high;
    }
    assert_true(low < 3 && high > 27);
}

static void test_reset_starts_over_and_tries_never_overflow(void **state)
{
    struct cel_backoff b = {.base = 0.1, .max = 30, .tries = UINT32_MAX};

    assert_true(cel_backoff_next(&b) <= 30);
    cel_backoff_reset(&b);
    assert_true(cel_backoff_next(&b) <= 0.1);
}

static void test_easing_keeps_few_tries_and_adds_none(void **state)
{
    struct cel_backoff b = {.base = 0.1, .max = 30, .tries = 20};

    cel_backoff_ease(&b, 2);
    assert_int_equal(b.tries, 2);
    assert_true(cel_backoff_next(&b) <= 0.4);
    cel_backoff_reset(&b);
    cel_backoff_ease(&b, 2);
    assert_int_equal(b.tries, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_between_floor_and_doubling_ceiling),
        cmocka_unit_test(test_spreads_over_the_whole_interval),
        cmocka_unit_test(test_reset_starts_over_and_tries_never_overflow),
        cmocka_unit_test(test_easing_keeps_few_tries_and_adds_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
