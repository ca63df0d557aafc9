/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/sql.h"
#include "base/alloc.h"

static struct cel_sql_db db;

static void start(enum cel_sql_dialect dialect)
{
    const char *q = dialect == CEL_SQL_MYSQL ? "`" : "\"";

    cel_buf_fini(&db.sql);
    db = (struct cel_sql_db){.dialect = dialect};
    db.task.name = "t";
    db.task.quoted = *q == '`' ? "`t`" : "\"t\"";
    db.task.sequence = *q == '`' ? "`s`" : "\"s\"";
    db.group.name = "g";
    db.group.quoted = *q == '`' ? "`g`" : "\"g\"";
    db.group.sequence = *q == '`' ? "`gs`" : "\"gs\"";
    for (int i = 0; i < CEL_COL_NAME; i++) {
        db.task.has[i] = true;
    }
    db.task.numbers_itself = dialect == CEL_SQL_SQLITE;
}

static int teardown(void **state)
{
    cel_buf_fini(&db.sql);
    return 0;
}

static void says(const char *want)
{
    assert_string_equal(cel_buf_cstr(&db.sql), want);
}

static void has(const char *want)
{
    if (!strstr(cel_buf_cstr(&db.sql), want)) {
        fail_msg("no \"%s\" in %s", want, cel_buf_cstr(&db.sql));
    }
}

static void test_upserts(void **state)
{
    start(CEL_SQL_POSTGRESQL);
    assert_true(cel_sql_text_upsert(&db, 2));
    says("INSERT INTO \"t\" AS old (id, task_id, status, result, date_done, traceback) "
         "VALUES (nextval('\"s\"'), $1, $2, $3, $4::timestamp, $5), "
         "(nextval('\"s\"'), $6, $7, $8, $9::timestamp, $10) "
         "ON CONFLICT (task_id) DO UPDATE SET result = excluded.result, "
         "date_done = excluded.date_done, traceback = excluded.traceback, "
         "status = excluded.status WHERE old.status IS DISTINCT FROM 'SUCCESS' "
         "RETURNING task_id");
    start(CEL_SQL_SQLITE);
    assert_true(cel_sql_text_upsert(&db, 1));
    says(
        "INSERT INTO \"t\" AS old (task_id, status, result, date_done, traceback) VALUES "
        "(?, ?, ?, ?, ?) ON CONFLICT (task_id) DO UPDATE SET result = excluded.result, "
        "date_done = excluded.date_done, traceback = excluded.traceback, "
        "status = excluded.status WHERE old.status IS NOT 'SUCCESS' RETURNING task_id");
}

/* MySQL assigns from left to right: status, which the others ask for, comes last. */
static void test_upserts_of_mysql(void **state)
{
    start(CEL_SQL_MYSQL);
    assert_true(cel_sql_text_upsert(&db, 1));
    says("INSERT INTO `t` (id, task_id, status, result, date_done, traceback) VALUES "
         "(NEXT VALUE FOR `s`, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
         "result = IF(status <=> 'SUCCESS', result, VALUES(result)), "
         "date_done = IF(status <=> 'SUCCESS', date_done, VALUES(date_done)), "
         "traceback = IF(status <=> 'SUCCESS', traceback, VALUES(traceback)), "
         "status = IF(status <=> 'SUCCESS', status, VALUES(status))");
    db.task.numbers_itself = true; /* MySQL has no sequences */
    assert_true(cel_sql_text_upsert(&db, 1));
    has("INSERT INTO `t` (task_id, status");
    has("VALUES (?, ?, ?, ?, ?) ON");
}

/* Columns of result_extended where that is wanted, those of 5.7 where they are. */
static void test_which_columns(void **state)
{
    start(CEL_SQL_SQLITE);
    for (int i = CEL_COL_NAME; i <= CEL_COL_QUEUE; i++) {
        db.task.has[i] = true;
    }
    assert_int_equal(cel_sql_columns(&db), 5);
    db.extended = true;
    assert_int_equal(cel_sql_columns(&db), 11);
    assert_true(cel_sql_text_select(&db, 2));
    says("SELECT task_id, status, result, date_done, traceback, name, args, kwargs, "
         "worker, retries, queue FROM \"t\" WHERE task_id IN (?, ?)");
    db.task.has[CEL_COL_CHILDREN] = db.task.has[CEL_COL_STAMPS] = true;
    assert_int_equal(cel_sql_columns(&db), 13);
    db.extended = false;
    assert_int_equal(cel_sql_columns(&db), 6);
    assert_true(cel_sql_uses(&db, CEL_COL_CHILDREN));
    assert_false(cel_sql_uses(&db, CEL_COL_STAMPS));
}

static void test_places(void **state)
{
    start(CEL_SQL_POSTGRESQL);
    assert_true(cel_sql_text_in(&db, "DELETE FROM", &db.group, "taskset_id", 3));
    says("DELETE FROM \"g\" WHERE taskset_id IN ($1, $2, $3)");
    start(CEL_SQL_MYSQL);
    assert_true(cel_sql_text_in(&db, "SELECT 1 FROM", &db.task, "task_id", 1));
    says("SELECT 1 FROM `t` WHERE task_id IN (?)");
}

static void test_tables(void **state)
{
    start(CEL_SQL_POSTGRESQL);
    assert_true(cel_sql_text_create(&db, &db.group));
    says(
        "SELECT pg_advisory_xact_lock(109264566645369); "
        "CREATE SEQUENCE IF NOT EXISTS \"gs\" START WITH 1; "
        "CREATE TABLE IF NOT EXISTS \"g\" (id INTEGER NOT NULL, taskset_id VARCHAR(155), "
        "result BYTEA, date_done TIMESTAMP WITHOUT TIME ZONE, PRIMARY KEY (id), "
        "UNIQUE (taskset_id)); CREATE INDEX IF NOT EXISTS \"ix_g_date_done\" ON \"g\" "
        "(date_done)");
    start(CEL_SQL_SQLITE);
    assert_true(cel_sql_text_create(&db, &db.task));
    says(
        "CREATE TABLE IF NOT EXISTS \"t\" (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "
        "task_id VARCHAR(155), status VARCHAR(50), result BLOB, date_done DATETIME, "
        "traceback TEXT, name VARCHAR(155), args BLOB, kwargs BLOB, worker VARCHAR(155), "
        "retries INTEGER, queue VARCHAR(155), UNIQUE (task_id)); "
        "CREATE INDEX IF NOT EXISTS \"ix_t_date_done\" ON \"t\" (date_done)");
    start(CEL_SQL_MYSQL);
    assert_true(cel_sql_text_create(&db, &db.group));
    says("CREATE TABLE IF NOT EXISTS `g` (id INTEGER NOT NULL AUTO_INCREMENT, "
         "taskset_id VARCHAR(155), result BLOB, date_done DATETIME, PRIMARY KEY (id), "
         "UNIQUE (taskset_id), KEY `ix_g_date_done` (date_done))");
    db.mariadb = true;
    assert_true(cel_sql_text_create(&db, &db.group));
    has("CREATE SEQUENCE IF NOT EXISTS `gs` START WITH 1; CREATE TABLE");
    has("(id INTEGER NOT NULL, taskset_id");
}

static bool make_one(int which)
{
    switch (which) {
    case 0:
        return cel_sql_text_upsert(&db, 40);
    case 1:
        return cel_sql_text_select(&db, 400);
    case 2:
        return cel_sql_text_in(&db, "DELETE FROM", &db.task, "task_id", 400);
    case 3:
        return cel_sql_text_columns(&db);
    default:
        return cel_sql_text_create(&db, &db.task);
    }
}

/* Never half a statement. */
static void test_out_of_memory(void **state)
{
    for (int dialect = CEL_SQL_POSTGRESQL; dialect <= CEL_SQL_MYSQL; dialect++) {
        for (int which = 0; which < 5; which++) {
            bool made = false;

            for (unsigned long nth = 1; !made; nth++) {
                assert_true(nth < 50);
                start(dialect);
                cel_alloc_fail_at(nth, 0);
                made = make_one(which);
                cel_alloc_fail_at(0, 0);
                assert_int_equal(made, cel_buf_ok(&db.sql));
            }
            assert_true(made && db.sql.len > 30);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upserts),       cmocka_unit_test(test_upserts_of_mysql),
        cmocka_unit_test(test_which_columns), cmocka_unit_test(test_places),
        cmocka_unit_test(test_tables),        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
