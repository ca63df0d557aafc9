/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and removing results; removing what has expired. */
#include "backend/sql.h"
#include "base/clock.h"
#include "base/error.h"

enum { MOST_IDS = 500, MOST_EXPIRED = 1000 };

struct reading {
    struct cel_sql_db *db;
    struct cel_sql_job *job;
    struct cel_map *by_id; /* number of the id + 1 */
};

static uint64_t hash_of(const struct cel_sql_value *v, size_t n)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ v[i].kind ^ (uint64_t)v[i].number) * 1099511628211u;
        hash = (hash ^ cel_hash(cel_slice(v[i].len > 0 ? v[i].data : "", v[i].len))) *
               1099511628211u;
    }
    return hash ? hash : 1;
}

static void on_row(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct reading *r = ctx;
    struct cel_sql_job *job = r->job;
    size_t at = (size_t)(uintptr_t)cel_map_get(r->by_id, cel_slice(v[0].data, v[0].len));
    celery_error err = {0};

    if (at == 0) {
        return;
    }
    struct cel_sql_found *found = &job->found[at - 1];
    found->hash = hash_of(v, n);
    found->doc = cel_sql_doc(r->db, &job->arena, v, n, &err);
    if (found->doc) {
        job->answer++;
    } else {
        cel_error_set(&job->err, err.status < 0 ? err.status : CELERY_ENOMEM,
                      "result of task %.64s: %s", job->ids[at - 1].data, err.message);
    }
}

static bool read_some(struct cel_sql_db *db, struct cel_sql_job *job, size_t first,
                      size_t n, struct cel_sql_error *why)
{
    struct cel_map by_id = {0};
    struct reading r = {db, job, &by_id};
    bool ok = cel_sql_reserve(db, n);

    why->fault = CEL_SQL_LATER;
    for (size_t i = 0; ok && i < n; i++) {
        db->values[i] = cel_sql_text(job->ids[first + i]);
        ok = cel_map_set(&by_id, job->ids[first + i], (void *)(uintptr_t)(first + i + 1),
                         NULL) == CELERY_OK;
    }
    ok = ok && cel_sql_text_select(db, n) &&
         cel_sql_run(db, db->values, n, &(struct cel_sql_rows){on_row, &r}, why);
    cel_map_fini(&by_id);
    return ok;
}

bool cel_sql_do_load(struct cel_sql_db *db, struct cel_sql_job *job,
                     struct cel_sql_error *why)
{
    job->answer = 0;
    job->err = (celery_error){0};
    memset(job->found, 0, job->n_ids * sizeof *job->found);
    for (size_t at = 0; at < job->n_ids; at += MOST_IDS) {
        size_t n = job->n_ids - at < MOST_IDS ? job->n_ids - at : MOST_IDS;

        if (!read_some(db, job, at, n, why)) {
            return false;
        }
    }
    return true;
}

/* ---- removing ---- */

static void on_count(void *ctx, const struct cel_sql_value *v, size_t n)
{
    ++*(int64_t *)ctx;
}

bool cel_sql_do_forget(struct cel_sql_db *db, struct cel_sql_job *job,
                       struct cel_sql_error *why)
{
    const bool group = job->kind == CEL_SQL_FORGET_GROUP;
    const struct cel_sql_table *t = group ? &db->group : &db->task;
    const char *key = group ? "taskset_id" : "task_id";
    struct cel_sql_value id = cel_sql_text(job->ids[0]);
    int64_t count = 0;

    job->answer = 0;
    cel_sql_text_in(db, "SELECT 1 FROM", t, key, 1);
    if (!cel_sql_run(db, &id, 1, &(struct cel_sql_rows){on_count, &count}, why)) {
        return false;
    }
    cel_sql_text_in(db, "DELETE FROM", t, key, 1);
    if (count > 0 && !cel_sql_run(db, &id, 1, NULL, why)) {
        return false;
    }
    job->answer = count > 0;
    return true;
}

/* ---- what has expired ---- */

struct expired {
    struct cel_sql_db *db;
    int64_t count;
    struct cel_buf ids;
};

static void on_expired(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct expired *e = ctx;
    int64_t id = v[0].number;

    if (v[0].kind == CEL_SQL_INT ||
        cel_slice_to_int(cel_slice(v[0].data, v[0].len), &id)) {
        cel_buf_adds(&e->ids, e->count ? ", " : "");
        cel_buf_add_int(&e->ids, id);
        e->count++;
    }
}

static void add_condition(struct cel_sql_db *db)
{
    cel_buf_adds(&db->sql, " WHERE date_done < ");
    cel_sql_text_place(db, 1);
    cel_buf_adds(&db->sql, db->dialect == CEL_SQL_POSTGRESQL ? "::timestamp" : "");
}

/* By their ids, some at a time: one statement for a million rows would keep results waiting. */
static bool remove_some(struct cel_sql_db *db, const struct cel_sql_table *t,
                        const struct cel_sql_value *before, int64_t *ret_n,
                        struct cel_sql_error *why)
{
    struct expired e = {.db = db};
    bool ok;

    cel_buf_clear(&db->sql);
    cel_buf_addf(&db->sql, "SELECT id FROM %s", t->quoted);
    add_condition(db);
    cel_buf_addf(&db->sql, " LIMIT %d", MOST_EXPIRED);
    ok = cel_sql_run(db, before, 1, &(struct cel_sql_rows){on_expired, &e}, why);
    if (ok && e.count > 0) {
        cel_buf_clear(&db->sql);
        cel_buf_addf(&db->sql, "DELETE FROM %s", t->quoted);
        add_condition(db);
        cel_buf_adds(&db->sql, " AND id IN (");
        cel_buf_add_slice(&db->sql, cel_buf_slice(&e.ids));
        cel_buf_addc(&db->sql, ')');
        ok = cel_buf_ok(&e.ids) && cel_sql_run(db, before, 1, NULL, why);
    }
    cel_buf_fini(&e.ids);
    *ret_n = e.count;
    return ok;
}

/* DatabaseBackend.cleanup() */
bool cel_sql_do_cleanup(struct cel_sql_db *db, struct cel_sql_job *job, bool *ret_more,
                        struct cel_sql_error *why)
{
    const struct cel_sql_table *const tables[] = {&db->task, &db->group};

    *ret_more = false;
    if (db->expires <= 0) {
        return true;
    }
    int64_t before = cel_clock_wall_us() - (int64_t)(db->expires * 1e6);
    struct cel_sql_value value = cel_sql_date(&job->arena, before);
    why->fault = CEL_SQL_LATER;
    for (size_t i = 0; i < 2; i++) {
        int64_t n = 0;

        if (!value.data || !remove_some(db, tables[i], &value, &n, why)) {
            return false;
        }
        job->answer += n;
        *ret_more |= n == MOST_EXPIRED;
    }
    return true;
}
