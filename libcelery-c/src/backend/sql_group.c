/* SPDX-License-Identifier: BSD-3-Clause */
/* celery_tasksetmeta: saved groups (DatabaseBackend._save_group, _restore_group). */
#include "backend/sql.h"
#include "base/clock.h"
#include "base/error.h"
#include "codec/pickle.h"

/* A GroupResult as up to 5.6 has it, which 5.7 reads as well. */
static bool pickle_group(struct cel_sql_db *db, struct cel_sql_job *job,
                         struct cel_sql_value *ret)
{
    struct cel_node *tuple = NULL;
    celery_status status =
        cel_json_parse(&job->arena, job->json, NULL, &tuple, &job->err);

    cel_buf_clear(&db->scratch);
    if (status == CELERY_OK) {
        status = cel_pickle_write_group(&db->scratch, tuple, &job->err);
    }
    size_t most = db->group.most_bytes[CEL_COL_RESULT];
    if (status == CELERY_OK && most && db->scratch.len > most) {
        status =
            cel_error_set(&job->err, CELERY_ELIMIT,
                          "a group of %zu bytes does not fit %s.result, which holds %zu",
                          db->scratch.len, db->group.name, most);
    }
    char *bytes = status == CELERY_OK
                      ? cel_arena_strndup(&job->arena, db->scratch.data, db->scratch.len)
                      : NULL;
    if (status == CELERY_OK && !bytes) {
        cel_error_nomem(&job->err);
    }
    *ret = (struct cel_sql_value){
        .kind = CEL_SQL_BLOB, .data = bytes, .len = db->scratch.len};
    return bytes != NULL;
}

static void add_values(struct cel_sql_db *db)
{
    const struct cel_sql_table *t = &db->group;

    cel_buf_addf(&db->sql, "INSERT INTO %s (%staskset_id, result, date_done) VALUES (",
                 t->quoted, t->numbers_itself ? "" : "id, ");
    if (!t->numbers_itself) {
        cel_buf_addf(&db->sql,
                     db->dialect == CEL_SQL_POSTGRESQL ? "nextval('%s'), "
                                                       : "NEXT VALUE FOR %s, ",
                     t->sequence);
    }
    for (size_t i = 1; i <= 3; i++) {
        cel_buf_adds(&db->sql, i > 1 ? ", " : "");
        cel_sql_text_place(db, i);
    }
    cel_buf_adds(&db->sql, db->dialect == CEL_SQL_POSTGRESQL ? "::timestamp)" : ")");
}

/* Upstream inserts, and fails when the group is there; a redelivered one may save it twice. */
bool cel_sql_do_save_group(struct cel_sql_db *db, struct cel_sql_job *job,
                           struct cel_sql_error *why)
{
    struct cel_sql_value values[3];

    job->err = (celery_error){0};
    job->answer = 1;
    values[0] = cel_sql_text(job->ids[0]);
    values[2] = cel_sql_date(&job->arena, cel_clock_wall_us());
    if (!values[2].data) {
        why->fault = CEL_SQL_LATER;
        return false;
    }
    if (!pickle_group(db, job, &values[1])) {
        return true;
    }
    cel_buf_clear(&db->sql);
    add_values(db);
    cel_buf_adds(
        &db->sql,
        db->dialect == CEL_SQL_MYSQL
            ? " ON DUPLICATE KEY UPDATE result = VALUES(result), date_done = "
              "VALUES(date_done)"
            : " ON CONFLICT (taskset_id) DO UPDATE SET result = excluded.result, "
              "date_done = excluded.date_done");
    return cel_sql_run(db, values, 3, NULL, why);
}

struct reading {
    struct cel_sql_db *db;
    struct cel_sql_job *job;
};

static void on_group(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct reading *r = ctx;
    struct cel_sql_job *job = r->job;
    struct cel_node *node = NULL;

    if (v[0].kind == CEL_SQL_NULL ||
        cel_sql_decode(r->db, &job->arena, &v[0], &node, &job->err) < 0) {
        return;
    }
    struct cel_node *tuple = cel_pickle_group(&job->arena, node);
    /* Since 5.7 the tuple itself. */
    job->tuple = tuple ? tuple : node && node->kind == CELERY_KIND_ARRAY ? node : NULL;
    if (!job->tuple) {
        cel_error_set(&job->err, CELERY_EMESSAGE, "the saved group %.64s is none",
                      job->ids[0].data);
    }
}

bool cel_sql_do_load_group(struct cel_sql_db *db, struct cel_sql_job *job,
                           struct cel_sql_error *why)
{
    struct reading r = {db, job};
    struct cel_sql_value id = cel_sql_text(job->ids[0]);

    job->err = (celery_error){0};
    job->tuple = NULL;
    cel_sql_text_in(db, "SELECT result FROM", &db->group, "taskset_id", 1);
    if (!cel_sql_run(db, &id, 1, &(struct cel_sql_rows){on_group, &r}, why)) {
        return false;
    }
    job->answer = job->tuple != NULL;
    return true;
}
