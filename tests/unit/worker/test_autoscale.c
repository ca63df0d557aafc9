/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/autoscale.h"
#include <stdlib.h>

static struct cel_autoscale scaler(const char *text)
{
    struct cel_autoscale a;

    assert_true(cel_autoscale_parse(text, &a));
    return a;
}

/* What the worker does at each look. */
static unsigned look(struct cel_autoscale *a, size_t reserved, double now,
                     bool may_shrink)
{
    unsigned slots = cel_autoscale_next(a, reserved, now, may_shrink);

    cel_autoscale_set(a, slots, now);
    return slots;
}

static void test_both_orders_and_one_number(void **state)
{
    struct cel_autoscale a = scaler("10,3");

    assert_int_equal(a.max, 10);
    assert_int_equal(a.min, 3);
    assert_int_equal(a.now, 3);
    a = scaler(" 3 , 10 ");
    assert_int_equal(a.max, 10);
    assert_int_equal(a.min, 3);
    a = scaler("4");
    assert_int_equal(a.max, 4);
    assert_int_equal(a.min, 1);
}

static void test_nonsense_is_refused(void **state)
{
    static const char *const texts[] = {"",   "0",     "0,0",  "x",   "3,x",
                                        "-1", "3,2,1", "5000", "3,,1"};
    struct cel_autoscale a;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (cel_autoscale_parse(texts[i], &a)) {
            fail_msg("%s was accepted", texts[i]);
        }
    }
}

static void test_it_grows_with_the_load_up_to_max(void **state)
{
    struct cel_autoscale a = scaler("8,2");

    assert_int_equal(look(&a, 0, 0, true), 2);
    assert_int_equal(look(&a, 2, 1, true), 2);
    assert_int_equal(look(&a, 5, 2, false), 5);
    assert_int_equal(look(&a, 100, 3, false), 8);
}

static void test_it_shrinks_after_the_keepalive(void **state)
{
    struct cel_autoscale a = scaler("8,2");

    look(&a, 8, 100, false);
    assert_int_equal(look(&a, 0, 110, true), 8);
    assert_int_equal(look(&a, 0, 130, true), 8);
    assert_int_equal(look(&a, 4, 130.1, false), 8); /* not when a task comes */
    assert_int_equal(look(&a, 4, 130.1, true), 4);
    assert_int_equal(look(&a, 0, 130.2, true), 2);
    assert_int_equal(look(&a, 0, 1e6, true), 2); /* never below min */
}

static void test_growing_puts_shrinking_off(void **state)
{
    struct cel_autoscale a = scaler("8,1");

    look(&a, 4, 100, false);
    look(&a, 6, 125, false);
    assert_int_equal(look(&a, 1, 131, true), 6);
    assert_int_equal(look(&a, 1, 155.5, true), 1);
}

static void test_the_environment_says_how_long(void **state)
{
    setenv("AUTOSCALE_KEEPALIVE", "2.5", 1);
    assert_true(scaler("2").keepalive == 2.5);
    setenv("AUTOSCALE_KEEPALIVE", "soon", 1);
    assert_true(scaler("2").keepalive == 30);
    setenv("AUTOSCALE_KEEPALIVE", "0", 1); /* upstream refuses to start */
    assert_true(scaler("2").keepalive == 30);
    unsetenv("AUTOSCALE_KEEPALIVE");
    assert_true(scaler("2").keepalive == 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_orders_and_one_number),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_it_grows_with_the_load_up_to_max),
        cmocka_unit_test(test_it_shrinks_after_the_keepalive),
        cmocka_unit_test(test_growing_puts_shrinking_off),
        cmocka_unit_test(test_the_environment_says_how_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
