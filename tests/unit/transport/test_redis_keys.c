/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "transport/redis_options.h"

static struct cel_redis_keys keys;
static struct cel_redis_settings settings;

static int set_up(void **state)
{
    return cel_redis_options_read(NULL, 3, &settings, &keys, NULL);
}

static int tear_down(void **state)
{
    cel_redis_keys_fini(&keys);
    cel_redis_settings_fini(&settings);
    return 0;
}

static void assert_text(char *give_text, const char *wanted)
{
    assert_string_equal(give_text, wanted);
    cel_free(give_text);
}

static void test_a_priority_falls_to_the_step_below(void **state)
{
    static const int steps[] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 3};

    for (int i = 0; i < 10; i++) {
        assert_int_equal(cel_redis_step(&keys, i), steps[i]);
    }
    assert_int_equal(cel_redis_step(&keys, -5), 0);
    assert_int_equal(cel_redis_step(&keys, 255), 3);
}

/* captures: BRPOP celery celery\x06\x163 celery\x06\x166 celery\x06\x169 */
static void test_queue_keys(void **state)
{
    assert_text(cel_redis_queue_key(&keys, CEL_SLICE("celery"), 0), "celery");
    assert_text(cel_redis_queue_key(&keys, CEL_SLICE("celery"), 1), "celery\x06\x16\x33");
    assert_text(cel_redis_queue_key(&keys, CEL_SLICE("celery"), 3), "celery\x06\x16\x39");
    assert_text(cel_redis_dead_key(&keys, CEL_SLICE("q")), "q.celery-c.dead");
    assert_text(cel_redis_binding_key(&keys, CEL_SLICE("x")), "_kombu.binding.x");
    assert_text(cel_redis_lease_key(&keys, "w"), "unacked.celery-c.lease.w");
    assert_text(cel_redis_starts_key(&keys, "t"), "unacked.celery-c.starts.t");
}

/* captures: PUBLISH /0.celeryev/worker.online, PSUBSCRIBE /0.celeryev/worker.* */
static void test_channels(void **state)
{
    struct cel_slice exchange, key;

    assert_text(cel_redis_channel(&keys, CEL_SLICE("celeryev"),
                                  CEL_SLICE("worker.online"), false),
                "/3.celeryev/worker.online");
    assert_text(
        cel_redis_channel(&keys, CEL_SLICE("celeryev"), CEL_SLICE("worker.#"), true),
        "/3.celeryev/worker.*");
    assert_text(cel_redis_channel(&keys, CEL_SLICE("celery.pidbox"), CEL_SLICE(""), true),
                "/3.celery.pidbox");
    assert_true(
        cel_redis_channel_split(&keys, CEL_SLICE("/3.celeryev/a.b"), &exchange, &key));
    assert_true(cel_slice_is(exchange, "celeryev"));
    assert_true(cel_slice_is(key, "a.b"));
    assert_true(
        cel_redis_channel_split(&keys, CEL_SLICE("/3.celery.pidbox"), &exchange, &key));
    assert_true(cel_slice_is(exchange, "celery.pidbox"));
    assert_int_equal(key.len, 0);
    assert_false(cel_redis_channel_split(&keys, CEL_SLICE("/4.x"), &exchange, &key));
}

/* captures: SADD _kombu.binding.celery celery\x06\x16\x06\x16celery */
static void test_members(void **state)
{
    struct cel_buf out = {0};
    struct cel_slice key, queue;

    cel_redis_member_write(&out, &keys, CEL_SLICE("celery"), CEL_SLICE(""),
                           CEL_SLICE("celery"));
    assert_string_equal(cel_buf_cstr(&out), "celery\x06\x16\x06\x16"
                                            "celery");
    assert_true(cel_redis_member_split(&keys, cel_buf_slice(&out), &key, &queue));
    assert_true(cel_slice_is(key, "celery"));
    assert_true(cel_slice_is(queue, "celery"));
    assert_false(cel_redis_member_split(&keys, CEL_SLICE("celery"), &key, &queue));
    assert_false(cel_redis_member_split(&keys, CEL_SLICE("a\x06\x16"), &key, &queue));
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_priority_falls_to_the_step_below),
        cmocka_unit_test(test_queue_keys),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
