/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "net/failover.h"

static void test_round_robin(void **state)
{
    struct cel_failover f;
    (void)state;
    cel_failover_init(&f, 3, NULL);
    assert_int_equal(f.at, 0);
    assert_false(cel_failover_next(&f));
    assert_int_equal(f.at, 1);
    assert_false(cel_failover_next(&f));
    assert_true(cel_failover_next(&f));
    assert_int_equal(f.at, 0);
    assert_false(cel_failover_next(&f));
    cel_failover_works(&f);
    assert_false(cel_failover_next(&f));
    assert_false(cel_failover_next(&f));
    assert_true(cel_failover_next(&f));
}

static void test_one(void **state)
{
    struct cel_failover f;
    (void)state;
    cel_failover_init(&f, 1, "shuffle");
    assert_true(cel_failover_next(&f));
    assert_int_equal(f.at, 0);
    cel_failover_init(&f, 0, "round-robin");
    assert_true(cel_failover_next(&f));
    assert_int_equal(f.at, 0);
}

static void test_shuffle(void **state)
{
    struct cel_failover f;
    unsigned first = 0, next = 0;
    (void)state;
    /* 1 - 4 * (3/4)^400: all are drawn. */
    for (int i = 0; i < 400; i++) {
        cel_failover_init(&f, 4, "shuffle");
        size_t before = f.at;
        first |= 1U << f.at;
        cel_failover_next(&f);
        assert_int_not_equal(f.at, before);
        next |= 1U << ((f.at - before) & 3);
    }
    assert_int_equal(first, 15);
    assert_int_equal(next, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_shuffle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
