/* SPDX-License-Identifier: BSD-3-Clause */
/* Many results in one statement. */
#include "backend/sql.h"
#include "base/error.h"

struct batch {
    struct cel_map by_id; /* struct cel_sql_job */
};

static void on_written(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct cel_sql_job *job =
        cel_map_get(&((struct batch *)ctx)->by_id, cel_slice(v[0].data, v[0].len));

    if (job) {
        job->answer = 1;
    }
}

static void on_terminal(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct cel_sql_job *job =
        cel_map_get(&((struct batch *)ctx)->by_id, cel_slice(v[0].data, v[0].len));

    if (job) {
        job->answer = 0;
    }
}

/* MySQL does not tell which rows it left alone: those that are SUCCESS before. */
static bool find_terminal(struct cel_sql_db *db, struct batch *batch,
                          struct cel_sql_job *const *jobs, size_t n,
                          struct cel_sql_error *why)
{
    if (!cel_sql_reserve(db, n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        jobs[i]->answer = 1;
        db->values[i] = cel_sql_text(jobs[i]->meta.task_id);
    }
    cel_sql_text_in(db, "SELECT task_id FROM", &db->task,
                    "status = 'SUCCESS' AND task_id", n);
    return cel_sql_run(db, db->values, n, &(struct cel_sql_rows){on_terminal, batch},
                       why);
}

/* Those that make a row; the others have failed with err. */
static size_t set_rows(struct cel_sql_db *db, struct cel_sql_job *const *jobs, size_t n,
                       struct cel_sql_job **ret_good)
{
    size_t columns = cel_sql_columns(db);
    size_t good = 0;

    for (size_t i = 0; i < n; i++) {
        celery_error err = {0};
        celery_status status =
            cel_sql_row(db, jobs[i], db->values + good * columns, &err);

        if (status == CELERY_OK) {
            ret_good[good++] = jobs[i];
        } else {
            cel_error_set(&jobs[i]->err, status, "result backend: %s",
                          err.status < 0 ? err.message : celery_status_text(status));
        }
    }
    return good;
}

static bool write_rows(struct cel_sql_db *db, struct batch *batch,
                       struct cel_sql_job *const *jobs, size_t n,
                       struct cel_sql_error *why)
{
    struct cel_sql_job *good[256];
    bool mysql = db->dialect == CEL_SQL_MYSQL;

    if (mysql && !find_terminal(db, batch, jobs, n, why)) {
        return false;
    }
    if (!cel_sql_reserve(db, n * cel_sql_columns(db))) {
        why->fault = CEL_SQL_LATER;
        return false;
    }
    n = set_rows(db, jobs, n, good);
    if (n == 0) {
        return true;
    }
    if (!cel_sql_text_upsert(db, n)) {
        why->fault = CEL_SQL_LATER;
        return false;
    }
    return cel_sql_run(db, db->values, n * cel_sql_columns(db),
                       &(struct cel_sql_rows){mysql ? NULL : on_written, batch}, why);
}

/* What says nothing about the connection but about one of the rows. */
static bool is_about_a_row(const struct cel_sql_error *why)
{
    return why->fault == CEL_SQL_REFUSED || why->fault == CEL_SQL_TOO_LONG;
}

/*
 * At most 256 of different tasks.  If one of them is refused, each goes alone and the others are
 * stored.
 */
bool cel_sql_do_store(struct cel_sql_db *db, struct cel_sql_job *const *jobs, size_t n,
                      struct cel_sql_error *why)
{
    struct batch batch = {0};
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        jobs[i]->answer = 0;
        jobs[i]->err = (celery_error){0};
        ok = cel_map_set(&batch.by_id, jobs[i]->meta.task_id, jobs[i], NULL) == CELERY_OK;
    }
    why->fault = CEL_SQL_LATER;
    ok = ok && write_rows(db, &batch, jobs, n, why);
    cel_map_fini(&batch.by_id);
    if (!ok && is_about_a_row(why)) {
        for (size_t i = 0; n > 1 && i < n; i++) {
            if (!cel_sql_do_store(db, &jobs[i], 1, why)) {
                return false;
            }
        }
        if (n == 1) {
            cel_sql_set_error(&jobs[0]->err, why);
        }
        return true;
    }
    return ok;
}
