/* SPDX-License-Identifier: BSD-3-Clause */
/* What every result backend promises: run on memory, in a folder and on a private Redis server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "observed.h"
#include "redis_server.h"
#include "sql_server.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_METAS = 4096 };

static char url_text[300];
static struct redis_server *server;

struct fixture {
    struct cel_loop *loop;
    struct cel_url *url;
    struct cel_config *config;
    struct cel_backend *b;
    struct cel_backend *other;
    struct told told; /* by both */
};

static void connect_backend(struct fixture *f, struct cel_backend **ret_b)
{
    struct seen seen = {0};
    celery_error err = {0};
    if (cel_backend_new(f->loop, &f->url, 1, f->config, &told_events, &f->told, ret_b,
                        &err) < 0) {
        fail_msg("%s", err.message);
    }
    (*ret_b)->ops->connect(*ret_b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
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
    f->b->ops->store(f->b, &meta, to(seen));
}

static void load(struct fixture *f, const char *id)
{
    struct seen seen = {0};
    struct cel_slice ids[] = {cel_slice_of(id)};
    f->told.last_status[0] = '\0';
    f->b->ops->load(f->b, ids, 1, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
}

static void test_what_is_stored_is_loaded(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "SUCCESS", "42", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.sum, 1);
    load(f, id);
    assert_string_equal(f->told.last_id, id);
    assert_string_equal(f->told.last_status, "SUCCESS");
    assert_string_equal(f->told.last_result, "42");
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
        run_until(f->loop, &seen.answers, 1);
        assert_int_equal(seen.sum, answers[i]);
    }
    load(f, id);
    assert_string_equal(f->told.last_status, "SUCCESS");
    assert_string_equal(f->told.last_result, "5");
}

static void test_order_within_a_pass_is_kept(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "STARTED", "1", &seen);
    store(f, id, "SUCCESS", "2", &seen);
    store(f, id, "FAILURE", "3", &seen);
    run_until(f->loop, &seen.answers, 3);
    assert_int_equal(seen.sum, 2);
    load(f, id);
    assert_string_equal(f->told.last_result, "2");
}

static void test_many_in_a_pass_are_all_answered(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    for (int i = 0; i < 1000; i++) {
        store(f, fresh_id(id), "SUCCESS", "\"abc\"", &seen);
    }
    run_until(f->loop, &seen.answers, 1000);
    assert_int_equal(seen.errors, 0);
    assert_int_equal(seen.sum, 1000);
    load(f, id);
    assert_string_equal(f->told.last_result, "abc");
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
    run_until(f->loop, &seen.answers, 4);
    if (strncmp(url_text, "db+mysql", 8) == 0) {
        /* Its columns hold 64 KiB. */
        assert_int_equal(seen.errors, 4);
        assert_int_equal(seen.status, CELERY_ELIMIT);
        assert_non_null(strstr(seen.message, "LONGBLOB"));
        return;
    }
    assert_int_equal(seen.sum, 4);
    load(f, id);
    assert_int_equal(strlen(f->told.last_result), sizeof f->told.last_result - 1);
}

static void test_load_reports_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char a[32];
    char b[32];
    store(f, fresh_id(a), "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    struct cel_slice ids[] = {cel_slice_of(fresh_id(b)), cel_slice_of(a)};
    seen = (struct seen){0};
    f->b->ops->load(f->b, ids, 2, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.sum, 1);
    assert_int_equal(f->told.metas, 2);
    assert_int_equal(f->told.missing, 1);
    f->b->ops->load(f->b, NULL, 0, to(&seen));
    run_until(f->loop, &seen.answers, 2);
}

static void test_watch_reports_now_and_every_change(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    assert_int_equal(f->b->ops->watch(f->b, cel_slice_of(fresh_id(id))), CELERY_OK);
    run_until(f->loop, &f->told.metas, 1);
    assert_int_equal(f->told.missing, 1);
    connect_backend(f, &f->other);
    struct cel_backend *watcher = f->b;
    f->b = f->other;
    store(f, id, "STARTED", "1", &seen);
    f->b = watcher;
    run_until(f->loop, &f->told.metas, 2);
    assert_string_equal(f->told.last_status, "STARTED");
    store(f, id, "SUCCESS", "2", &seen);
    run_until(f->loop, &f->told.metas, 3);
    assert_string_equal(f->told.last_status, "SUCCESS");
    assert_string_equal(f->told.last_id, id);
    f->b->ops->unwatch(f->b, cel_slice_of(id));
    f->b->ops->unwatch(f->b, cel_slice_of(id));
    run_quiet(f->loop);
    assert_int_equal(f->told.metas, 3);
}

static void test_watch_of_a_finished_task_reports_it(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "SUCCESS", "7", &seen);
    run_until(f->loop, &seen.answers, 1);
    f->b->ops->watch(f->b, cel_slice_of(id));
    run_until(f->loop, &f->told.metas, 1);
    assert_string_equal(f->told.last_result, "7");
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
    run_until(f->loop, &f->told.metas, 1);
    f->b->ops->watch(f->b, cel_slice_of(other));
    run_until(f->loop, &f->told.metas, 2);
    f->b->ops->unwatch(f->b, cel_slice_of(other));
    store(f, other, "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    run_quiet(f->loop);
    assert_int_equal(f->told.metas, 2);
}

static void test_many_watches_report_each(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    static char ids[200][32];
    for (int i = 0; i < 200; i++) {
        f->b->ops->watch(f->b, cel_slice_of(fresh_id(ids[i])));
    }
    run_until(f->loop, &f->told.missing, 200);
    for (int i = 0; i < 200; i++) {
        store(f, ids[i], "SUCCESS", "1", &seen);
    }
    run_until(f->loop, &f->told.metas, 400);
    assert_int_equal(f->told.missing, 200);
}

static void test_forget_removes(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    seen = (struct seen){0};
    f->b->ops->forget(f->b, cel_slice_of(id), to(&seen));
    f->b->ops->forget(f->b, cel_slice_of(id), to(&seen));
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(seen.sum, 1);
    load(f, id);
    assert_int_equal(f->told.missing, 1);
}

static void test_close_answers_everything_and_tells_nobody(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    struct cel_slice ids[] = {CEL_SLICE("x")};
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    f->b->ops->load(f->b, ids, 1, to(&seen));
    f->b->ops->watch(f->b, cel_slice_of(id));
    f->b->ops->close(f->b);
    assert_int_equal(seen.answers, 2);
    f->b->ops->close(f->b);
    run_quiet(f->loop);
    assert_int_equal(f->told.lost, 0);
    seen = (struct seen){0};
    store(f, id, "SUCCESS", "1", &seen);
    f->b->ops->load(f->b, ids, 1, to(&seen));
    f->b->ops->forget(f->b, ids[0], to(&seen));
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
    f->b->ops->connect(f->b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(seen.errors, 0);
}

/* ---- files alone ---- */

static char folder[] = "/tmp/contract-backend-XXXXXX";

static void assert_errors(struct fixture *f, const char *id, celery_status status)
{
    struct seen seen = {0};
    store(f, id, "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(seen.status, status);
}

static void test_file_ids_stay_in_the_folder(void **state)
{
    struct fixture *f = *state;
    char id[400];
    assert_errors(f, "../x", CELERY_EMESSAGE);
    assert_errors(f, "a/b", CELERY_EMESSAGE);
    assert_errors(f, "", CELERY_EMESSAGE);
    memset(id, 'x', sizeof id);
    id[sizeof id - 1] = '\0';
    assert_errors(f, id, CELERY_EMESSAGE);
}

static void put_file(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* As Python does it: emptied first, then written. */
static void test_file_half_written_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    char name[64];
    snprintf(name, sizeof name, "celery-task-meta-%s", fresh_id(id));
    put_file(name, "{\"status\": \"SUCC");
    load(f, id);
    assert_int_equal(f->told.missing, 1);
    f->b->ops->watch(f->b, cel_slice_of(id));
    run_until(f->loop, &f->told.missing, 2);
    put_file(name, "{\"task_id\": \"x\", \"status\": \"SUCCESS\", \"result\": 5}");
    run_until(f->loop, &f->told.metas, 3);
    assert_string_equal(f->told.last_status, "SUCCESS");
    store(f, id, "FAILURE", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.sum, 0);
}

static void test_file_folder_that_is_gone_is_an_error(void **state)
{
    struct fixture *f = *state;
    char moved[sizeof folder + 4];
    char id[32];
    snprintf(moved, sizeof moved, "%s.x", folder);
    f->b->ops->close(f->b);
    assert_int_equal(rename(folder, moved), 0);
    struct seen seen = {0};
    f->b->ops->connect(f->b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.status, CELERY_ECONNECT);
    assert_non_null(strstr(seen.message, folder));
    assert_int_equal(rename(moved, folder), 0);
    seen = (struct seen){0};
    f->b->ops->connect(f->b, 0, to(&seen));
    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(seen.errors, 0);
}

/* ---- Redis alone ---- */

static void test_redis_lost_server_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    f->b->ops->watch(f->b, cel_slice_of(fresh_id(id)));
    run_until(f->loop, &f->told.metas, 1);
    store(f, id, "STARTED", "1", &seen);
    run_until(f->loop, &f->told.metas, 2);
    redis_server_signal(server, SIGKILL);
    store(f, id, "SUCCESS", "1", &seen);
    run_until(f->loop, &f->told.lost, 1);
    run_quiet(f->loop);
    assert_int_equal(f->told.lost, 1);
    assert_int_equal(seen.answers, 2);
    assert_int_equal(seen.errors, 1);
    seen = (struct seen){0};
    f->b->ops->connect(f->b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(f->told.lost, 1);
}

/* ---- SQL alone ---- */

static struct sql_server *database;

/* Every connection is closed again and again, in the midst of it: nothing is lost. */
static void test_sql_terminated_sessions_lose_nothing(void **state)
{
    struct fixture *f = *state;
    char ids[40][32];
    for (int i = 0; i < 40; i++) {
        struct seen seen = {0};
        store(f, fresh_id(ids[i]), "STARTED", "1", &seen);
        store(f, ids[i], "SUCCESS", "2", &seen);
        store(f, ids[i], "FAILURE", "3", &seen);
        assert_int_equal(sql_server_do(database, "drop"), 0);
        run_until(f->loop, &seen.answers, 3);
        assert_int_equal(seen.errors, 0);
        assert_true(seen.sum >= 1);
    }
    for (int i = 0; i < 40; i++) {
        load(f, ids[i]);
        assert_string_equal(f->told.last_status, "SUCCESS");
        assert_string_equal(f->told.last_result, "2");
    }
    assert_int_equal(f->told.lost, 0);
}

static void test_sql_lost_server_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    store(f, fresh_id(id), "STARTED", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(sql_server_do(database, "kill"), 0);
    store(f, id, "SUCCESS", "1", &seen);
    run_until(f->loop, &f->told.lost, 1);
    run_quiet(f->loop);
    assert_int_equal(f->told.lost, 1);
    assert_int_equal(seen.answers, 2);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(seen.status, CELERY_ECLOSED);
    seen = (struct seen){0};
    f->b->ops->connect(f->b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 1);
    assert_null(strstr(seen.message, "p@ss"));
    assert_int_equal(sql_server_do(database, "start"), 0);
    f->b->ops->connect(f->b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(seen.errors, 1);
    load(f, id);
    assert_string_equal(f->told.last_status, "STARTED");
}

static void test_sql_expired_results_are_removed(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char ids[3][32];
    for (int i = 0; i < 3; i++) {
        struct cel_task_meta meta = {
            .task_id = cel_slice_of(fresh_id(ids[i])),
            .status = CEL_SLICE("SUCCESS"),
            .date_done_us = i == 0   ? 1000000
                            : i == 1 ? INT64_MIN
                                     : cel_clock_wall_us() - 3600 * 1000000LL,
        };
        f->b->ops->store(f->b, &meta, to(&seen));
    }
    run_until(f->loop, &seen.answers, 3);
    seen = (struct seen){0};
    f->b->ops->cleanup(f->b, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    assert_int_equal(seen.sum, 1);
    load(f, ids[0]);
    assert_int_equal(f->told.missing, 1);
    load(f, ids[1]);
    load(f, ids[2]);
    assert_int_equal(f->told.missing, 1);
}

static void test_sql_groups_are_saved(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];
    char tuple[200];
    fresh_id(id);
    snprintf(tuple, sizeof tuple,
             "[[\"%s\", null], [[[\"a\", null], null], [[\"b\", null], null]]]", id);
    struct cel_group_note note = {.kind = CEL_NOTE_SAVE_GROUP,
                                  .group_id = cel_slice_of(id),
                                  .json = cel_slice_of(tuple)};
    f->b->ops->note(f->b, &note, to(&seen));
    f->b->ops->note(f->b, &note, to(&seen));
    f->b->ops->load_group(f->b, cel_slice_of(id), to(&seen));
    f->b->ops->forget_group(f->b, cel_slice_of(id), to(&seen));
    run_until(f->loop, &seen.answers, 4);
    assert_int_equal(seen.errors, 0);
    assert_int_equal(seen.sum, 4);
    f->b->ops->load_group(f->b, cel_slice_of(id), to(&seen));
    run_until(f->loop, &seen.answers, 5);
    assert_int_equal(seen.sum, 4);
}

#define WITH_BACKEND(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static const struct CMUnitTest sql_tests[] = {
    WITH_BACKEND(test_sql_groups_are_saved),
    WITH_BACKEND(test_sql_expired_results_are_removed),
};
static const struct CMUnitTest sql_server_tests[] = {
    WITH_BACKEND(test_sql_terminated_sessions_lose_nothing),
    WITH_BACKEND(test_sql_lost_server_is_told_once),
};

static int run_sql_tests(const char *kind)
{
    int failed = cmocka_run_group_tests_name(kind, sql_tests, NULL, NULL);
    return failed + (database ? cmocka_run_group_tests_name("with its server",
                                                            sql_server_tests, NULL, NULL)
                              : 0);
}

/* A file, or a server of our own; negative: the test is over with that status. */
static int begin_sql(const char *kind)
{
    int skip = 0;
    if (strcmp(kind, "sqlite") == 0) {
        if (!mkdtemp(folder)) {
            return -1;
        }
        snprintf(url_text, sizeof url_text, "db+sqlite:///%s/results.db", folder);
        return 0;
    }
    database = sql_server_start(kind, &skip);
    if (!database) {
        return skip ? -TEST_SKIPPED : -1;
    }
    snprintf(url_text, sizeof url_text, "%s", sql_server_url(database));
    return 0;
}

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
    const struct CMUnitTest file_tests[] = {
        WITH_BACKEND(test_file_ids_stay_in_the_folder),
        WITH_BACKEND(test_file_half_written_is_not_there),
        WITH_BACKEND(test_file_folder_that_is_gone_is_an_error),
    };
    const struct CMUnitTest redis_tests[] = {
        WITH_BACKEND(test_redis_lost_server_is_told_once),
    };
    if (argc > 1 && strcmp(argv[1], "memory") == 0) {
        snprintf(url_text, sizeof url_text, "memory://");
        return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
    }
    if (argc > 1 && strcmp(argv[1], "file") == 0) {
        char command[64];
        if (!mkdtemp(folder)) {
            return 1;
        }
        snprintf(url_text, sizeof url_text, "file://%s", folder);
        int bad = cmocka_run_group_tests_name("file", tests, NULL, NULL);
        bad += cmocka_run_group_tests_name("file alone", file_tests, NULL, NULL);
        snprintf(command, sizeof command, "rm -r %s", folder);
        return bad + system(command);
    }
    if (argc > 1 && strcmp(argv[1], "redis") != 0) {
        char command[64];
        int over = begin_sql(argv[1]);
        if (over) {
            return -over;
        }
        int bad = cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
        bad += run_sql_tests(argv[1]);
        database = sql_server_stop(database);
        snprintf(command, sizeof command, "rm -rf %s", folder);
        return bad + system(command);
    }
    int failed = redis_server_begin(&server, url_text, sizeof url_text);
    if (failed) {
        return failed;
    }
    failed = cmocka_run_group_tests_name("redis", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("redis, lost", redis_tests, NULL, NULL);
    server = redis_server_stop(server);
    return failed;
}
