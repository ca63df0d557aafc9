/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables: looked at before anything is stored, made as SQLAlchemy makes them. */
#include "backend/sql.h"
#include "base/error.h"
#include <stdio.h>

enum { TRIES = 10 }; /* celery/backends/database/session.py PREPARE_MODELS_MAX_RETRIES */

/* ---- looking ---- */

static size_t number_of(const struct cel_sql_value *v)
{
    int64_t n = v->number;

    if (v->kind == CEL_SQL_TEXT && !cel_slice_to_int(cel_slice(v->data, v->len), &n)) {
        return 0;
    }
    return v->kind == CEL_SQL_NULL || n < 0 ? 0 : (size_t)n;
}

static void on_column(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct cel_sql_table *t = ctx;
    struct cel_slice name = cel_slice(v[0].data, v[0].len);
    struct cel_slice extra = cel_slice(v[3].data, v[3].len);

    t->exists = true;
    if (cel_slice_is(name, "id") && extra.len > 0 &&
        memmem(extra.data, extra.len, "auto_increment", 14)) {
        t->numbers_itself = true;
    }
    for (int i = 0; i < CEL_SQL_COLUMNS; i++) {
        if (cel_slice_is(name, cel_sql_column_names[i])) {
            t->has[i] = true;
            t->most_chars[i] = number_of(&v[1]);
            t->most_bytes[i] = number_of(&v[2]);
        }
    }
}

static bool look(struct cel_sql_db *db, struct cel_sql_table *t,
                 struct cel_sql_error *why)
{
    bool quoted = db->dialect == CEL_SQL_POSTGRESQL;
    struct cel_sql_value values[] = {
        cel_sql_text(cel_slice_of(quoted ? t->quoted : t->name)),
        cel_sql_text(cel_slice_of(t->schema)),
    };
    const struct cel_sql_rows rows = {on_column, t};

    t->exists = false;
    memset(t->has, 0, sizeof t->has);
    t->numbers_itself = db->dialect == CEL_SQL_SQLITE;
    cel_sql_text_columns(db);
    return cel_sql_run(db, values, quoted ? 1 : 2, &rows, why);
}

static void on_flag(void *ctx, const struct cel_sql_value *v, size_t n)
{
    *(bool *)ctx = v[0].kind == CEL_SQL_TEXT && v[0].len > 0 && v[0].data[0] == 't';
}

/* Tables that somebody else made may lack the sequences that upstream takes ids from. */
static bool make_sequence(struct cel_sql_db *db, const struct cel_sql_table *t,
                          struct cel_sql_error *why)
{
    bool missing = false;
    struct cel_sql_value name = cel_sql_text(cel_slice_of(t->sequence));

    cel_buf_clear(&db->sql);
    cel_buf_adds(&db->sql, "SELECT pg_catalog.to_regclass($1) IS NULL");
    if (!cel_sql_run(db, &name, 1, &(struct cel_sql_rows){on_flag, &missing}, why)) {
        return false;
    }
    if (!missing || !db->create) {
        return true;
    }
    cel_buf_clear(&db->sql);
    cel_buf_addf(&db->sql,
                 "CREATE SEQUENCE IF NOT EXISTS %s; SELECT setval('%s', (SELECT ",
                 t->sequence, t->sequence);
    cel_buf_addf(&db->sql, "COALESCE(MAX(id), 0) + 1 FROM %s), false)", t->quoted);
    return cel_sql_run(db, NULL, 0, NULL, why) || why->fault == CEL_SQL_EXISTS;
}

/* ---- making ---- */

static bool make(struct cel_sql_db *db, struct cel_sql_table *t,
                 struct cel_sql_error *why, celery_error *err)
{
    for (int i = 0; i < TRIES && !t->exists; i++) {
        cel_sql_text_create(db, t);
        if (!cel_sql_run(db, NULL, 0, NULL, why) && why->fault != CEL_SQL_EXISTS &&
            why->fault != CEL_SQL_AGAIN) {
            if (why->fault == CEL_SQL_DENIED || why->fault == CEL_SQL_REFUSED) {
                cel_error_set(err, CELERY_ECONFIG, "cannot create the table %s: %s",
                              t->name, why->text);
            }
            return false;
        }
        if (!look(db, t, why)) {
            return false;
        }
    }
    if (!t->exists) {
        cel_error_set(err, CELERY_ECONFIG, "cannot create the table %s: %s", t->name,
                      why->text);
    }
    return t->exists;
}

static void on_version(void *ctx, const struct cel_sql_value *v, size_t n)
{
    struct cel_sql_db *db = ctx;
    struct cel_slice text = cel_slice(v[0].data, v[0].len);
    int64_t major = 0;
    int64_t minor = 0;
    struct cel_slice part;

    if (text.len > 0 && memmem(text.data, text.len, "MariaDB", 7) &&
        cel_slice_split(&text, '.', &part) && cel_slice_to_int(part, &major) &&
        cel_slice_split(&text, '.', &part)) {
        cel_slice_to_int(part, &minor);
        /* sqlalchemy/dialects/mysql/base.py: sequences since MariaDB 10.3 */
        db->mariadb = major > 10 || (major == 10 && minor >= 3);
    }
}

/* ---- checking ---- */

static bool check(struct cel_sql_db *db, celery_error *err)
{
    static const char *const types[CEL_SQL_COLUMNS] = {[CEL_COL_NAME] = "VARCHAR(155)",
                                                       [CEL_COL_WORKER] = "VARCHAR(155)",
                                                       [CEL_COL_QUEUE] = "VARCHAR(155)",
                                                       [CEL_COL_RETRIES] = "INTEGER"};
    const char *blob = db->dialect == CEL_SQL_POSTGRESQL ? "BYTEA" : "BLOB";
    char missing[160] = "";

    for (int i = 0; i < CEL_COL_NAME; i++) {
        if (!db->task.has[i]) {
            cel_error_set(err, CELERY_ECONFIG,
                          "the table %s has no column %s: it is not Celery's; set "
                          "database_table_names to another",
                          db->task.name, cel_sql_column_names[i]);
            return false;
        }
    }
    for (int i = CEL_COL_NAME; db->extended && i <= CEL_COL_QUEUE; i++) {
        size_t used = strlen(missing);

        if (!db->task.has[i]) {
            snprintf(missing + used, sizeof missing - used, "%sADD %s %s",
                     used ? ", " : "", cel_sql_column_names[i],
                     types[i] ? types[i] : blob);
        }
    }
    if (*missing) {
        cel_error_set(err, CELERY_ECONFIG,
                      "%s is of a Celery without result_extended; set that to false, or "
                      "ALTER TABLE %s %s",
                      db->task.name, db->task.name, missing);
        return false;
    }
    return true;
}

bool cel_sql_prepare(struct cel_sql_db *db, struct cel_sql_error *why, celery_error *err)
{
    struct cel_sql_table *const tables[] = {&db->task, &db->group};

    if (db->dialect == CEL_SQL_MYSQL) {
        cel_buf_clear(&db->sql);
        cel_buf_adds(&db->sql, "SELECT VERSION()");
        if (!cel_sql_run(db, NULL, 0, &(struct cel_sql_rows){on_version, db}, why)) {
            return false;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        struct cel_sql_table *t = tables[i];

        if (!look(db, t, why)) {
            return false;
        }
        if (!t->exists && !db->create) {
            cel_error_set(err, CELERY_ECONFIG,
                          "there is no table %s: create it, or set "
                          "database_create_tables_at_setup to true",
                          t->name);
            return false;
        }
        if (!t->exists && !make(db, t, why, err)) {
            return false;
        }
        if (db->dialect == CEL_SQL_POSTGRESQL && !make_sequence(db, t, why)) {
            return false;
        }
    }
    return check(db, err);
}
