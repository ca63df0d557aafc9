/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole backend on a driver that fails as it is told: what is done again, and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/sql.h"
#include "base/clock.h"
#include "base/module.h"
#include "modules/fake_sql.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a database: called by the backend's thread ---- */

static struct {
    pthread_mutex_t lock;
    enum cel_sql_fault faults[40]; /* of the next statements that write; 0: none */
    size_t n_faults;
    enum cel_sql_fault open_fault;
    int opened, closed, statements, rows;
    bool hangs; /* until it is told to stop */
    int stop_fd;
} db = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void version(char *text, size_t size)
{
    snprintf(text, size, "fake 1");
}

static void set_error(struct cel_sql_error *err, enum cel_sql_fault fault)
{
    *err = (struct cel_sql_error){.fault = fault, .text = "scripted"};
}

static void *open_conn(const struct cel_sql_target *target, double seconds,
                       struct cel_sql_error *err)
{
    pthread_mutex_lock(&db.lock);
    enum cel_sql_fault fault = db.open_fault;
    db.opened += !fault;
    db.stop_fd = target->stop_fd;
    pthread_mutex_unlock(&db.lock);
    if (fault) {
        set_error(err, fault);
    }
    return fault ? NULL : &db;
}

static void close_conn(void *conn)
{
    pthread_mutex_lock(&db.lock);
    db.closed++;
    pthread_mutex_unlock(&db.lock);
}

static bool hang(struct cel_sql_error *err)
{
    struct pollfd fd = {.fd = db.stop_fd, .events = POLLIN};

    poll(&fd, 1, 20000);
    set_error(err, CEL_SQL_STOPPED);
    return false;
}

/* Tables have the columns of Celery 5.6 without result_extended; all is written. */
static void give_columns(const struct cel_sql_rows *rows)
{
    for (int i = 0; i < CEL_COL_NAME; i++) {
        struct cel_sql_value v[4] = {cel_sql_text(cel_slice_of(cel_sql_column_names[i]))};

        rows->row(rows->ctx, v, 4);
    }
}

static bool run(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err)
{
    if (strncmp(sql, "INSERT", 6) != 0) {
        if (strstr(sql, "pragma_table_info") || strstr(sql, "pg_attribute")) {
            give_columns(rows);
        }
        return true;
    }
    pthread_mutex_lock(&db.lock);
    db.statements++;
    bool hangs = db.hangs;
    enum cel_sql_fault fault = db.n_faults > 0 ? db.faults[--db.n_faults] : 0;
    for (size_t i = 0; !fault && !hangs && i < n; i += 5) {
        db.rows++;
    }
    pthread_mutex_unlock(&db.lock);
    if (hangs) {
        return hang(err);
    }
    if (fault) {
        set_error(err, fault);
        return false;
    }
    for (size_t i = 0; i < n; i += 5) {
        rows->row(rows->ctx, &values[i], 1);
    }
    return true;
}

static const struct cel_sql_driver driver = {"postgresql", version, open_conn, close_conn,
                                             run};

/* ---- the backend ---- */

struct fixture {
    struct cel_loop *loop;
    struct cel_url *url;
    struct cel_config *config;
    struct cel_backend *b;
    int connected, connect_errors;
    int stored, failed, lost;
    int64_t written;
    celery_status status;
};

static void on_lost(void *ctx, const celery_error *why)
{
    ((struct fixture *)ctx)->lost++;
}

static const struct cel_backend_events events = {.lost = on_lost};

static void on_connected(void *ctx, const celery_error *err, int64_t answer)
{
    struct fixture *f = ctx;

    f->connected++;
    f->connect_errors += err != NULL;
    f->status = err ? err->status : f->status;
}

static void on_stored(void *ctx, const celery_error *err, int64_t answer)
{
    struct fixture *f = ctx;

    f->stored++;
    f->failed += err != NULL;
    f->written += answer;
    f->status = err ? err->status : f->status;
}

static void run_until(struct fixture *f, const int *counter, int want)
{
    double deadline = cel_clock_mono() + 30;

    while (*counter < want && cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.2);
    }
    assert_int_equal(*counter, want);
}

static void open_backend(struct fixture *f, const char *engine)
{
    celery_error err = {0};

    assert_int_equal(
        cel_config_set(f->config, "database_engine_options", engine, CEL_FROM_API, &err),
        CELERY_OK);
    assert_int_equal(
        cel_backend_new(f->loop, &f->url, 1, f->config, &events, f, &f->b, &err),
        CELERY_OK);
}

static void connect_it(struct fixture *f)
{
    int want = f->connected + 1;

    f->b->ops->connect(f->b, 0, (struct cel_done){on_connected, f});
    run_until(f, &f->connected, want);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    celery_error err = {0};

    setenv("CELERY_MODULE_PATH", TEST_MODULES, 1);
    struct fake_sql *fake =
        f ? (struct fake_sql *)(uintptr_t)cel_module_load("postgresql", "sql", &err)
          : NULL;
    if (!fake) {
        return -1;
    }
    fake->behind = &driver;
    pthread_mutex_lock(&db.lock);
    db.n_faults = 0;
    db.open_fault = 0;
    db.opened = db.closed = db.statements = db.rows = 0;
    db.hangs = false;
    pthread_mutex_unlock(&db.lock);
    f->config = cel_config_new();
    *state = f;
    return cel_loop_new(&f->loop, NULL) |
           cel_url_parse("db+postgresql:///d", &f->url, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cel_backend_free(f->b);
    cel_url_free(f->url);
    cel_config_free(f->config);
    cel_loop_free(f->loop);
    free(f);
    return 0;
}

/* The next statements that write fail so, the first of the list first. */
static void fail_with(const enum cel_sql_fault *faults, size_t n)
{
    pthread_mutex_lock(&db.lock);
    for (size_t i = 0; i < n; i++) {
        db.faults[n - 1 - i] = faults[i];
    }
    db.n_faults = n;
    db.statements = 0;
    pthread_mutex_unlock(&db.lock);
}

static void store(struct fixture *f, const char *id)
{
    struct cel_task_meta meta = {
        .task_id = cel_slice_of(id),
        .status = CEL_SLICE("SUCCESS"),
        .result_json = CEL_SLICE("1"),
        .date_done_us = INT64_MIN,
    };

    f->b->ops->store(f->b, &meta, (struct cel_done){on_stored, f});
}

/* ---- tests ---- */

static void test_results_of_a_pass_are_one_statement(void **state)
{
    struct fixture *f = *state;
    char id[16];

    open_backend(f, "{}");
    connect_it(f);
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "id%d", i);
        store(f, id);
    }
    store(f, "id0"); /* of the same task: in a statement of its own, in order */
    run_until(f, &f->stored, 201);
    assert_int_equal(f->failed, 0);
    assert_int_equal(f->written, 201);
    assert_int_equal(db.statements, 2);
}

static void test_a_lost_connection_is_opened_again(void **state)
{
    struct fixture *f = *state;
    const enum cel_sql_fault lost[] = {CEL_SQL_LOST, CEL_SQL_LOST};

    open_backend(f, "{}");
    connect_it(f);
    fail_with(lost, 1);
    store(f, "a");
    run_until(f, &f->stored, 1);
    assert_int_equal(f->failed, 0);
    assert_int_equal(f->lost, 0); /* nobody heard of it */
    assert_int_equal(db.opened, 2);
    fail_with(lost, 2); /* twice: the owner decides */
    store(f, "b");
    run_until(f, &f->stored, 2);
    run_until(f, &f->lost, 1);
    assert_int_equal(f->failed, 1);
    assert_int_equal(f->status, CELERY_ECLOSED);
    store(f, "c");
    run_until(f, &f->stored, 3);
    assert_int_equal(f->failed, 2); /* refused at once */
    connect_it(f);
    store(f, "b");
    run_until(f, &f->stored, 4);
    assert_int_equal(f->failed, 2);
}

static void test_deadlocks_are_tried_again(void **state)
{
    struct fixture *f = *state;
    const enum cel_sql_fault again[] = {CEL_SQL_AGAIN, CEL_SQL_EXISTS, CEL_SQL_AGAIN};

    open_backend(f, "{}");
    connect_it(f);
    fail_with(again, 3);
    store(f, "a");
    run_until(f, &f->stored, 1);
    assert_int_equal(f->failed, 0);
    assert_int_equal(db.statements, 4);
    assert_int_equal(db.opened, 1);
}

/* Full disks and refused rows leave the connection alone; what may pass is told as such. */
static void test_other_faults_are_told(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum cel_sql_fault fault;
        celery_status status;
        bool lost;
    } cases[] = {
        {CEL_SQL_LATER, CELERY_ESYSTEM, false},
        {CEL_SQL_DENIED, CELERY_EAUTH, false},
        {CEL_SQL_REFUSED, CELERY_EPROTO, false},
        {CEL_SQL_TOO_LONG, CELERY_ELIMIT, false},
        {CEL_SQL_NO_COLUMN, CELERY_ECONFIG, false},
        {CEL_SQL_NO_TABLE, CELERY_ECLOSED, true},
    };

    open_backend(f, "{}");
    connect_it(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fail_with(&cases[i].fault, 1);
        store(f, "a");
        run_until(f, &f->stored, (int)i + 1);
        assert_int_equal(f->status, cases[i].status);
        assert_int_equal(db.statements, 1);
    }
    run_until(f, &f->lost, 1);
    assert_int_equal(f->failed, (int)(sizeof cases / sizeof cases[0]));
}

static void test_a_connection_that_cannot_be_made(void **state)
{
    struct fixture *f = *state;

    open_backend(f, "{}");
    db.open_fault = CEL_SQL_LOST;
    connect_it(f);
    assert_int_equal(f->connect_errors, 1);
    assert_int_equal(f->status, CELERY_ECONNECT);
    assert_int_equal(f->lost, 0);
    db.open_fault = CEL_SQL_DENIED;
    connect_it(f);
    assert_int_equal(f->status, CELERY_EAUTH);
    db.open_fault = 0;
    connect_it(f);
    assert_int_equal(f->connect_errors, 2);
}

/* Of no age is any connection's: each job has its own. */
static void test_pool_recycle(void **state)
{
    struct fixture *f = *state;

    open_backend(f, "{\"pool_recycle\": 0.000000001}");
    connect_it(f);
    for (int i = 1; i <= 3; i++) {
        store(f, "a");
        run_until(f, &f->stored, i);
    }
    assert_int_equal(f->failed, 0);
    assert_int_equal(db.opened, 4);
    assert_int_equal(db.closed, 3);
}

/* A server that hangs keeps nobody who wants to go. */
static void test_closing_while_it_hangs(void **state)
{
    struct fixture *f = *state;

    open_backend(f, "{}");
    connect_it(f);
    db.hangs = true;
    store(f, "a");
    store(f, "b");
    double deadline = cel_clock_mono() + 30;
    int statements = 0;
    while (statements == 0 && cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.01);
        pthread_mutex_lock(&db.lock);
        statements = db.statements;
        pthread_mutex_unlock(&db.lock);
    }
    assert_int_equal(statements, 1);
    f->b->ops->close(f->b);
    assert_int_equal(f->stored, 2);
    assert_int_equal(f->failed, 2);
    assert_int_equal(f->status, CELERY_ECLOSED);
    assert_int_equal(f->lost, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_results_of_a_pass_are_one_statement),
        T(test_a_lost_connection_is_opened_again),
        T(test_deadlocks_are_tried_again),
        T(test_other_faults_are_told),
        T(test_a_connection_that_cannot_be_made),
        T(test_pool_recycle),
        T(test_closing_while_it_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
