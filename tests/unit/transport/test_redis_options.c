/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "transport/redis_options.h"

#include <string.h>

struct read {
    struct cel_redis_settings s;
    struct cel_redis_keys k;
    celery_error err;
    celery_status status;
};

static struct read read_json(const char *json)
{
    struct cel_arena arena = {0};
    struct cel_node *node = NULL;
    struct read r = {0};

    assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), NULL, &node, NULL), 0);
    r.status = cel_redis_options_read(node, 2, &r.s, &r.k, &r.err);
    cel_arena_fini(&arena); /* the options need not outlive the call */
    return r;
}

static void free_read(struct read *r)
{
    cel_redis_keys_fini(&r->k);
    cel_redis_settings_fini(&r->s);
}

static void test_defaults_are_those_of_kombu(void **state)
{
    struct read r = read_json("{}");

    assert_int_equal(r.status, 0);
    assert_true(r.s.visibility_timeout == 3600);
    assert_int_equal(r.s.order, CEL_REDIS_ROUND_ROBIN);
    assert_string_equal(r.k.unacked, "unacked");
    assert_string_equal(r.k.unacked_index, "unacked_index");
    assert_string_equal(r.k.unacked_mutex, "unacked_mutex");
    assert_string_equal(r.k.sep, "\x06\x16");
    assert_string_equal(r.k.fanout, "/2.");
    assert_true(r.k.fanout_patterns);
    assert_int_equal(r.k.n_steps, 4);
    free_read(&r);
}

static void test_each_option_is_read(void **state)
{
    struct read r = read_json(
        "{\"visibility_timeout\": 43200, \"queue_order_strategy\": \"sorted\","
        " \"priority_steps\": [9, 0, 5], \"sep\": \":\", \"global_keyprefix\": \"p:\","
        " \"unacked_key\": \"u\", \"fanout_prefix\": \"/x{db}.\", \"fanout_patterns\": false,"
        " \"body_encoding\": null, \"socket_timeout\": 7.5, \"socket_connect_timeout\": 2,"
        " \"health_check_interval\": 4, \"client_name\": \"me\", \"master_name\": \"m\","
        " \"sentinel_kwargs\": {\"password\": \"s\"}, \"max_connections\": 3,"
        " \"deadletter_queue\": \"lost\", \"unacked_restore_limit\": 11}");

    assert_int_equal(r.status, 0);
    assert_true(r.s.visibility_timeout == 43200);
    assert_int_equal(r.s.order, CEL_REDIS_SORTED);
    assert_int_equal(r.k.n_steps, 3);
    assert_int_equal(r.k.steps[1], 5);
    assert_string_equal(r.k.unacked, "p:u");
    assert_string_equal(r.k.unacked_index, "p:unacked_index");
    assert_string_equal(r.k.fanout, "/x2.");
    assert_false(r.k.fanout_patterns);
    assert_true(r.s.body_plain);
    assert_true(r.s.net.command_timeout == 7.5);
    assert_true(r.s.net.connect_timeout == 2);
    assert_true(r.s.net.health_check_interval == 4);
    assert_string_equal(r.s.net.client_name, "me");
    assert_string_equal(r.s.net.sentinel_master, "m");
    assert_string_equal(r.s.net.sentinel_password, "s");
    assert_string_equal(r.s.deadletter_queue, "lost");
    assert_int_equal(r.s.restore_limit, 11);
    free_read(&r);
}

static void test_wrong_options_are_named(void **state)
{
    static const struct {
        const char *json;
        const char *says;
    } rows[] = {
        {"{\"visibility_timout\": 1}", "did you mean visibility_timeout?"},
        {"{\"global_key_prefix\": \"x\"}", "did you mean global_keyprefix?"},
        {"{\"visibility_timeout\": \"1h\"}", "visibility_timeout must be"},
        {"{\"visibility_timeout\": -1}", "visibility_timeout must be"},
        {"{\"priority_steps\": [3, 6]}", "priority_steps must be"},
        {"{\"priority_steps\": [0, 0]}", "priority_steps must be"},
        {"{\"priority_steps\": [0, 10]}", "priority_steps must be"},
        {"{\"priority_steps\": []}", "priority_steps must be"},
        {"{\"queue_order_strategy\": \"random\"}", "round_robin, sorted or priority"},
        {"{\"sep\": \"\"}", "sep must be"},
        {"{\"fanout_prefix\": \"x.\"}", "fanout_prefix must be"},
        {"{\"ack_emulation\": false}", "ack_emulation=false would lose"},
        {"{\"credential_provider\": \"a.b\"}", "user and password into the broker URL"},
        {"{\"client_name\": \"a\\u0000b\"}", "client_name must be"},
        {"[1]", "must be a map"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct read r = read_json(rows[i].json);

        assert_true(r.status < 0);
        if (!strstr(r.err.message, rows[i].says)) {
            fail_msg("%s: %s", rows[i].json, r.err.message);
        }
        free_read(&r);
    }
}

static void test_every_failed_allocation_is_an_error(void **state)
{
    for (unsigned long nth = 1; nth < 100; nth++) {
        struct cel_redis_settings s = {0};
        struct cel_redis_keys k = {0};
        celery_status status;

        cel_alloc_fail_at(nth, 0);
        status = cel_redis_options_read(NULL, 0, &s, &k, NULL);
        cel_alloc_fail_at(0, 0);
        cel_redis_keys_fini(&k);
        cel_redis_settings_fini(&s);
        if (status == 0) {
            assert_true(nth > 6);
            return;
        }
        assert_int_equal(status, CELERY_ENOMEM);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_kombu),
        cmocka_unit_test(test_each_option_is_read),
        cmocka_unit_test(test_wrong_options_are_named),
        cmocka_unit_test(test_every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
