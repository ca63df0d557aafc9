/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/pace.h"

static struct cel_task_def quick = {.index = 0};
static struct cel_task_def slow = {.index = 1};
static struct cel_task_def stranger = {.index = 2};

static struct cel_pace made(void)
{
    celery_app app = {.n_tasks = 2};
    struct cel_pace p;
    assert_int_equal(cel_pace_init(&p, &app), CELERY_OK);
    return p;
}

static void note(struct cel_pace *p, const struct cel_task_def *task, double seconds,
                 int n)
{
    while (n-- > 0) {
        cel_pace_note(p, task, seconds);
    }
}

static void test_nothing_waits_before_it_is_proved(void **state)
{
    struct cel_pace p = made();
    assert_int_equal(cel_pace_ahead(&p, &quick), 1);
    note(&p, &quick, 0.000001, 3);
    assert_int_equal(cel_pace_ahead(&p, &quick), 1);
    note(&p, &quick, 0.000001, 1);
    assert_int_equal(cel_pace_ahead(&p, &quick), CEL_PACE_MAX_AHEAD);
    cel_pace_fini(&p);
}

static void test_each_name_has_its_own_pace(void **state)
{
    struct cel_pace p = made();
    note(&p, &quick, 0.00001, 10);
    note(&p, &slow, 0.01, 10);
    assert_true(cel_pace_ahead(&p, &quick) > 1);
    assert_int_equal(cel_pace_ahead(&p, &slow), 1);
    cel_pace_fini(&p);
}

static void test_about_two_milliseconds_may_wait(void **state)
{
    struct cel_pace p = made();
    note(&p, &quick, 0.0004, 20);
    assert_in_range(cel_pace_ahead(&p, &quick), 4, 5);
    cel_pace_fini(&p);
}

static void test_one_slow_run_ends_it_and_short_ones_bring_it_back(void **state)
{
    struct cel_pace p = made();
    note(&p, &quick, 0.00001, 100);
    note(&p, &quick, 0.3, 1);
    assert_int_equal(cel_pace_ahead(&p, &quick), 1);
    note(&p, &quick, 0.00001, 100);
    assert_true(cel_pace_ahead(&p, &quick) > 1);
    cel_pace_fini(&p);
}

static void test_an_unknown_index_is_harmless(void **state)
{
    struct cel_pace p = made();
    note(&p, &stranger, 0.00001, 100);
    assert_int_equal(cel_pace_ahead(&p, &stranger), 1);
    cel_pace_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_waits_before_it_is_proved),
        cmocka_unit_test(test_each_name_has_its_own_pace),
        cmocka_unit_test(test_about_two_milliseconds_may_wait),
        cmocka_unit_test(test_one_slow_run_ends_it_and_short_ones_bring_it_back),
        cmocka_unit_test(test_an_unknown_index_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
