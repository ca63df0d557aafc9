/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "message/delayed.h"
#include <math.h>

static struct cel_arena arena;

static int teardown(void **state)
{
    (void)state;
    cel_arena_fini(&arena);
    return 0;
}

static const char *key(double countdown, const char *routing_key)
{
    char *got = NULL;
    celery_error err = {0};
    assert_int_equal(
        cel_delayed_key(&arena, countdown, cel_slice_of(routing_key), &got, &err),
        CELERY_OK);
    return got;
}

#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
#define ONES  "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1."

static void test_keys(void **state)
{
    (void)state;
    assert_string_equal(key(1, "a"), ZEROS "0.0.0.1.a");
    assert_string_equal(key(10.9, "a.b"), ZEROS "1.0.1.0.a.b");
    assert_string_equal(key((double)CEL_DELAYED_MAX, "a"), ONES "1.1.1.1.a");
    assert_string_equal(key(1e300, "a"), ONES "1.1.1.1.a");
    assert_string_equal(key(INFINITY, "a"), ONES "1.1.1.1.a");
}

static void test_what_is_not_delayed(void **state)
{
    (void)state;
    assert_null(key(0, "a"));
    assert_null(key(-3, "a"));
    assert_null(key(0.99, "a"));
    assert_null(key(NAN, "a"));
    assert_null(key(5, ""));
}

static void test_a_key_is_delayed_once(void **state)
{
    (void)state;
    const char *again = key(2, key(1, "a"));
    assert_string_equal(again, ZEROS "0.0.1.0.a");
    assert_null(key(2, ZEROS "0.0.0.1."));
    struct cel_slice other = cel_slice_of(ZEROS "0.0.0.2.a");
    assert_int_equal(cel_delayed_strip(other).len, other.len);
    other = cel_slice_of("0.1.a");
    assert_int_equal(cel_delayed_strip(other).len, other.len);
}

static void test_a_direct_exchange_is_left_out(void **state)
{
    (void)state;
    struct cel_queue q = {.name = "q", .exchange = "x", .exchange_type = "direct"};
    struct cel_queue_step *steps;
    size_t n;
    const char *direct;
    celery_error err = {0};
    assert_int_equal(cel_delayed_bind_steps(&arena, &q, &steps, &n, &direct, &err),
                     CELERY_OK);
    assert_int_equal(n, 0);
    assert_string_equal(direct, "x");
    q.exchange_type = "fanout";
    assert_int_equal(cel_delayed_bind_steps(&arena, &q, &steps, &n, &direct, &err),
                     CELERY_OK);
    assert_int_equal(n, 2);
    assert_null(direct);
    assert_int_equal(steps[0].kind, CEL_BIND_EXCHANGE);
    assert_string_equal(steps[0].name, "x");
    assert_string_equal(steps[0].source, CEL_DELAYED_DELIVERY);
    assert_string_equal(steps[0].routing_key, "#.");
    assert_int_equal(steps[1].kind, CEL_BIND_QUEUE);
    assert_string_equal(steps[1].name, "q");
    assert_string_equal(steps[1].source, "x");
}

static void test_what_is_given_back_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct cel_queue_step step;
    struct cel_slice queue;
    char *got, long_name[] =
                   "012345678901234567890123456789012345678901234567890123456789"
                   "012345678901234567890123456789012345678901234567890123456789"
                   "012345678901234567890123456789012345678901234567890123456789"
                   "01234";
    assert_int_equal(cel_delayed_return_step(&arena, "q.x", &step, NULL), CELERY_OK);
    assert_int_equal(step.kind, CEL_BIND_QUEUE);
    assert_string_equal(step.name, "q.x");
    assert_string_equal(step.source, CEL_DELAYED_DELIVERY);
    assert_string_equal(step.routing_key, "#.celery-c.back.q.x");
    assert_int_equal(cel_delayed_return_key(&arena, 3.5, "q.x", &got, NULL), CELERY_OK);
    assert_string_equal(got, ZEROS "0.0.1.1.celery-c.back.q.x");
    queue = cel_delayed_returns_to(cel_delayed_strip(cel_slice_of(got)));
    assert_true(cel_slice_is(queue, "q.x"));
    assert_int_equal(cel_delayed_returns_to(CEL_SLICE("jobs.q")).len, 0);
    assert_true(cel_delayed_can_return("q.x"));
    assert_false(cel_delayed_can_return("q.*"));
    assert_false(cel_delayed_can_return("#"));
    assert_true(cel_delayed_can_return(long_name));
    assert_int_equal(cel_delayed_return_key(&arena, 1, long_name, &got, NULL), CELERY_OK);
    assert_int_equal(strlen(got), 255);
    assert_string_equal(key(2, got) + 56, got + 56); /* a retry of it goes the same way */
    assert_false(cel_delayed_can_return(key(1, long_name)));
}

static void test_an_unknown_queue_type(void **state)
{
    (void)state;
    struct cel_queue_step *steps;
    size_t n;
    celery_error err = {0};
    assert_int_equal(cel_delayed_steps(&arena, "stream", &steps, &n, &err),
                     CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "quorum or classic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_what_is_not_delayed),
        cmocka_unit_test(test_a_key_is_delayed_once),
        cmocka_unit_test(test_a_direct_exchange_is_left_out),
        cmocka_unit_test(test_what_is_given_back_has_a_key_of_its_own),
        cmocka_unit_test(test_an_unknown_queue_type),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
