/* SPDX-License-Identifier: BSD-3-Clause */
/* What the Redis backend leaves in the server, and what it makes of the server's errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "net/redis_conn.h"
#include "redis_server.h"
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct redis_server *server;
    struct cel_loop *loop;
    struct cel_url *url;
    struct cel_config *config;
    struct cel_backend *b;
    struct cel_redis *redis; /* looks from the side */
    int opened, replies, lost, answers, errors;
    int64_t sum;
    celery_status status;
    char text[400];
    int64_t number;
};

static void on_opened(void *ctx)
{
    ((struct fixture *)ctx)->opened++;
}

static void on_closed(void *ctx, const celery_error *why)
{
}

static const struct cel_redis_events redis_events = {.opened = on_opened,
                                                     .closed = on_closed};

static void on_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
}

static void on_lost(void *ctx, const celery_error *why)
{
    ((struct fixture *)ctx)->lost++;
}

static const struct cel_backend_events backend_events = {.meta = on_meta,
                                                         .lost = on_lost};

static void run_until(struct fixture *f, const int *counter, int want)
{
    double deadline = cel_clock_mono() + 10;
    while (*counter < want && cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.5);
    }
    assert_int_equal(*counter, want);
}

static void on_reply(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct fixture *f = ctx;
    struct cel_slice text = cel_resp_text(reply);
    f->replies++;
    f->number = cel_resp_int(reply);
    snprintf(f->text, sizeof f->text, "%.*s", (int)text.len, text.data ? text.data : "");
}

static void on_part(void *ctx, const celery_error *err, enum cel_chord_answer answer,
                    const struct cel_chord_parts *parts)
{
    struct fixture *f = ctx;
    f->answers++;
    f->errors += err != NULL;
}

static void command(struct fixture *f, const char *text)
{
    int before = f->replies;
    assert_int_equal(cel_redis_commandf(f->redis, on_reply, f, text), CELERY_OK);
    run_until(f, &f->replies, before + 1);
}

static void on_done(void *ctx, const celery_error *err, int64_t answer)
{
    struct fixture *f = ctx;
    f->answers++;
    f->sum += answer;
    if (err) {
        f->errors++;
        f->status = err->status;
    }
}

static int setup(void **state)
{
    static const struct cel_redis_options options = {0};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->server = redis_server_start(NULL);
    assert_non_null(f->server);
    assert_int_equal(cel_loop_new(&f->loop, NULL), CELERY_OK);
    assert_int_equal(cel_url_parse(redis_server_url(f->server), &f->url, NULL),
                     CELERY_OK);
    assert_int_equal(
        cel_redis_open(f->loop, &f->url, 1, &options, &redis_events, f, &f->redis, NULL),
        CELERY_OK);
    run_until(f, &f->opened, 1);
    f->config = cel_config_new();
    *state = f;
    return 0;
}

static void start(struct fixture *f)
{
    celery_error err = {0};
    if (cel_backend_new(f->loop, &f->url, 1, f->config, &backend_events, f, &f->b, &err) <
        0) {
        fail_msg("%s", err.message);
    }
    f->b->ops->connect(f->b, 0, (struct cel_done){on_done, f});
    run_until(f, &f->answers, 1);
    f->answers = 0;
    assert_int_equal(f->errors, 0);
}

static void set(struct fixture *f, const char *name, const char *value)
{
    assert_int_equal(cel_config_set(f->config, name, value, CEL_FROM_API, NULL),
                     CELERY_OK);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cel_backend_free(f->b);
    cel_redis_free(f->redis);
    cel_config_free(f->config);
    cel_url_free(f->url);
    cel_loop_free(f->loop);
    redis_server_stop(f->server);
    free(f);
    return 0;
}

static void store(struct fixture *f, const char *id, const char *status)
{
    struct cel_task_meta meta = {
        .task_id = cel_slice_of(id),
        .status = cel_slice_of(status),
        .result_json = CEL_SLICE("5"),
        .children_json = CEL_SLICE("[]"),
        .date_done_us = 1795352533615386,
    };
    f->b->ops->store(f->b, &meta, (struct cel_done){on_done, f});
}

static void test_key_and_document_are_celerys(void **state)
{
    struct fixture *f = *state;
    start(f);
    store(f, "i", "SUCCESS");
    run_until(f, &f->answers, 1);
    command(f, "GET celery-task-meta-i");
    assert_string_equal(
        f->text, "{\"status\": \"SUCCESS\", \"result\": 5, \"traceback\": null, "
                 "\"children\": [], \"date_done\": \"2026-11-22T13:02:13.615386+00:00\", "
                 "\"task_id\": \"i\"}");
    command(f, "TTL celery-task-meta-i");
    assert_true(f->number > 86000 && f->number <= 86400);
}

static void test_prefix_and_expiry_follow_the_settings(void **state)
{
    struct fixture *f = *state;
    set(f, "result_expires", "0");
    set(f, "result_backend_transport_options", "{\"global_keyprefix\": \"mine\"}");
    start(f);
    store(f, "i", "STARTED");
    store(f, "i", "SUCCESS");
    run_until(f, &f->answers, 2);
    assert_int_equal(f->sum, 2);
    command(f, "TTL mine_celery-task-meta-i");
    assert_int_equal(f->number, -1);
}

static void expect_ttl(struct fixture *f, const char *key, int64_t seconds)
{
    char text[80];
    snprintf(text, sizeof text, "TTL %s", key);
    command(f, text);
    if (f->number > seconds || f->number < (seconds > 5 ? seconds - 5 : seconds)) {
        fail_msg("%s: %lld", key, (long long)f->number);
    }
}

static void test_failures_and_chords_have_lifetimes_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct cel_group_note note = {.group_id = CEL_SLICE("g"), .number = 9};
    struct cel_chord_part part = {.group_id = CEL_SLICE("g"),
                                  .task_id = CEL_SLICE("a"),
                                  .state = CEL_SLICE("SUCCESS"),
                                  .result_json = CEL_SLICE("1"),
                                  .claim_seconds = 5,
                                  .token = CEL_SLICE("t"),
                                  .fresh = true};
    set(f, "result_expires", "100");
    set(f, "result_failure_expires", "300");
    set(f, "result_chord_expires", "50");
    start(f);
    store(f, "a", "SUCCESS"); /* one batch, two lifetimes */
    store(f, "b", "FAILURE");
    store(f, "c", "FAILURE");
    store(f, "d", "RETRY");
    store(f, "e", "FAILURE");
    note.kind = CEL_NOTE_CHORD_SIZE;
    f->b->ops->note(f->b, &note, (struct cel_done){on_done, f});
    note.kind = CEL_NOTE_SAVE_GROUP;
    note.json = CEL_SLICE("[[\"g\", null], []]");
    f->b->ops->note(f->b, &note, (struct cel_done){on_done, f});
    note.group_id = CEL_SLICE("h");
    note.of_chord = true;
    f->b->ops->note(f->b, &note, (struct cel_done){on_done, f});
    run_until(f, &f->answers, 8);
    assert_int_equal(f->errors, 0);
    expect_ttl(f, "celery-task-meta-a", 100);
    expect_ttl(f, "celery-task-meta-b", 300);
    expect_ttl(f, "celery-task-meta-c", 300);
    expect_ttl(f, "celery-task-meta-d", 100);
    expect_ttl(f, "celery-task-meta-e", 300);
    expect_ttl(f, "celery-taskset-meta-g.s", 50);
    expect_ttl(f, "celery-taskset-meta-g", 100);
    expect_ttl(f, "celery-taskset-meta-h", 50);
    command(f, "EXPIRE celery-taskset-meta-g 20");
    f->b->ops->add_chord_part(f->b, &part, (struct cel_chord_done){on_part, f});
    run_until(f, &f->answers, 9);
    expect_ttl(f, "celery-taskset-meta-g.j", 50);
    expect_ttl(f, "celery-taskset-meta-g",
               100); /* users read it: never less than a result */
}

static void test_chords_and_failures_may_stay_for_ever(void **state)
{
    struct fixture *f = *state;
    struct cel_group_note note = {.group_id = CEL_SLICE("g"), .number = 2};
    set(f, "result_failure_expires", "0");
    set(f, "result_chord_expires", "0");
    start(f);
    store(f, "a", "SUCCESS");
    store(f, "b", "FAILURE");
    f->b->ops->note(f->b, &note, (struct cel_done){on_done, f});
    run_until(f, &f->answers, 3);
    expect_ttl(f, "celery-task-meta-a", 86400);
    expect_ttl(f, "celery-task-meta-b", -1);
    expect_ttl(f, "celery-taskset-meta-g.s", -1);
}

static void test_a_wrong_key_does_not_harm_the_others(void **state)
{
    struct fixture *f = *state;
    start(f);
    command(f, "LPUSH celery-task-meta-b x");
    store(f, "a", "SUCCESS");
    store(f, "b", "SUCCESS");
    store(f, "c", "SUCCESS");
    run_until(f, &f->answers, 3);
    assert_int_equal(f->errors, 1);
    assert_int_equal(f->status, CELERY_EPROTO);
    assert_int_equal(f->sum, 2);
    assert_int_equal(f->lost, 0);
}

static void test_out_of_memory_may_be_tried_again(void **state)
{
    struct fixture *f = *state;
    start(f);
    command(f, "CONFIG SET maxmemory 1");
    store(f, "a", "SUCCESS");
    run_until(f, &f->answers, 1);
    assert_int_equal(f->status, CELERY_ESYSTEM);
    command(f, "CONFIG SET maxmemory 0");
    store(f, "a", "SUCCESS");
    run_until(f, &f->answers, 2);
    assert_int_equal(f->errors, 1);
    assert_int_equal(f->sum, 1);
    assert_int_equal(f->lost, 0);
}

static void test_a_replica_is_left(void **state)
{
    struct fixture *f = *state;
    start(f);
    command(f, "REPLICAOF 127.0.0.1 1");
    store(f, "a", "SUCCESS");
    run_until(f, &f->lost, 1);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->status, CELERY_ECLOSED);
}

static void test_a_forgotten_script_is_sent_again(void **state)
{
    struct fixture *f = *state;
    start(f);
    store(f, "a", "SUCCESS");
    run_until(f, &f->answers, 1);
    command(f, "SCRIPT FLUSH");
    store(f, "b", "SUCCESS");
    run_until(f, &f->answers, 2);
    assert_int_equal(f->sum, 2);
}

static void check_terminal(struct fixture *f)
{
    start(f);
    store(f, "a", "SUCCESS");
    store(f, "b", "RETRY");
    run_until(f, &f->answers, 2);
    assert_int_equal(f->sum, 2);
    store(f, "a", "FAILURE");
    run_until(f, &f->answers, 3);
    assert_int_equal(f->sum, 2);
    store(f, "b", "FAILURE");
    run_until(f, &f->answers, 4);
    assert_int_equal(f->sum, 3);
    assert_int_equal(f->errors, 0);
}

static void test_success_in_msgpack_is_terminal_too(void **state)
{
    struct fixture *f = *state;
    set(f, "result_serializer", "msgpack");
    check_terminal(f);
}

static void test_success_in_yaml_is_terminal_too(void **state)
{
    struct fixture *f = *state;
    if (!cel_codec_find(CEL_SLICE("yaml"))) {
        skip();
    }
    set(f, "result_serializer", "yaml");
    check_terminal(f);
}

static void test_success_in_other_json_is_terminal_too(void **state)
{
    struct fixture *f = *state;
    start(f);
    command(f, "SET celery-task-meta-a {\"task_id\":\"a\",\"status\":\"SUCCESS\"}");
    command(f, "SET celery-task-meta-b {\"task_id\":\"b\",\"status\":\"RETRY\"}");
    command(f, "SET celery-task-meta-c junk");
    store(f, "a", "FAILURE");
    store(f, "b", "FAILURE");
    store(f, "c", "FAILURE");
    run_until(f, &f->answers, 3);
    assert_int_equal(f->sum, 2);
}

#define WITH_SERVER(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_key_and_document_are_celerys),
        WITH_SERVER(test_prefix_and_expiry_follow_the_settings),
        WITH_SERVER(test_failures_and_chords_have_lifetimes_of_their_own),
        WITH_SERVER(test_chords_and_failures_may_stay_for_ever),
        WITH_SERVER(test_a_wrong_key_does_not_harm_the_others),
        WITH_SERVER(test_out_of_memory_may_be_tried_again),
        WITH_SERVER(test_a_replica_is_left),
        WITH_SERVER(test_a_forgotten_script_is_sent_again),
        WITH_SERVER(test_success_in_msgpack_is_terminal_too),
        WITH_SERVER(test_success_in_yaml_is_terminal_too),
        WITH_SERVER(test_success_in_other_json_is_terminal_too),
    };
    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
