/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "message/envelope_json.h"
#include "message/task.h"

static struct cel_envelope *env;
static struct cel_task_send sent;
static celery_error err;

static double fixed_wall(void)
{
    return 1000.0;
}

static int setup(void **state)
{
    (void)state;
    static const struct cel_clock_ops clock = {.wall = fixed_wall};
    cel_clock_set(&clock);
    sent = (struct cel_task_send){0};
    err = (celery_error){0};
    cel_task_call_init(&sent.call);
    sent.call.task = CEL_SLICE("t");
    sent.call.id = CEL_SLICE("i");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    env = cel_envelope_free(env);
    cel_clock_set(NULL);
    return 0;
}

static void make(void)
{
    if (cel_task_send_envelope(&sent, &env, &err) != CELERY_OK) {
        fail_msg("%s", err.message);
    }
}

static struct cel_slice header(const char *name)
{
    return cel_node_text(cel_envelope_header(env, cel_slice_of(name)));
}

static void test_defaults(void **state)
{
    (void)state;
    make();
    assert_true(cel_slice_is(env->body,
                             "[[], {}, {\"callbacks\": null, \"errbacks\": null, "
                             "\"chain\": null, \"chord\": null}]"));
    assert_true(cel_slice_is(header("argsrepr"), "()"));
    assert_true(cel_slice_is(header("kwargsrepr"), "{}"));
    assert_true(cel_slice_is(header("root_id"), "i"));
    assert_true(cel_slice_starts(header("origin"), CEL_SLICE("gen")));
    assert_true(cel_slice_is(env->correlation_id, "i"));
    assert_true(cel_slice_is(env->reply_to, "") && env->reply_to.data);
    assert_null(env->expiration.data);
    assert_int_equal(env->delivery_mode, 2);
    assert_true(cel_slice_is(env->content_type, "application/json"));
    assert_true(cel_slice_is(env->content_encoding, "utf-8"));
}

static void test_instants_are_written_out(void **state)
{
    (void)state;
    sent.call.eta_us = 1500000;
    sent.call.expires_us = 1060 * INT64_C(1000000);
    make();
    assert_true(cel_slice_is(header("eta"), "1970-01-01T00:00:01.500000+00:00"));
    assert_true(cel_slice_is(header("expires"), "1970-01-01T00:17:40+00:00"));
    assert_true(cel_slice_is(env->expiration, "60000"));
    env = cel_envelope_free(env);
    sent.call.expires_us = 0;
    make();
    assert_true(cel_slice_is(env->expiration, "0"));
    env = cel_envelope_free(env);
    sent.expiration_ms = 1500;
    make();
    assert_true(cel_slice_is(env->expiration, "1500"));
}

static void test_extra_headers_replace_or_follow(void **state)
{
    (void)state;
    struct cel_arena a = {0};
    struct cel_node *extra = cel_node_new(&a, CELERY_KIND_OBJECT);
    assert_int_equal(cel_node_put(&a, extra, CEL_SLICE("origin"),
                                  cel_node_new_string(&a, CEL_SLICE("me"))),
                     CELERY_OK);
    assert_int_equal(
        cel_node_put(&a, extra, CEL_SLICE("tenant"), cel_node_new_int(&a, 7)), CELERY_OK);
    sent.headers = extra;
    sent.compression = "zlib";
    make();
    cel_arena_fini(&a);
    struct cel_buf out = {0};
    assert_int_equal(cel_json_write(&out, env->headers), CELERY_OK);
    assert_non_null(strstr(cel_buf_cstr(&out), "\"origin\": \"me\", \"ignore_result\""));
    assert_non_null(strstr(cel_buf_cstr(&out),
                           "\"stamps\": {}, \"tenant\": 7, "
                           "\"compression\": \"application/x-gzip\"}"));
    cel_buf_fini(&out);
}

static void test_what_is_not_there_is_refused(void **state)
{
    (void)state;
    sent.serializer = "smoke";
    assert_int_equal(cel_task_send_envelope(&sent, &env, &err), CELERY_ENOTSUP);
    sent.serializer = NULL;
    sent.compression = "smoke";
    assert_int_equal(cel_task_send_envelope(&sent, &env, &err), CELERY_ENOTSUP);
    sent.compression = NULL;
    sent.call.id = CEL_SLICE_NULL;
    assert_int_equal(cel_task_send_envelope(&sent, &env, &err), CELERY_EINVAL);
    assert_null(env);
}

static void test_what_was_sent_is_read_again(void **state)
{
    (void)state;
    static const char *const accept[] = {"json", NULL};
    struct cel_call_limits limits = {.accept = accept};
    struct cel_envelope *got = NULL;
    struct cel_task_call call;
    struct cel_buf out = {0};
    sent.call.time_limit = 2.5;
    sent.call.soft_time_limit = 1;
    sent.call.group = CEL_SLICE("g");
    sent.call.group_index = 0;
    make();
    assert_int_equal(cel_envelope_write(&out, env), CELERY_OK);
    assert_int_equal(cel_envelope_read(cel_buf_slice(&out), &got, &err), CELERY_OK);
    assert_int_equal(cel_task_call_read(got, &limits, &call, &err), CEL_CALL_OK);
    assert_true(call.time_limit == 2.5 && call.soft_time_limit == 1);
    assert_int_equal(call.group_index, 0);
    assert_int_equal(got->delivery_tag.len, 36);
    cel_buf_fini(&out);
    cel_envelope_free(got);
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (unsigned long n = 1; n < 60; n++) {
        cel_alloc_fail_at(n, 1);
        celery_status st = cel_task_send_envelope(&sent, &env, &err);
        cel_alloc_fail_at(0, 0);
        if (st == CELERY_OK) {
            return;
        }
        assert_int_equal(st, CELERY_ENOMEM);
        assert_null(env);
    }
    fail_msg("still out of memory");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_defaults),
        T(test_instants_are_written_out),
        T(test_extra_headers_replace_or_follow),
        T(test_what_is_not_there_is_refused),
        T(test_what_was_sent_is_read_again),
        T(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
