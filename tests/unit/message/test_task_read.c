/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/codec.h"
#include "message/envelope_json.h"
#include "message/task.h"

static const char *const accept_json[] = {"json", NULL};
static struct cel_call_limits limits;
static struct cel_envelope *env;
static struct cel_task_call call;
static celery_error err;

static int setup(void **state)
{
    (void)state;
    limits = (struct cel_call_limits){.accept = accept_json, .max_body = 1000};
    err = (celery_error){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    env = cel_envelope_free(env);
    return 0;
}

/* An envelope with those headers and that plain body. */
static enum cel_call_fault read_call(const char *headers, struct cel_slice body)
{
    struct cel_json_limits none = {0};
    struct cel_node *doc = NULL;
    env = cel_envelope_free(env);
    env = cel_envelope_new();
    assert_int_equal(
        cel_json_parse(&env->arena, cel_slice_of(headers), &none, &doc, NULL), CELERY_OK);
    env->headers = doc;
    env->content_type = CEL_SLICE("application/json");
    env->body = body;
    return cel_task_call_read(env, &limits, &call, &err);
}

static enum cel_call_fault read_body(struct cel_slice body, struct cel_slice method)
{
    return cel_task_call_body(&env->arena, body, CEL_SLICE("application/json"), method,
                              &limits, &call, &err);
}

#define HEADERS "{\"task\": \"t\", \"id\": \"i\"}"

static void test_protocol_2_leaves_the_body(void **state)
{
    (void)state;
    assert_int_equal(read_call(HEADERS, CEL_SLICE("not JSON")), CEL_CALL_OK);
    assert_int_equal(call.protocol, 2);
    assert_null(call.args);
    assert_int_equal(read_body(env->body, CEL_SLICE_NULL), CEL_CALL_DECODE);
    assert_int_equal(read_body(CEL_SLICE("[[1], {\"a\": 2}, {}]"), CEL_SLICE_NULL),
                     CEL_CALL_OK);
    assert_int_equal(call.args->size, 1);
    assert_int_equal(call.kwargs->size, 1);
    assert_non_null(call.embed);
}

static void test_protocol_1_reads_the_body(void **state)
{
    (void)state;
    struct cel_slice body = CEL_SLICE("{\"task\": \"t\", \"id\": \"i\", \"args\": [1]}");
    assert_int_equal(read_call("{}", body), CEL_CALL_OK);
    assert_int_equal(call.protocol, 1);
    assert_int_equal(call.args->size, 1);
    /* A child process reads the same body again. */
    call.args = NULL;
    assert_int_equal(read_body(body, CEL_SLICE_NULL), CEL_CALL_OK);
    assert_int_equal(call.args->size, 1);
}

static void test_headers_win_in_a_hybrid(void **state)
{
    (void)state;
    assert_int_equal(read_call("{\"task\": \"t\", \"retries\": 2}",
                               CEL_SLICE("{\"task\": \"other\", \"id\": \"i\", \"args\": "
                                         "[1], \"retries\": 1, \"timelimit\": [5, 4]}")),
                     CEL_CALL_OK);
    assert_true(cel_slice_is(call.task, "t") && cel_slice_is(call.id, "i"));
    assert_int_equal(call.retries, 2);
    assert_true(call.time_limit == 5);
}

static void test_limits_of_size(void **state)
{
    (void)state;
    char big[1200];
    memset(big, ' ', sizeof big);
    assert_int_equal(read_call(HEADERS, CEL_SLICE_NULL), CEL_CALL_OK);
    assert_int_equal(read_body(cel_slice(big, sizeof big), CEL_SLICE_NULL),
                     CEL_CALL_DECODE);
    assert_int_equal(err.status, CELERY_ELIMIT);

    const struct cel_compression *zlib = cel_compression_find(CEL_SLICE("zlib"));
    struct cel_buf packed = {0};
    assert_int_equal(zlib->compress(&packed, cel_slice(big, sizeof big), NULL),
                     CELERY_OK);
    assert_true(packed.len < 100);
    assert_int_equal(read_body(cel_buf_slice(&packed), CEL_SLICE("zlib")),
                     CEL_CALL_DECODE);
    assert_int_equal(err.status, CELERY_ELIMIT);
    cel_buf_fini(&packed);
}

/* 20 MB of blanks in 20 kB: no slot of a pool is kept busy with that. */
static void test_a_bomb_is_given_up_early(void **state)
{
    (void)state;
    size_t size = 20 << 20;
    char *big = malloc(size);
    const struct cel_compression *zlib = cel_compression_find(CEL_SLICE("zlib"));
    struct cel_buf packed = {0};
    assert_non_null(big);
    memset(big, ' ', size);
    limits.max_body = 64 << 20;
    assert_int_equal(read_call(HEADERS, CEL_SLICE_NULL), CEL_CALL_OK);
    assert_int_equal(zlib->compress(&packed, cel_slice(big, size), NULL), CELERY_OK);
    assert_int_equal(read_body(cel_buf_slice(&packed), CEL_SLICE("zlib")),
                     CEL_CALL_DECODE);
    assert_int_equal(err.status, CELERY_ELIMIT);
    cel_buf_clear(&packed);
    memcpy(big, "[[], {}, {}]", 12);
    assert_int_equal(zlib->compress(&packed, cel_slice(big, 15 << 20), NULL), CELERY_OK);
    assert_int_equal(read_body(cel_buf_slice(&packed), CEL_SLICE("zlib")), CEL_CALL_OK);
    cel_buf_fini(&packed);
    free(big);
}

static void test_faults_keep_their_class(void **state)
{
    (void)state;
    assert_int_equal(read_call(HEADERS, CEL_SLICE_NULL), CEL_CALL_OK);
    assert_int_equal(read_body(CEL_SLICE("[]"), CEL_SLICE_NULL), CEL_CALL_INVALID);
    assert_int_equal(read_body(CEL_SLICE("[[], {}, {}]"), CEL_SLICE("no")),
                     CEL_CALL_DECODE);
    assert_int_equal(cel_task_call_body(&env->arena, CEL_SLICE("x"),
                                        CEL_SLICE("application/x-python-serialize"),
                                        CEL_SLICE_NULL, &limits, &call, &err),
                     CEL_CALL_CONTENT);
    assert_non_null(strstr(err.message, "task_serializer"));
    assert_int_equal(read_call("{\"task\": [], \"id\": \"i\"}", CEL_SLICE_NULL),
                     CEL_CALL_INVALID);
    assert_true(cel_slice_is(call.id, "i"));
    assert_int_equal(read_call("{}", CEL_SLICE("[1]")), CEL_CALL_UNKNOWN);
    assert_int_equal(read_call("{}", CEL_SLICE("{")), CEL_CALL_DECODE);
}

static void test_failing_memory_is_not_the_messages_fault(void **state)
{
    (void)state;
    struct cel_slice body = CEL_SLICE("{\"task\": \"t\", \"id\": \"i\"}");
    bool seen = false;
    for (unsigned long n = 1; n < 20; n++) {
        assert_int_equal(read_call("{}", CEL_SLICE("[")), CEL_CALL_DECODE);
        env->body = body;
        env->arena.next = env->arena.end;
        cel_alloc_fail_at(n, 1);
        enum cel_call_fault fault = cel_task_call_read(env, &limits, &call, &err);
        cel_alloc_fail_at(0, 0);
        assert_true(fault == CEL_CALL_NOMEM || fault == CEL_CALL_OK);
        seen = seen || fault == CEL_CALL_NOMEM;
    }
    assert_true(seen);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_protocol_2_leaves_the_body),
        T(test_protocol_1_reads_the_body),
        T(test_headers_win_in_a_hybrid),
        T(test_limits_of_size),
        T(test_a_bomb_is_given_up_early),
        T(test_faults_keep_their_class),
        T(test_failing_memory_is_not_the_messages_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
