/* SPDX-License-Identifier: BSD-3-Clause */
/* What is made of jobs: statements, in which order, and what their answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/sql.h"
#include "base/alloc.h"
#include <stdio.h>

enum { MOST_RUNS = 600, MOST_JOBS = 300 };

/* ---- a database that does as it is told ---- */

struct call {
    char sql[64]; /* its beginning */
    size_t n;
    size_t marks; /* places in the whole of it */
};

static struct {
    struct call calls[MOST_RUNS];
    size_t n;
    /* Rows for the caller, or a fault. */
    enum cel_sql_fault (*answer)(const struct call *call,
                                 const struct cel_sql_value *values,
                                 const struct cel_sql_rows *rows);
} script;

static bool run(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err)
{
    assert_true(script.n < MOST_RUNS);
    struct call *c = &script.calls[script.n++];
    snprintf(c->sql, sizeof c->sql, "%s", sql);
    c->n = n;
    c->marks = 0;
    for (const char *at = sql; *at; at++) {
        c->marks += *at == '?' || *at == '$';
    }
    enum cel_sql_fault fault = script.answer ? script.answer(c, values, rows) : 0;
    if (fault) {
        *err =
            (struct cel_sql_error){.fault = fault, .state = "XX000", .text = "scripted"};
    }
    return !fault;
}

static const struct cel_sql_driver driver = {.dialect = "script", .run = run};

static bool begins(const struct call *c, const char *with)
{
    return strncmp(c->sql, with, strlen(with)) == 0;
}

static void give_text(const struct cel_sql_rows *rows, const char *text)
{
    struct cel_sql_value v = cel_sql_text(cel_slice_of(text));

    if (rows) {
        rows->row(rows->ctx, &v, 1);
    }
}

/* ---- jobs ---- */

struct fixture {
    struct cel_sql_db db;
    struct cel_sql_job *jobs[MOST_JOBS];
    size_t n;
    struct cel_sql_error why;
};

static int setup(void **state)
{
    struct fixture *f = cel_calloc(1, sizeof *f);

    if (!f) {
        return -1;
    }
    script.n = 0;
    script.answer = NULL;
    f->db.driver = &driver;
    f->db.codec = &cel_codec_json;
    f->db.expires = 60;
    f->db.task.name = f->db.task.quoted = "t";
    f->db.group.name = f->db.group.quoted = "g";
    f->db.task.sequence = f->db.group.sequence = "s";
    f->db.task.numbers_itself = f->db.group.numbers_itself = true;
    for (int i = 0; i < CEL_COL_NAME; i++) {
        f->db.task.has[i] = true;
    }
    *state = f;
    return 0;
}

static void free_jobs(struct fixture *f)
{
    while (f->n > 0) {
        cel_sql_job_free(f->jobs[--f->n]);
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    free_jobs(f);
    cel_buf_fini(&f->db.sql);
    cel_buf_fini(&f->db.scratch);
    cel_free(f->db.values);
    cel_free(f);
    return 0;
}

static struct cel_sql_job *add(struct fixture *f, enum cel_sql_job_kind kind,
                               size_t n_ids)
{
    static char names[2000][32];
    struct cel_slice ids[2000];

    for (size_t i = 0; i < n_ids; i++) {
        snprintf(names[i], sizeof names[i], "id%zu", i);
        ids[i] = cel_slice_of(names[i]);
    }
    struct cel_sql_job *job =
        cel_sql_job_new(NULL, kind, ids, n_ids, (struct cel_done){0});
    assert_non_null(job);
    f->jobs[f->n++] = job;
    return job;
}

static void add_results(struct fixture *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct cel_sql_job *job = add(f, CEL_SQL_STORE, 0);
        char id[32];

        snprintf(id, sizeof id, "id%zu", i);
        job->meta = (struct cel_task_meta){
            .task_id = cel_slice_of(cel_arena_strndup(&job->arena, id, strlen(id))),
            .status = CEL_SLICE("SUCCESS"),
            .result_json = CEL_SLICE("[1]"),
            .date_done_us = 1700000000000000,
        };
    }
}

/* ---- storing ---- */

static enum cel_sql_fault all_but_id1(const struct call *c,
                                      const struct cel_sql_value *values,
                                      const struct cel_sql_rows *rows)
{
    give_text(rows, "id2");
    give_text(rows, "id0");
    give_text(rows, "of somebody else");
    return 0;
}

static void test_a_batch_is_one_statement(void **state)
{
    struct fixture *f = *state;

    add_results(f, 3);
    script.answer = all_but_id1;
    assert_true(cel_sql_do_store(&f->db, f->jobs, f->n, &f->why));
    assert_int_equal(script.n, 1);
    assert_int_equal(script.calls[0].n, 15);
    assert_int_equal(script.calls[0].marks, 15);
    assert_int_equal(f->jobs[0]->answer, 1);
    assert_int_equal(f->jobs[1]->answer, 0); /* SUCCESS was there */
    assert_int_equal(f->jobs[2]->answer, 1);
}

static enum cel_sql_fault no_id3(const struct call *c, const struct cel_sql_value *values,
                                 const struct cel_sql_rows *rows)
{
    for (size_t i = 0; i < c->n; i += 5) {
        if (values[i].len == 3 && memcmp(values[i].data, "id3", 3) == 0) {
            return CEL_SQL_REFUSED;
        }
    }
    for (size_t i = 0; i < c->n; i += 5) {
        rows->row(rows->ctx, &values[i], 1);
    }
    return 0;
}

static void test_one_that_is_refused_harms_no_other(void **state)
{
    struct fixture *f = *state;

    add_results(f, 6);
    script.answer = no_id3;
    assert_true(cel_sql_do_store(&f->db, f->jobs, f->n, &f->why));
    assert_int_equal(script.n, 7);
    for (size_t i = 0; i < f->n; i++) {
        assert_int_equal(f->jobs[i]->err.status, i == 3 ? CELERY_EPROTO : 0);
        assert_int_equal(f->jobs[i]->answer, i != 3);
    }
    assert_non_null(strstr(f->jobs[3]->err.message, "scripted, SQLSTATE XX000"));
}

static void test_a_row_that_does_not_fit_harms_no_other(void **state)
{
    struct fixture *f = *state;

    add_results(f, 3);
    f->jobs[1]->meta.result_json =
        CEL_SLICE("\"a long text that does not fit the column\"");
    f->db.task.most_bytes[CEL_COL_RESULT] = 20;
    script.answer = all_but_id1;
    assert_true(cel_sql_do_store(&f->db, f->jobs, f->n, &f->why));
    assert_int_equal(script.n, 1);
    assert_int_equal(script.calls[0].n, 10);
    assert_int_equal(f->jobs[0]->answer, 1);
    assert_int_equal(f->jobs[1]->err.status, CELERY_ELIMIT);
    assert_int_equal(f->jobs[2]->answer, 1);
}

static enum cel_sql_fault id1_is_there(const struct call *c,
                                       const struct cel_sql_value *values,
                                       const struct cel_sql_rows *rows)
{
    if (begins(c, "SELECT")) {
        give_text(rows, "id1");
    } else {
        assert_null(rows);
    }
    return 0;
}

/* It does not say which rows it left alone. */
static void test_mysql_is_asked_before(void **state)
{
    struct fixture *f = *state;

    f->db.dialect = CEL_SQL_MYSQL;
    add_results(f, 2);
    script.answer = id1_is_there;
    assert_true(cel_sql_do_store(&f->db, f->jobs, f->n, &f->why));
    assert_int_equal(script.n, 2);
    assert_true(
        begins(&script.calls[0], "SELECT task_id FROM t WHERE status = 'SUCCESS'"));
    assert_true(begins(&script.calls[1], "INSERT INTO t"));
    assert_int_equal(f->jobs[0]->answer, 1);
    assert_int_equal(f->jobs[1]->answer, 0);
}

static enum cel_sql_fault fault;
static enum cel_sql_fault always(const struct call *c, const struct cel_sql_value *values,
                                 const struct cel_sql_rows *rows)
{
    return fault;
}

/* What says nothing about a row is for the thread to mend; nobody is told yet. */
static void test_faults_of_the_connection(void **state)
{
    static const enum cel_sql_fault faults[] = {
        CEL_SQL_LOST,     CEL_SQL_AGAIN,     CEL_SQL_LATER,  CEL_SQL_DENIED,
        CEL_SQL_NO_TABLE, CEL_SQL_NO_COLUMN, CEL_SQL_EXISTS, CEL_SQL_STOPPED,
    };
    struct fixture *f = *state;

    add_results(f, 2);
    script.answer = always;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        fault = faults[i];
        script.n = 0;
        assert_false(cel_sql_do_store(&f->db, f->jobs, f->n, &f->why));
        assert_int_equal(f->why.fault, fault);
        assert_int_equal(script.n, 1);
        assert_int_equal(f->jobs[0]->err.status, 0);
    }
}

/* ---- reading, removing ---- */

static enum cel_sql_fault id7(const struct call *c, const struct cel_sql_value *values,
                              const struct cel_sql_rows *rows)
{
    struct cel_sql_value row[5] = {cel_sql_text(CEL_SLICE("id7")),
                                   cel_sql_text(CEL_SLICE("SUCCESS")),
                                   {CEL_SQL_BLOB, "\x80\x05K\x07.", 5, 0}};

    for (size_t i = 0; i < c->n; i++) {
        if (values[i].len == 3 && memcmp(values[i].data, "id7", 3) == 0) {
            rows->row(rows->ctx, row, 5);
        }
    }
    return 0;
}

static void test_many_are_read_in_parts(void **state)
{
    struct fixture *f = *state;
    struct cel_sql_job *job = add(f, CEL_SQL_LOAD, 1100);

    script.answer = id7;
    assert_true(cel_sql_do_load(&f->db, job, &f->why));
    assert_int_equal(script.n, 3);
    assert_int_equal(script.calls[0].n, 500);
    assert_int_equal(script.calls[2].n, 100);
    assert_int_equal(job->answer, 1);
    for (size_t i = 0; i < 1100; i++) {
        assert_int_equal(job->found[i].doc != NULL, i == 7);
    }
    assert_true(cel_slice_is(
        cel_node_text(cel_node_get(job->found[7].doc, CEL_SLICE("result"))), "7"));
    uint64_t hash = job->found[7].hash;
    assert_true(cel_sql_do_load(&f->db, job, &f->why));
    assert_int_equal(job->found[7].hash, hash);
}

static enum cel_sql_fault one_row(const struct call *c,
                                  const struct cel_sql_value *values,
                                  const struct cel_sql_rows *rows)
{
    if (begins(c, "SELECT")) {
        give_text(rows, "1");
    }
    return 0;
}

static void test_forgetting(void **state)
{
    struct fixture *f = *state;
    struct cel_sql_job *job = add(f, CEL_SQL_FORGET, 1);

    assert_true(cel_sql_do_forget(&f->db, job, &f->why));
    assert_int_equal(job->answer, 0);
    assert_int_equal(script.n, 1); /* nothing to delete */
    script.answer = one_row;
    job = add(f, CEL_SQL_FORGET_GROUP, 1);
    assert_true(cel_sql_do_forget(&f->db, job, &f->why));
    assert_int_equal(job->answer, 1);
    assert_true(begins(&script.calls[2], "DELETE FROM g WHERE taskset_id IN ($1)"));
}

static enum cel_sql_fault a_thousand(const struct call *c,
                                     const struct cel_sql_value *values,
                                     const struct cel_sql_rows *rows)
{
    for (int i = 0; begins(c, "SELECT id FROM t") && i < 1000; i++) {
        struct cel_sql_value v = {.kind = CEL_SQL_INT, .number = i};

        rows->row(rows->ctx, &v, 1);
    }
    return 0;
}

static void test_what_has_expired_goes_in_parts(void **state)
{
    struct fixture *f = *state;
    struct cel_sql_job *job = add(f, CEL_SQL_CLEANUP, 0);
    bool more = false;

    script.answer = a_thousand;
    assert_true(cel_sql_do_cleanup(&f->db, job, &more, &f->why));
    assert_true(more);
    assert_int_equal(job->answer, 1000);
    assert_int_equal(script.n, 3);
    assert_true(
        begins(&script.calls[1], "DELETE FROM t WHERE date_done < $1::timestamp AND "));
    script.answer = NULL;
    assert_true(cel_sql_do_cleanup(&f->db, job, &more, &f->why));
    assert_false(more);
    f->db.expires = 0; /* never */
    script.n = 0;
    assert_true(cel_sql_do_cleanup(&f->db, job, &more, &f->why));
    assert_int_equal(script.n, 0);
}

/* ---- groups ---- */

static char kept[4000];
static size_t kept_len;

static enum cel_sql_fault keep_group(const struct call *c,
                                     const struct cel_sql_value *values,
                                     const struct cel_sql_rows *rows)
{
    if (begins(c, "INSERT")) {
        assert_true(values[1].len < sizeof kept);
        memcpy(kept, values[1].data, values[1].len);
        kept_len = values[1].len;
    } else {
        struct cel_sql_value v = {CEL_SQL_BLOB, kept, kept_len, 0};

        rows->row(rows->ctx, &v, 1);
    }
    return 0;
}

static void test_groups(void **state)
{
    struct fixture *f = *state;
    struct cel_sql_job *save = add(f, CEL_SQL_SAVE_GROUP, 1);
    struct cel_sql_job *load = add(f, CEL_SQL_LOAD_GROUP, 1);

    script.answer = keep_group;
    save->json =
        CEL_SLICE("[[\"g\", null], [[[\"a\", null], null], [[\"b\", null], null]]]");
    assert_true(cel_sql_do_save_group(&f->db, save, &f->why));
    assert_int_equal(save->err.status, 0);
    assert_true(cel_sql_do_load_group(&f->db, load, &f->why));
    assert_int_equal(load->answer, 1);
    assert_int_equal(load->tuple->size, 2);
    memcpy(kept, "\x80\x05K\x07.", kept_len = 5);
    assert_true(cel_sql_do_load_group(&f->db, load, &f->why));
    assert_int_equal(load->answer, 0);
    assert_true(load->err.status < 0);
    save->json = CEL_SLICE("{\"no\": \"tuple\"}");
    script.n = 0;
    assert_true(cel_sql_do_save_group(&f->db, save, &f->why));
    assert_true(save->err.status < 0);
    assert_int_equal(script.n, 0);
    f->db.group.most_bytes[CEL_COL_RESULT] = 10;
    save->json = CEL_SLICE("[[\"g\", null], []]");
    assert_true(cel_sql_do_save_group(&f->db, save, &f->why));
    assert_int_equal(save->err.status, CELERY_ELIMIT);
}

/* ---- memory ---- */

static bool do_one(struct fixture *f, int which, bool *ret_more)
{
    switch (which) {
    case 0:
        return cel_sql_do_store(&f->db, f->jobs, f->n, &f->why);
    case 1:
        return cel_sql_do_load(&f->db, f->jobs[0], &f->why);
    case 2:
        return cel_sql_do_forget(&f->db, f->jobs[0], &f->why);
    case 3:
        return cel_sql_do_save_group(&f->db, f->jobs[0], &f->why);
    case 4:
        return cel_sql_do_load_group(&f->db, f->jobs[0], &f->why);
    default:
        return cel_sql_do_cleanup(&f->db, f->jobs[0], ret_more, &f->why);
    }
}

static void add_one(struct fixture *f, int which)
{
    static const enum cel_sql_job_kind kinds[] = {CEL_SQL_STORE,      CEL_SQL_LOAD,
                                                  CEL_SQL_FORGET,     CEL_SQL_SAVE_GROUP,
                                                  CEL_SQL_LOAD_GROUP, CEL_SQL_CLEANUP};
    if (which == 0) {
        add_results(f, 3);
    } else {
        add(f, kinds[which], which == 1 ? 9 : 1)->json = CEL_SLICE("[[\"g\", null], []]");
    }
}

/*
 * What cannot be done for want of memory is later's, or the failure of one job; never is it told
 * as done.
 */
static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;

    memcpy(kept, "N.", kept_len = 2);
    for (int which = 0; which < 6; which++) {
        bool whole = false;

        for (unsigned long nth = 1; !whole; nth++) {
            bool more = false;

            assert_true(nth < 200);
            add_one(f, which);
            cel_buf_fini(&f->db.sql);
            cel_buf_fini(&f->db.scratch);
            cel_free(f->db.values);
            f->db.values = NULL;
            f->db.values_cap = 0;
            f->why = (struct cel_sql_error){0};
            script.n = 0;
            script.answer = which == 1                 ? id7
                            : which == 3 || which == 4 ? keep_group
                                                       : NULL;
            cel_alloc_fail_at(nth, 0);
            bool ok = do_one(f, which, &more);
            whole = cel_alloc_count() < nth;
            cel_alloc_fail_at(0, 0);
            if (!ok) {
                assert_int_equal(f->why.fault, CEL_SQL_LATER);
            }
            for (size_t i = 0; i < f->n; i++) {
                celery_status status = f->jobs[i]->err.status;

                assert_true(status == CELERY_OK || status == CELERY_ENOMEM ||
                            (which == 4 && status == CELERY_EMESSAGE));
            }
            /* Nothing was asked, or each statement was whole. */
            for (size_t i = 0; i < script.n; i++) {
                assert_true(script.calls[i].marks >= script.calls[i].n);
            }
            free_jobs(f);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_batch_is_one_statement),
        T(test_one_that_is_refused_harms_no_other),
        T(test_a_row_that_does_not_fit_harms_no_other),
        T(test_mysql_is_asked_before),
        T(test_faults_of_the_connection),
        T(test_many_are_read_in_parts),
        T(test_forgetting),
        T(test_what_has_expired_goes_in_parts),
        T(test_groups),
        T(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
