/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pool/limits.h"
#include <limits.h>

static double now = 100;

static double fake_now(void)
{
    return now;
}

static const struct cel_clock_ops fake = {fake_now, fake_now};

struct seen {
    int soft, hard;
    struct cel_limit *last;
};

static void on_soft(void *ctx, struct cel_limit *limit)
{
    struct seen *s = ctx;
    s->soft++;
    s->last = limit;
}

static void on_hard(void *ctx, struct cel_limit *limit)
{
    struct seen *s = ctx;
    s->hard++;
    s->last = limit;
}

struct set {
    struct cel_loop *loop;
    struct cel_limits limits;
    struct seen seen;
};

static int set_up(void **state)
{
    static struct set set;
    cel_clock_set(&fake);
    set = (struct set){0};
    assert_int_equal(cel_loop_new(&set.loop, NULL), CELERY_OK);
    assert_int_equal(cel_limits_init(&set.limits, set.loop, on_soft, on_hard, &set.seen),
                     CELERY_OK);
    *state = &set;
    return 0;
}

static int tear_down(void **state)
{
    struct set *s = *state;
    cel_limits_fini(&s->limits);
    cel_loop_free(s->loop);
    cel_clock_set(NULL);
    return 0;
}

static void pass_at(struct set *s, double at)
{
    now = at;
    cel_loop_pass(s->loop, 0);
    cel_loop_pass(s->loop, 0);
}

static void test_soft_and_then_hard_once_each(void **state)
{
    struct set *s = *state;
    struct cel_limit limit = {0};
    pass_at(s, 200);
    cel_limits_begin(&s->limits, &limit, 1, 2);
    pass_at(s, 200.9);
    assert_int_equal(s->seen.soft, 0);
    pass_at(s, 201.1);
    assert_int_equal(s->seen.soft, 1);
    assert_ptr_equal(s->seen.last, &limit);
    assert_int_equal(s->seen.hard, 0);
    pass_at(s, 202.1);
    pass_at(s, 300);
    assert_int_equal(s->seen.soft, 1);
    assert_int_equal(s->seen.hard, 1);
}

static void test_an_ended_job_has_no_limit(void **state)
{
    struct set *s = *state;
    struct cel_limit limit = {0};
    pass_at(s, 200);
    cel_limits_begin(&s->limits, &limit, 1, 2);
    cel_limits_end(&s->limits, &limit);
    cel_limits_end(&s->limits, &limit); /* harmless */
    pass_at(s, 300);
    assert_int_equal(s->seen.soft + s->seen.hard, 0);
}

static void test_the_earlier_of_two_comes_first(void **state)
{
    struct set *s = *state;
    struct cel_limit late = {0}, early = {0};
    pass_at(s, 200);
    cel_limits_begin(&s->limits, &late, 0, 5);
    cel_limits_begin(&s->limits, &early, 0, 1);
    pass_at(s, 201.5);
    assert_int_equal(s->seen.hard, 1);
    assert_ptr_equal(s->seen.last, &early);
    pass_at(s, 205.5);
    assert_int_equal(s->seen.hard, 2);
    assert_ptr_equal(s->seen.last, &late);
}

static void test_a_soft_limit_behind_the_hard_one_is_none(void **state)
{
    struct set *s = *state;
    struct cel_limit limit = {0};
    pass_at(s, 200);
    cel_limits_begin(&s->limits, &limit, 3, 1);
    pass_at(s, 300);
    assert_int_equal(s->seen.soft, 0);
    assert_int_equal(s->seen.hard, 1);
}

static void test_jobs_left(void **state)
{
    assert_int_equal(cel_limits_jobs_left(0, 1000000), UINT_MAX);
    assert_int_equal(cel_limits_jobs_left(3, 0), 3);
    assert_int_equal(cel_limits_jobs_left(3, 2), 1);
    assert_int_equal(cel_limits_jobs_left(3, 3), 0);
    assert_int_equal(cel_limits_jobs_left(3, 4), 0);
    assert_int_equal(cel_limits_jobs_left(INT64_MAX, 0), UINT_MAX - 1);
}

static void test_respawning_slows_down(void **state)
{
    assert_true(cel_limits_respawn_delay(0) == 0);
    for (unsigned i = 1; i < 100; i++) {
        assert_true(cel_limits_respawn_delay(i) >= cel_limits_respawn_delay(i - 1));
        assert_true(cel_limits_respawn_delay(i) <= 10);
    }
    assert_true(cel_limits_respawn_delay(50) > 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_soft_and_then_hard_once_each, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_ended_job_has_no_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_earlier_of_two_comes_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_soft_limit_behind_the_hard_one_is_none,
                                        set_up, tear_down),
        cmocka_unit_test(test_jobs_left),
        cmocka_unit_test(test_respawning_slows_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
