/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static double five(void)
{
    return 5.25;
}

static void test_own_clock_and_back(void **state)
{
    static const struct cel_clock_ops own = {.wall = five};
    double before = cel_clock_mono();
    cel_clock_set(&own);
    assert_true(cel_clock_wall() == 5.25);
    assert_int_equal(cel_clock_wall_us(), 5250000);
    assert_true(cel_clock_mono() >= before);
    cel_clock_set(NULL);
    assert_true(cel_clock_wall() > 1.7e9);
    assert_true(cel_clock_wall_us() > INT64_C(1700000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_clock_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
