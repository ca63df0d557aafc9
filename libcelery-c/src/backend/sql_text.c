/* SPDX-License-Identifier: BSD-3-Clause */
/* SQL in three dialects. */
#include "backend/sql.h"

const char *const cel_sql_column_names[CEL_SQL_COLUMNS] = {
    "task_id", "status", "result",  "date_done", "traceback", "name",   "args",
    "kwargs",  "worker", "retries", "queue",     "children",  "stamps",
};

bool cel_sql_uses(const struct cel_sql_db *db, enum cel_sql_column column)
{
    bool extended = column >= CEL_COL_NAME && column != CEL_COL_CHILDREN;

    return db->task.has[column] && (db->extended || !extended);
}

size_t cel_sql_columns(const struct cel_sql_db *db)
{
    size_t n = 0;

    for (int i = 0; i < CEL_SQL_COLUMNS; i++) {
        n += cel_sql_uses(db, i);
    }
    return n;
}

void cel_sql_text_place(struct cel_sql_db *db, size_t n)
{
    if (db->dialect == CEL_SQL_POSTGRESQL) {
        cel_buf_addc(&db->sql, '$');
        cel_buf_add_int(&db->sql, (int64_t)n);
    } else {
        cel_buf_addc(&db->sql, '?');
    }
}

/* ---- writing results ---- */

static void add_row(struct cel_sql_db *db, size_t *place)
{
    const struct cel_sql_table *t = &db->task;
    bool first = true;

    cel_buf_addc(&db->sql, '(');
    if (!t->numbers_itself) {
        cel_buf_addf(&db->sql,
                     db->dialect == CEL_SQL_POSTGRESQL ? "nextval('%s')"
                                                       : "NEXT VALUE FOR %s",
                     t->sequence);
        first = false;
    }
    for (int i = 0; i < CEL_SQL_COLUMNS; i++) {
        if (!cel_sql_uses(db, i)) {
            continue;
        }
        cel_buf_adds(&db->sql, first ? "" : ", ");
        cel_sql_text_place(db, ++*place);
        if (i == CEL_COL_DATE_DONE && db->dialect == CEL_SQL_POSTGRESQL) {
            cel_buf_adds(&db->sql, "::timestamp");
        }
        first = false;
    }
    cel_buf_addc(&db->sql, ')');
}

static void add_columns(struct cel_sql_db *db, bool with_id)
{
    bool first = !with_id;

    cel_buf_adds(&db->sql, with_id ? "id" : "");
    for (int i = 0; i < CEL_SQL_COLUMNS; i++) {
        if (cel_sql_uses(db, i)) {
            cel_buf_addf(&db->sql, "%s%s", first ? "" : ", ", cel_sql_column_names[i]);
            first = false;
        }
    }
}

/* MySQL assigns from left to right: status is what the others look at, so it comes last. */
static void add_updates(struct cel_sql_db *db)
{
    static const enum cel_sql_column order[] = {
        CEL_COL_RESULT, CEL_COL_DATE_DONE, CEL_COL_TRACEBACK, CEL_COL_NAME,
        CEL_COL_ARGS,   CEL_COL_KWARGS,    CEL_COL_WORKER,    CEL_COL_RETRIES,
        CEL_COL_QUEUE,  CEL_COL_CHILDREN,  CEL_COL_STAMPS,    CEL_COL_STATUS,
    };
    bool first = true;

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const char *name = cel_sql_column_names[order[i]];

        if (!cel_sql_uses(db, order[i])) {
            continue;
        }
        cel_buf_adds(&db->sql, first ? "" : ", ");
        first = false;
        if (db->dialect == CEL_SQL_MYSQL) {
            cel_buf_addf(&db->sql, "%s = IF(status <=> 'SUCCESS', %s, VALUES(%s))", name,
                         name, name);
        } else {
            cel_buf_addf(&db->sql, "%s = excluded.%s", name, name);
        }
    }
}

/*
 * DatabaseBackend._store_result in one statement: upstream looks for the row, inserts one that is
 * missing and updates it; its rows are unique by task_id since ever.
 */
bool cel_sql_text_upsert(struct cel_sql_db *db, size_t rows)
{
    size_t place = 0;

    cel_buf_clear(&db->sql);
    cel_buf_addf(&db->sql, "INSERT INTO %s%s (", db->task.quoted,
                 db->dialect == CEL_SQL_MYSQL ? "" : " AS old");
    add_columns(db, !db->task.numbers_itself);
    cel_buf_adds(&db->sql, ") VALUES ");
    for (size_t i = 0; i < rows; i++) {
        cel_buf_adds(&db->sql, i ? ", " : "");
        add_row(db, &place);
    }
    if (db->dialect == CEL_SQL_MYSQL) {
        cel_buf_adds(&db->sql, " ON DUPLICATE KEY UPDATE ");
        add_updates(db);
    } else {
        cel_buf_adds(&db->sql, " ON CONFLICT (task_id) DO UPDATE SET ");
        add_updates(db);
        cel_buf_adds(&db->sql, db->dialect == CEL_SQL_SQLITE
                                   ? " WHERE old.status IS NOT 'SUCCESS'"
                                   : " WHERE old.status IS DISTINCT FROM 'SUCCESS'");
        cel_buf_adds(&db->sql, " RETURNING task_id");
    }
    return cel_buf_ok(&db->sql);
}

/* ---- reading and removing ---- */

static void add_list(struct cel_sql_db *db, size_t n)
{
    cel_buf_addc(&db->sql, '(');
    for (size_t i = 0; i < n; i++) {
        cel_buf_adds(&db->sql, i ? ", " : "");
        cel_sql_text_place(db, i + 1);
    }
    cel_buf_addc(&db->sql, ')');
}

bool cel_sql_text_select(struct cel_sql_db *db, size_t n)
{
    cel_buf_clear(&db->sql);
    cel_buf_adds(&db->sql, "SELECT ");
    add_columns(db, false);
    cel_buf_addf(&db->sql, " FROM %s WHERE task_id IN ", db->task.quoted);
    add_list(db, n);
    return cel_buf_ok(&db->sql);
}

bool cel_sql_text_in(struct cel_sql_db *db, const char *before,
                     const struct cel_sql_table *t, const char *behind, size_t n)
{
    cel_buf_clear(&db->sql);
    cel_buf_addf(&db->sql, "%s %s WHERE %s IN ", before, t->quoted, behind);
    add_list(db, n);
    return cel_buf_ok(&db->sql);
}

/* ---- the schema ---- */

/* Name, characters at most, bytes at most, what else there is to it; no rows: no table. */
bool cel_sql_text_columns(struct cel_sql_db *db)
{
    static const char *const texts[] = {
        [CEL_SQL_POSTGRESQL] =
            "SELECT attname::text, CASE WHEN atttypid IN (1042, 1043) AND atttypmod > 4 "
            "THEN atttypmod - 4 END, NULL, NULL FROM pg_catalog.pg_attribute "
            "WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT "
            "attisdropped",
        [CEL_SQL_SQLITE] = "SELECT name, NULL, NULL, NULL FROM pragma_table_info(?, ?)",
        [CEL_SQL_MYSQL] =
            "SELECT column_name, IF(data_type = 'varchar', character_maximum_length, "
            "NULL), IF(data_type = 'varchar', NULL, character_octet_length), extra FROM "
            "information_schema.columns WHERE table_name = ? AND table_schema = "
            "COALESCE(?, DATABASE())",
    };

    cel_buf_clear(&db->sql);
    cel_buf_adds(&db->sql, texts[db->dialect]);
    return cel_buf_ok(&db->sql);
}

static void add_type(struct cel_sql_db *db, const char *name, const char *type)
{
    cel_buf_addf(&db->sql, ", %s %s", name, type);
}

static void add_task_columns(struct cel_sql_db *db, const char *blob, const char *date)
{
    add_type(db, "task_id", "VARCHAR(155)");
    add_type(db, "status", "VARCHAR(50)");
    add_type(db, "result", blob);
    add_type(db, "date_done", date);
    add_type(db, "traceback", "TEXT");
    add_type(db, "name", "VARCHAR(155)");
    add_type(db, "args", blob);
    add_type(db, "kwargs", blob);
    add_type(db, "worker", "VARCHAR(155)");
    add_type(db, "retries", "INTEGER");
    add_type(db, "queue", "VARCHAR(155)");
}

/* "CREATE SEQUENCE", the lock against others who start at the same time. */
static void add_preparations(struct cel_sql_db *db, const struct cel_sql_table *t)
{
    if (db->dialect == CEL_SQL_POSTGRESQL) {
        /* Any number that nobody else locks: "celery" in ASCII. */
        cel_buf_adds(&db->sql, "SELECT pg_advisory_xact_lock(109264566645369); ");
    }
    if (db->dialect == CEL_SQL_POSTGRESQL || db->mariadb) {
        cel_buf_addf(&db->sql, "CREATE SEQUENCE IF NOT EXISTS %s START WITH 1; ",
                     t->sequence);
    }
}

/* What SQLAlchemy's create_all() makes of the models of Celery 5.6. */
bool cel_sql_text_create(struct cel_sql_db *db, const struct cel_sql_table *t)
{
    bool mysql = db->dialect == CEL_SQL_MYSQL;
    bool sqlite = db->dialect == CEL_SQL_SQLITE;
    const char *blob = db->dialect == CEL_SQL_POSTGRESQL ? "BYTEA" : "BLOB";
    const char *date =
        db->dialect == CEL_SQL_POSTGRESQL ? "TIMESTAMP WITHOUT TIME ZONE" : "DATETIME";
    const char *key = t == &db->task ? "task_id" : "taskset_id";

    cel_buf_clear(&db->sql);
    add_preparations(db, t);
    cel_buf_addf(&db->sql, "CREATE TABLE IF NOT EXISTS %s (id INTEGER NOT NULL%s",
                 t->quoted,
                 sqlite                  ? " PRIMARY KEY AUTOINCREMENT"
                 : mysql && !db->mariadb ? " AUTO_INCREMENT"
                                         : "");
    if (t == &db->task) {
        add_task_columns(db, blob, date);
    } else {
        add_type(db, key, "VARCHAR(155)");
        add_type(db, "result", blob);
        add_type(db, "date_done", date);
    }
    cel_buf_addf(&db->sql, "%s, UNIQUE (%s)", sqlite ? "" : ", PRIMARY KEY (id)", key);
    if (mysql) {
        cel_buf_addf(&db->sql, ", KEY `ix_%s_date_done` (date_done))", t->name);
    } else {
        cel_buf_addf(&db->sql, "); CREATE INDEX IF NOT EXISTS %s\"ix_%s_date_done\" ON ",
                     "", t->name);
        cel_buf_addf(&db->sql, "%s (date_done)", t->quoted);
    }
    return cel_buf_ok(&db->sql);
}
