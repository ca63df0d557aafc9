/* SPDX-License-Identifier: BSD-3-Clause */
/* SQLite files: sqlite3. */
#include "backend/sql_driver.h"
#include "base/module.h"

#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_COLUMNS = 32, OLDEST = 3035000 /* INSERT ... RETURNING */ };

/* pysqlite's timeout: seconds to wait for a lock. */
static const double BUSY_SECONDS = 5;

struct conn {
    sqlite3 *db;
    double busy_seconds;
    double deadline;
    int stop_fd;
    bool stopped;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void version(char *text, size_t size)
{
    snprintf(text, size, "sqlite %s", sqlite3_libversion());
}

static void set_error(struct cel_sql_error *err, enum cel_sql_fault fault,
                      const char *text)
{
    err->fault = fault;
    err->state[0] = '\0';
    snprintf(err->text, sizeof err->text, "%s", text);
}

static enum cel_sql_fault fault_of(int code, const char *text)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return CEL_SQL_AGAIN;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return CEL_SQL_LATER;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return CEL_SQL_DENIED;
    case SQLITE_TOOBIG:
        return CEL_SQL_TOO_LONG;
    default:
        break;
    }
    return strstr(text, "no such table") ? CEL_SQL_NO_TABLE
           : strstr(text, "no such column") || strstr(text, "no column named")
               ? CEL_SQL_NO_COLUMN
           : strstr(text, "already exists") ? CEL_SQL_EXISTS
                                            : CEL_SQL_REFUSED;
}

static bool failed(struct conn *c, struct cel_sql_error *err)
{
    const char *text = sqlite3_errmsg(c->db);

    set_error(err,
              c->stopped ? CEL_SQL_STOPPED
                         : fault_of(sqlite3_extended_errcode(c->db), text),
              text);
    return false;
}

/* Instead of sqlite3_busy_timeout(): ends early when it is told to. */
static int on_busy(void *ctx, int tries)
{
    struct conn *c = ctx;
    struct pollfd fd = {.fd = c->stop_fd, .events = POLLIN};

    if (now() > c->deadline) {
        return 0;
    }
    c->stopped = poll(&fd, 1, tries < 5 ? 1 : tries < 20 ? 5 : 25) > 0;
    return !c->stopped;
}

static void *open_file(const struct cel_sql_target *target, double seconds,
                       struct cel_sql_error *err)
{
    struct conn *c;
    const char *path =
        target->database && *target->database ? target->database : ":memory:";

    if (sqlite3_libversion_number() < OLDEST) {
        set_error(err, CEL_SQL_REFUSED, "SQLite is older than 3.35");
        return NULL;
    }
    c = calloc(1, sizeof *c);
    if (!c) {
        set_error(err, CEL_SQL_LATER, "out of memory");
        return NULL;
    }
    c->stop_fd = target->stop_fd;
    c->busy_seconds = BUSY_SECONDS;
    for (size_t i = 0; i < target->n_options; i++) {
        if (strcmp(target->options[i].name, "timeout") == 0) {
            c->busy_seconds = strtod(target->options[i].value, NULL);
        }
    }
    if (sqlite3_open_v2(path, &c->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_FULLMUTEX,
                        NULL) != SQLITE_OK) {
        set_error(err, fault_of(sqlite3_errcode(c->db), ""), sqlite3_errmsg(c->db));
        sqlite3_close(c->db);
        free(c);
        return NULL;
    }
    sqlite3_busy_handler(c->db, on_busy, c);
    return c;
}

static void close_file(void *conn)
{
    struct conn *c = conn;

    sqlite3_close(c->db);
    free(c);
}

static bool bind_all(struct conn *c, sqlite3_stmt *s, const struct cel_sql_value *values,
                     size_t n, struct cel_sql_error *err)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
        const struct cel_sql_value *v = &values[i];
        int at = (int)i + 1;

        switch (v->kind) {
        case CEL_SQL_NULL:
            code = sqlite3_bind_null(s, at);
            break;
        case CEL_SQL_INT:
            code = sqlite3_bind_int64(s, at, v->number);
            break;
        case CEL_SQL_TEXT:
            code =
                sqlite3_bind_text64(s, at, v->data, v->len, SQLITE_STATIC, SQLITE_UTF8);
            break;
        case CEL_SQL_BLOB:
            code = v->len > 0 ? sqlite3_bind_blob64(s, at, v->data, v->len, SQLITE_STATIC)
                              : sqlite3_bind_zeroblob(s, at, 0);
            break;
        }
    }
    return code == SQLITE_OK || failed(c, err);
}

static void give_row(sqlite3_stmt *s, const struct cel_sql_rows *rows)
{
    struct cel_sql_value columns[MOST_COLUMNS];
    int n = sqlite3_column_count(s);

    for (int i = 0; i < n && i < MOST_COLUMNS; i++) {
        struct cel_sql_value *v = &columns[i];

        *v = (struct cel_sql_value){.kind = CEL_SQL_NULL};
        switch (sqlite3_column_type(s, i)) {
        case SQLITE_NULL:
            break;
        case SQLITE_INTEGER:
            v->kind = CEL_SQL_INT;
            v->number = sqlite3_column_int64(s, i);
            break;
        case SQLITE_BLOB:
            v->kind = CEL_SQL_BLOB;
            v->data = sqlite3_column_blob(s, i);
            v->len = (size_t)sqlite3_column_bytes(s, i);
            break;
        default:
            v->kind = CEL_SQL_TEXT;
            v->data = (const char *)sqlite3_column_text(s, i);
            v->len = (size_t)sqlite3_column_bytes(s, i);
        }
    }
    rows->row(rows->ctx, columns, n < MOST_COLUMNS ? (size_t)n : MOST_COLUMNS);
}

static bool run(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err)
{
    struct conn *c = conn;
    sqlite3_stmt *s = NULL;
    int code;

    double wait = c->busy_seconds < seconds ? c->busy_seconds : seconds;
    c->deadline = now() + wait;
    while (sql && *sql) {
        if (sqlite3_prepare_v2(c->db, sql, -1, &s, &sql) != SQLITE_OK ||
            !bind_all(c, s, values, n, err)) {
            sqlite3_finalize(s);
            return failed(c, err);
        }
        while (s && (code = sqlite3_step(s)) != SQLITE_DONE) {
            if (code != SQLITE_ROW) {
                failed(c, err);
                sqlite3_finalize(s);
                /* A statement that waits for a lock leaves no transaction open. */
                if (!sqlite3_get_autocommit(c->db)) {
                    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
                }
                return false;
            }
            if (rows) {
                give_row(s, rows);
            }
        }
        sqlite3_finalize(s);
        s = NULL;
    }
    return true;
}

static const struct cel_sql_driver driver = {
    .dialect = "sqlite",
    .version = version,
    .open = open_file,
    .close = close_file,
    .run = run,
};

CEL_MODULE("sql", &driver);
