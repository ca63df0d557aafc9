/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows from results, and results from rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/sql.h"
#include "base/alloc.h"

struct fixture {
    struct cel_sql_db db;
    struct cel_sql_job job;
    struct cel_sql_value row[CEL_SQL_COLUMNS];
    celery_error err;
};

static int setup(void **state)
{
    struct fixture *f = cel_calloc(1, sizeof *f);

    if (!f) {
        return -1;
    }
    f->db.codec = &cel_codec_json;
    f->db.extended = true;
    f->db.task.name = "t";
    for (int i = 0; i < CEL_SQL_COLUMNS; i++) {
        f->db.task.has[i] = true;
    }
    f->job.meta = (struct cel_task_meta){
        .task_id = CEL_SLICE("id"),
        .status = CEL_SLICE("SUCCESS"),
        .result_json = CEL_SLICE("[1, \"x\"]"),
        .date_done_us = 1700000000000000,
        .extended = true,
        .name = CEL_SLICE("t.add"),
        .args_json = CEL_SLICE("[1, 2]"),
        .kwargs_json = CEL_SLICE("{}"),
        .worker = CEL_SLICE("w@h"),
        .retries = 2,
        .queue = CEL_SLICE("celery"),
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cel_buf_fini(&f->db.scratch);
    cel_arena_fini(&f->job.arena);
    cel_free(f);
    return 0;
}

static celery_status make(struct fixture *f)
{
    f->err = (celery_error){0};
    return cel_sql_row(&f->db, &f->job, f->row, &f->err);
}

static void is_text(const struct cel_sql_value *v, const char *want)
{
    assert_int_equal(v->kind, CEL_SQL_TEXT);
    assert_int_equal(v->len, strlen(want));
    assert_memory_equal(v->data, want, v->len);
}

static struct cel_slice text_of(const struct cel_node *doc, const char *key)
{
    return cel_node_text(cel_node_get(doc, cel_slice_of(key)));
}

static void test_a_row(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(make(f), CELERY_OK);
    is_text(&f->row[CEL_COL_TASK_ID], "id");
    is_text(&f->row[CEL_COL_STATUS], "SUCCESS");
    is_text(&f->row[CEL_COL_DATE_DONE], "2023-11-14 22:13:20.000000");
    assert_int_equal(f->row[CEL_COL_RESULT].kind, CEL_SQL_BLOB);
    assert_int_equal((unsigned char)f->row[CEL_COL_RESULT].data[0], 0x80); /* a pickle */
    assert_int_equal(f->row[CEL_COL_TRACEBACK].kind, CEL_SQL_NULL);
    assert_int_equal(f->row[CEL_COL_ARGS].kind, CEL_SQL_BLOB);
    assert_memory_equal(f->row[CEL_COL_ARGS].data, "[1, 2]", 6);
    assert_int_equal(f->row[CEL_COL_RETRIES].number, 2);
    assert_int_equal(f->row[CEL_COL_CHILDREN].kind, CEL_SQL_NULL);
    assert_int_equal(f->row[CEL_COL_STAMPS].kind, CEL_SQL_NULL);
    f->job.meta.result_json = CEL_SLICE("null");
    f->job.meta.date_done_us = INT64_MIN;
    f->job.meta.extended = false;
    assert_int_equal(make(f), CELERY_OK);
    assert_int_equal(f->row[CEL_COL_RESULT].kind, CEL_SQL_NULL);
    assert_int_equal(f->row[CEL_COL_DATE_DONE].kind, CEL_SQL_NULL);
    assert_int_equal(f->row[CEL_COL_NAME].kind, CEL_SQL_NULL);
    assert_int_equal(f->row[CEL_COL_RETRIES].kind, CEL_SQL_NULL);
}

/* What no text column of any of them takes. */
static void test_texts_that_are_none(void **state)
{
    struct fixture *f = *state;

    f->job.meta.traceback = cel_slice("a\0b", 3);
    f->job.meta.worker =
        CEL_SLICE("x\xed\xa0\xbdy\xed\xb2\xa9"); /* U+D83D, U+DCA9 alone */
    assert_int_equal(make(f), CELERY_OK);
    is_text(&f->row[CEL_COL_TRACEBACK], "a\\x00b");
    is_text(&f->row[CEL_COL_WORKER], "x\\ud83dy\\udca9");
}

static void test_what_does_not_fit(void **state)
{
    struct fixture *f = *state;

    f->db.task.most_chars[CEL_COL_NAME] = 3;
    f->job.meta.name = CEL_SLICE("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f");
    f->db.task.most_bytes[CEL_COL_TRACEBACK] = 4;
    f->job.meta.traceback = CEL_SLICE("begin\xc3\xa4\x65nd");
    f->db.task.most_bytes[CEL_COL_ARGS] = 3;
    assert_int_equal(make(f), CELERY_OK);
    is_text(&f->row[CEL_COL_NAME], "\xc3\xa4\xc3\xb6\xc3\xbc");
    is_text(&f->row[CEL_COL_TRACEBACK], "end"); /* its end; no half of a character */
    assert_int_equal(f->row[CEL_COL_ARGS].kind, CEL_SQL_NULL);
    f->db.task.most_bytes[CEL_COL_RESULT] = 5;
    assert_int_equal(make(f), CELERY_ELIMIT);
    assert_non_null(strstr(f->err.message, "ALTER TABLE t MODIFY result LONGBLOB"));
    f->db.task.most_bytes[CEL_COL_RESULT] = 0;
    f->db.task.most_chars[CEL_COL_TASK_ID] = 1;
    assert_int_equal(make(f), CELERY_ELIMIT);
    f->db.task.most_chars[CEL_COL_TASK_ID] = 0;
    f->job.meta.task_id = cel_slice("i\0d", 3);
    assert_int_equal(make(f), CELERY_ELIMIT);
}

/* ---- and back ---- */

static struct cel_node *read_back(struct fixture *f)
{
    assert_int_equal(make(f), CELERY_OK);
    struct cel_node *doc =
        cel_sql_doc(&f->db, &f->job.arena, f->row, cel_sql_columns(&f->db), &f->err);
    assert_non_null(doc);
    return doc;
}

static void test_what_is_written_is_read(void **state)
{
    struct fixture *f = *state;
    const struct cel_node *doc = read_back(f);

    assert_true(cel_slice_is(text_of(doc, "task_id"), "id"));
    assert_true(cel_slice_is(text_of(doc, "status"), "SUCCESS"));
    assert_true(cel_slice_is(text_of(doc, "date_done"), "2023-11-14T22:13:20"));
    assert_true(cel_slice_is(text_of(doc, "retries"), "2"));
    const struct cel_node *result = cel_node_get(doc, CEL_SLICE("result"));
    assert_int_equal(result->kind, CELERY_KIND_ARRAY);
    assert_int_equal(result->size, 2);
    assert_int_equal(cel_node_get(doc, CEL_SLICE("traceback"))->kind, CELERY_KIND_NULL);
    f->job.meta.status = CEL_SLICE("FAILURE");
    f->job.meta.result_json = CEL_SLICE("{\"exc_type\": \"KeyError\", \"exc_message\": "
                                        "[\"k\"], \"exc_module\": \"builtins\"}");
    doc = read_back(f);
    result = cel_node_get(doc, CEL_SLICE("result"));
    assert_true(cel_slice_is(text_of(result, "exc_type"), "KeyError"));
    assert_true(cel_slice_is(text_of(result, "exc_module"), "builtins"));
}

static void test_stamps(void **state)
{
    struct fixture *f = *state;
    struct cel_node *stamps = NULL;
    struct cel_node *names = NULL;

    assert_int_equal(
        cel_json_parse(&f->job.arena, CEL_SLICE("{\"k\": [\"v\"]}"), NULL, &stamps, NULL),
        CELERY_OK);
    assert_int_equal(
        cel_json_parse(&f->job.arena, CEL_SLICE("[\"k\"]"), NULL, &names, NULL),
        CELERY_OK);
    f->job.meta.stamps = stamps;
    f->job.meta.stamped_headers = names;
    const struct cel_node *doc = read_back(f);
    assert_int_equal(cel_node_get(doc, CEL_SLICE("k"))->kind, CELERY_KIND_ARRAY);
    assert_int_equal(cel_node_get(doc, CEL_SLICE("stamped_headers"))->size, 1);
}

static struct cel_node *decode(struct fixture *f, const char *bytes, size_t len)
{
    struct cel_sql_value v = {.kind = CEL_SQL_BLOB, .data = bytes, .len = len};
    struct cel_node *n = NULL;

    f->err = (celery_error){0};
    return cel_sql_decode(&f->db, &f->job.arena, &v, &n, &f->err) == CELERY_OK ? n : NULL;
}

/* Pickles of all protocols; what result_serializer writes, since 5.7; else an error. */
static void test_kinds_of_results(void **state)
{
    struct fixture *f = *state;

    assert_true(cel_slice_is(cel_node_text(decode(f, "\x80\x05K\x07.", 5)), "7"));
    assert_true(cel_slice_is(cel_node_text(decode(f, "I7\n.", 4)), "7"));
    assert_true(cel_slice_is(cel_node_text(decode(f, "7", 1)), "7"));
    assert_int_equal(decode(f, "[1, 2]", 6)->size, 2);
    assert_null(decode(f, "\x80\x05K", 3));
    assert_true(f->err.status < 0);
    assert_null(decode(f, "{\"a\": ", 6));
    assert_true(f->err.status < 0);
    assert_null(decode(f, "", 0));
    assert_true(f->err.status < 0);
}

/* A row with a result that cannot be read is an error; other columns are left out. */
static void test_rows_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(make(f), CELERY_OK);
    f->row[CEL_COL_ARGS] = (struct cel_sql_value){CEL_SQL_BLOB, "\x80\x05", 2, 0};
    f->row[CEL_COL_DATE_DONE] = cel_sql_text(CEL_SLICE("yesterday"));
    f->row[CEL_COL_RETRIES] = cel_sql_text(CEL_SLICE("many"));
    const struct cel_node *doc =
        cel_sql_doc(&f->db, &f->job.arena, f->row, cel_sql_columns(&f->db), &f->err);
    assert_non_null(doc);
    assert_int_equal(cel_node_get(doc, CEL_SLICE("args"))->kind, CELERY_KIND_NULL);
    assert_int_equal(cel_node_get(doc, CEL_SLICE("date_done"))->kind, CELERY_KIND_NULL);
    assert_int_equal(cel_node_get(doc, CEL_SLICE("retries"))->kind, CELERY_KIND_NULL);
    f->row[CEL_COL_RESULT] = (struct cel_sql_value){CEL_SQL_BLOB, "\x80\x05", 2, 0};
    assert_null(
        cel_sql_doc(&f->db, &f->job.arena, f->row, cel_sql_columns(&f->db), &f->err));
    assert_true(f->err.status < 0);
    /* Fewer columns than were asked for. */
    assert_non_null(cel_sql_doc(&f->db, &f->job.arena, f->row, 2, &f->err));
    assert_non_null(cel_sql_doc(&f->db, &f->job.arena, f->row, 0, &f->err));
}

/* A row is whole or there is none: no column is NULL for want of memory. */
static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct cel_sql_value whole[CEL_SQL_COLUMNS];
    celery_status status = CELERY_ENOMEM;

    f->job.meta.traceback = cel_slice("a\0b", 3);
    f->job.meta.children_json = CEL_SLICE("[1]");
    assert_int_equal(make(f), CELERY_OK);
    memcpy(whole, f->row, sizeof whole);
    for (unsigned long nth = 1; status != CELERY_OK; nth++) {
        struct cel_sql_job job = {.meta = f->job.meta};
        const struct cel_node *doc = NULL;

        assert_true(nth < 200);
        cel_buf_fini(&f->db.scratch);
        f->err = (celery_error){0};
        cel_alloc_fail_at(nth, nth % 2);
        status = cel_sql_row(&f->db, &job, f->row, &f->err);
        if (status == CELERY_OK) {
            for (int i = 0; i < CEL_SQL_COLUMNS; i++) {
                assert_int_equal(f->row[i].kind, whole[i].kind);
                assert_int_equal(f->row[i].len, whole[i].len);
            }
            doc = cel_sql_doc(&f->db, &job.arena, f->row, CEL_SQL_COLUMNS, &f->err);
            status = doc ? CELERY_OK : CELERY_ENOMEM;
        }
        cel_alloc_fail_at(0, 0);
        assert_true(status == CELERY_OK || status == CELERY_ENOMEM);
        assert_true(status != CELERY_OK || doc);
        cel_arena_fini(&job.arena);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_row),
        T(test_texts_that_are_none),
        T(test_what_does_not_fit),
        T(test_what_is_written_is_read),
        T(test_stamps),
        T(test_kinds_of_results),
        T(test_rows_that_cannot_be_read),
        T(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
