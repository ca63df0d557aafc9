/* SPDX-License-Identifier: BSD-3-Clause */
/* What every result backend promises: run on memory and on a private Redis server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "redis_server.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_METAS = 4096 };

static char url_text[300];
static struct redis_server *server;

struct seen {
    int answers;
    int errors;
    celery_status status;
    int64_t sum;
};

struct fixture {
    struct cel_loop *loop;
    struct cel_url *url;
    struct cel_config *config;
    struct cel_backend *b;
    struct cel_backend *other;
    int metas, missing, lost;
    char last_id[64];
    char last_status[64];
    char last_result[64];
};

static void on_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
    struct fixture *f = ctx;
    struct cel_slice status = cel_meta_status(doc);
    struct cel_slice result = cel_node_text(cel_node_get(doc, CEL_SLICE("result")));
    snprintf(f->last_id, sizeof f->last_id, "%.*s", (int)task_id.len, task_id.data);
    snprintf(f->last_status, sizeof f->last_status, "%.*s", (int)status.len,
             status.data ? status.data : "");
    snprintf(f->last_result, sizeof f->last_result, "%.*s", (int)result.len,
             result.data ? result.data : "");
    f->metas++;
    f->missing += doc == NULL;
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct fixture *f = ctx;
    assert_true(why->status < 0);
    f->lost++;
}

static const struct cel_backend_events events = {.meta = on_meta, .lost = on_lost};

static void on_done(void *ctx, const celery_error *err, int64_t answer)
{
    struct seen *seen = ctx;
    seen->answers++;
    seen->sum += answer;
    if (err) {
        seen->errors++;
        seen->status = err->status;
    }
}

static void run_until(struct fixture *f, const int *counter, int want)
{
    double deadline = cel_clock_mono() + 10;
    while (*counter < want && cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.5);
    }
    assert_int_equal(*counter, want);
}

/* Long enough for anything that should not come. */
static void run_quiet(struct fixture *f)
{
    double deadline = cel_clock_mono() + 0.05;
    while (cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.01);
    }
}

static void connect_backend(struct fixture *f, struct cel_backend **ret_b)
{
    struct seen seen = {0};
    celery_error err = {0};
    if (cel_backend_new(f->loop, &f->url, 1, f->config, &events, f, ret_b, &err) < 0) {
        fail_msg("%s", err.message);
    }
    (*ret_b)->ops->connect(*ret_b, 0, (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(cel_loop_new(&f->loop, NULL), CELERY_OK);
    assert_int_equal(cel_url_parse(url_text, &f->url, NULL), CELERY_OK);
    f->config = cel_config_new();
    connect_backend(f, &f->b);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cel_backend_free(f->b);
    cel_backend_free(f->other);
    cel_config_free(f->config);
    cel_url_free(f->url);
    cel_loop_free(f->loop);
    free(f);
    return 0;
}

static void store(struct fixture *f, const char *id, const char *status,
                  const char *result, struct seen *seen)
{
    struct cel_task_meta meta = {
        .task_id = cel_slice_of(id),
        .status = cel_slice_of(status),
        .result_json = cel_slice_of(result),
        .date_done_us = INT64_MIN,
    };
    f->b->ops->store(f->b, &meta, (struct cel_done){on_done, seen});
}

/* Ids of their own for each test: the server stays. */
static const char *fresh_id(char id[32])
{
    static int n;
    snprintf(id, 32, "id-%d-%d", (int)getpid(), n++);
    return id;
}

static void load(struct fixture *f, const char *id)
{
    struct seen seen = {0};
    struct cel_slice ids[] = {cel_slice_of(id)};
    f->last_status[0] = '\0';
    f->b->ops->load(f->b, ids, 1, (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
}

static void test_what_is_stored_is_loaded(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "SUCCESS", "42", &seen);
    run_until(f, &seen.answers, 1);
    assert_int_equal(seen.sum, 1);
    load(f, id);
    assert_string_equal(f->last_id, id);
    assert_string_equal(f->last_status, "SUCCESS");
    assert_string_equal(f->last_result, "42");
}

static void test_success_is_terminal_and_nothing_else_is(void **state)
{
    struct fixture *f = *state;
    static const char *const states[] = {"STARTED", "RETRY",   "FAILURE", "REVOKED",
                                         "STARTED", "SUCCESS", "FAILURE", "SUCCESS"};
    static const int64_t answers[] = {1, 1, 1, 1, 1, 1, 0, 0};
    char id[32];
    fresh_id(id);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct seen seen = {0};
        char result[8];
        snprintf(result, sizeof result, "%zu", i);
        store(f, id, states[i], result, &seen);
        run_until(f, &seen.answers, 1);
        assert_int_equal(seen.sum, answers[i]);
    }
    load(f, id);
    assert_string_equal(f->last_status, "SUCCESS");
    assert_string_equal(f->last_result, "5");
}

static void test_order_within_a_pass_is_kept(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "STARTED", "1", &seen);
    store(f, id, "SUCCESS", "2", &seen);
    store(f, id, "FAILURE", "3", &seen);
    run_until(f, &seen.answers, 3);
    assert_int_equal(seen.sum, 2);
    load(f, id);
    assert_string_equal(f->last_result, "2");
}

static void test_many_in_a_pass_are_all_answered(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    for (int i = 0; i < 1000; i++) {
        store(f, fresh_id(id), "SUCCESS", "\"abc\"", &seen);
    }
    run_until(f, &seen.answers, 1000);
    assert_int_equal(seen.errors, 0);
    assert_int_equal(seen.sum, 1000);
    load(f, id);
    assert_string_equal(f->last_result, "abc");
}

static void test_large_documents_pass(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    size_t len = 3 << 20;
    char *text = malloc(len + 3);
    assert_non_null(text);
    memset(text, 'x', len + 2);
    text[0] = text[len + 1] = '"';
    text[len + 2] = '\0';
    for (int i = 0; i < 4; i++) {
        store(f, fresh_id(id), "SUCCESS", text, &seen);
    }
    free(text);
    run_until(f, &seen.answers, 4);
    assert_int_equal(seen.sum, 4);
    load(f, id);
    assert_int_equal(strlen(f->last_result), sizeof f->last_result - 1);
}

static void test_load_reports_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char a[32];
    char b[32];
    store(f, fresh_id(a), "SUCCESS", "1", &seen);
    run_until(f, &seen.answers, 1);
    struct cel_slice ids[] = {cel_slice_of(fresh_id(b)), cel_slice_of(a)};
    seen = (struct seen){0};
    f->b->ops->load(f->b, ids, 2, (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 1);
    assert_int_equal(seen.sum, 1);
    assert_int_equal(f->metas, 2);
    assert_int_equal(f->missing, 1);
    f->b->ops->load(f->b, NULL, 0, (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 2);
}

static void test_watch_reports_now_and_every_change(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    assert_int_equal(f->b->ops->watch(f->b, cel_slice_of(fresh_id(id))), CELERY_OK);
    run_until(f, &f->metas, 1);
    assert_int_equal(f->missing, 1);
    connect_backend(f, &f->other);
    struct cel_backend *watcher = f->b;
    f->b = f->other;
    store(f, id, "STARTED", "1", &seen);
    f->b = watcher;
    run_until(f, &f->metas, 2);
    assert_string_equal(f->last_status, "STARTED");
    store(f, id, "SUCCESS", "2", &seen);
    run_until(f, &f->metas, 3);
    assert_string_equal(f->last_status, "SUCCESS");
    assert_string_equal(f->last_id, id);
    f->b->ops->unwatch(f->b, cel_slice_of(id));
    f->b->ops->unwatch(f->b, cel_slice_of(id));
    run_quiet(f);
    assert_int_equal(f->metas, 3);
}

static void test_watch_of_a_finished_task_reports_it(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "SUCCESS", "7", &seen);
    run_until(f, &seen.answers, 1);
    f->b->ops->watch(f->b, cel_slice_of(id));
    run_until(f, &f->metas, 1);
    assert_string_equal(f->last_result, "7");
    f->b->ops->unwatch(f->b, cel_slice_of(id));
}

static void test_unwatched_at_once_reports_nothing(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    char other[32];
    fresh_id(id);
    f->b->ops->watch(f->b, cel_slice_of(fresh_id(other)));
    run_until(f, &f->metas, 1);
    f->b->ops->watch(f->b, cel_slice_of(other));
    run_until(f, &f->metas, 2);
    f->b->ops->unwatch(f->b, cel_slice_of(other));
    store(f, other, "SUCCESS", "1", &seen);
    run_until(f, &seen.answers, 1);
    run_quiet(f);
    assert_int_equal(f->metas, 2);
}

static void test_many_watches_report_each(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    static char ids[200][32];
    for (int i = 0; i < 200; i++) {
        f->b->ops->watch(f->b, cel_slice_of(fresh_id(ids[i])));
    }
    run_until(f, &f->missing, 200);
    for (int i = 0; i < 200; i++) {
        store(f, ids[i], "SUCCESS", "1", &seen);
    }
    run_until(f, &f->metas, 400);
    assert_int_equal(f->missing, 200);
}

static void test_forget_removes(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    run_until(f, &seen.answers, 1);
    seen = (struct seen){0};
    f->b->ops->forget(f->b, cel_slice_of(id), (struct cel_done){on_done, &seen});
    f->b->ops->forget(f->b, cel_slice_of(id), (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 2);
    assert_int_equal(seen.sum, 1);
    load(f, id);
    assert_int_equal(f->missing, 1);
}

static void test_close_answers_everything_and_tells_nobody(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    struct cel_slice ids[] = {CEL_SLICE("x")};
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    f->b->ops->load(f->b, ids, 1, (struct cel_done){on_done, &seen});
    f->b->ops->watch(f->b, cel_slice_of(id));
    f->b->ops->close(f->b);
    assert_int_equal(seen.answers, 2);
    f->b->ops->close(f->b);
    run_quiet(f);
    assert_int_equal(f->lost, 0);
    seen = (struct seen){0};
    store(f, id, "SUCCESS", "1", &seen);
    f->b->ops->load(f->b, ids, 1, (struct cel_done){on_done, &seen});
    f->b->ops->forget(f->b, ids[0], (struct cel_done){on_done, &seen});
    assert_int_equal(seen.answers, 3);
    assert_int_equal(seen.errors, 3);
    assert_int_equal(seen.status, CELERY_ECLOSED);
    assert_int_equal(f->b->ops->watch(f->b, ids[0]), CELERY_ECLOSED);
}

static void test_connects_again_after_close(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    f->b->ops->close(f->b);
    f->b->ops->connect(f->b, 0, (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    run_until(f, &seen.answers, 2);
    assert_int_equal(seen.errors, 0);
}

/* ---- Redis alone ---- */

static void test_redis_lost_server_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    f->b->ops->watch(f->b, cel_slice_of(fresh_id(id)));
    run_until(f, &f->metas, 1);
    store(f, id, "STARTED", "1", &seen);
    run_until(f, &f->metas, 2);
    redis_server_signal(server, SIGKILL);
    store(f, id, "SUCCESS", "1", &seen);
    run_until(f, &f->lost, 1);
    run_quiet(f);
    assert_int_equal(f->lost, 1);
    assert_int_equal(seen.answers, 2);
    assert_int_equal(seen.errors, 1);
    seen = (struct seen){0};
    f->b->ops->connect(f->b, 0, (struct cel_done){on_done, &seen});
    run_until(f, &seen.answers, 1);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(f->lost, 1);
}

#define WITH_BACKEND(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_BACKEND(test_what_is_stored_is_loaded),
        WITH_BACKEND(test_success_is_terminal_and_nothing_else_is),
        WITH_BACKEND(test_order_within_a_pass_is_kept),
        WITH_BACKEND(test_many_in_a_pass_are_all_answered),
        WITH_BACKEND(test_large_documents_pass),
        WITH_BACKEND(test_load_reports_what_is_missing),
        WITH_BACKEND(test_watch_reports_now_and_every_change),
        WITH_BACKEND(test_watch_of_a_finished_task_reports_it),
        WITH_BACKEND(test_unwatched_at_once_reports_nothing),
        WITH_BACKEND(test_many_watches_report_each),
        WITH_BACKEND(test_forget_removes),
        WITH_BACKEND(test_close_answers_everything_and_tells_nobody),
        WITH_BACKEND(test_connects_again_after_close),
    };
    const struct CMUnitTest redis_tests[] = {
        WITH_BACKEND(test_redis_lost_server_is_told_once),
    };
    if (argc > 1 && strcmp(argv[1], "memory") == 0) {
        snprintf(url_text, sizeof url_text, "memory://");
        return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
    }
    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    server = redis_server_start(NULL);
    if (!server) {
        fprintf(stderr, "redis-server does not start\n");
        return 1;
    }
    snprintf(url_text, sizeof url_text, "%s", redis_server_url(server));
    int failed = cmocka_run_group_tests_name("redis", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("redis, lost", redis_tests, NULL, NULL);
    server = redis_server_stop(server);
    return failed;
}
