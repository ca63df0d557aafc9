/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a module around a database's client library gives (base/module.h, kind "sql"): connections
 * and statements.  The SQL itself is made by backend/sql_text.c for the dialect.
 *
 * All calls come from one thread, not the loop's, and block at most as long as they are told to;
 * they return early when stop_fd becomes readable.  Messages are one line, without passwords.
 */
#ifndef CEL_BACKEND_SQL_DRIVER_H
#define CEL_BACKEND_SQL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cel_sql_fault {
    CEL_SQL_LOST =
        1,         /* no connection (any more), or one that cannot write: open another */
    CEL_SQL_AGAIN, /* deadlock, serialization, a lock that others hold: the same again */
    CEL_SQL_LATER, /* full, out of memory: somebody must mend that, then the same again */
    CEL_SQL_DENIED,    /* password, rights */
    CEL_SQL_NO_TABLE,  /* a table or sequence that is not there */
    CEL_SQL_NO_COLUMN, /* a column that is not there */
    CEL_SQL_EXISTS,    /* made by somebody else at the same time */
    CEL_SQL_TOO_LONG,  /* a value that does not fit its column */
    CEL_SQL_REFUSED,   /* anything else about the statement or the URL: never succeeds */
    CEL_SQL_STOPPED,   /* stop_fd is readable */
};

struct cel_sql_error {
    enum cel_sql_fault fault;
    char state[8]; /* SQLSTATE; "": none */
    char text[200];
};

enum cel_sql_kind { CEL_SQL_NULL, CEL_SQL_INT, CEL_SQL_TEXT, CEL_SQL_BLOB };

struct cel_sql_value {
    enum cel_sql_kind kind;
    const char *data; /* TEXT (UTF-8 without NUL) and BLOB; not terminated */
    size_t len;
    int64_t number; /* INT */
};

struct cel_sql_option {
    const char *name;
    const char *value;
};

/* Where to connect to; everything may be NULL or 0: the library's own default. */
struct cel_sql_target {
    const char *host;
    const char *user;
    const char *password;
    const char *database; /* SQLite: the file */
    int port;
    const struct cel_sql_option *options; /* of the URL's query, in its order */
    size_t n_options;
    /*
     * The URL says nothing about TLS and the host is another machine: TLS with everything verified
     * if the server has TLS, none if it says that it has not.
     */
    bool verify;
    const char *ca_file; /* of the system, for verify; NULL: none was found */
    int stop_fd;
};

/* Columns are borrowed for the call. */
struct cel_sql_rows {
    void (*row)(void *ctx, const struct cel_sql_value *columns, size_t n);
    void *ctx;
};

struct cel_sql_driver {
    const char *dialect; /* "postgresql", "sqlite", "mysql" */

    /* Of the library: "libpq 15.4". */
    void (*version)(char *text, size_t size);

    /* NULL with err; seconds at most. */
    void *(*open)(const struct cel_sql_target *target, double seconds,
                  struct cel_sql_error *err);
    void (*close)(void *conn);

    /*
     * Runs one statement with values for its parameters ($1, $2 ... for PostgreSQL, ? for the
     * others), or with n 0 one or more, in one transaction where there is none around.
     * rows (NULL: they are dropped) gets each row of the last.  After CEL_SQL_LOST and
     * CEL_SQL_STOPPED the connection is only good for close(), and the statement may have
     * been carried out.
     */
    bool (*run)(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err);
};

#endif
