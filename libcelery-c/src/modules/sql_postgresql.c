/* SPDX-License-Identifier: BSD-3-Clause */
/* PostgreSQL: libpq, never blocking in it. */
#include "backend/sql_driver.h"
#include "base/module.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_COLUMNS = 32, MOST_WORDS = 48 };

/* pg_type.dat */
enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25 };

struct conn {
    PGconn *pg;
    int stop_fd;
    /* Of the statement that runs; kept for the next. */
    size_t cap;
    const char **values;
    int *lengths;
    int *formats;
    Oid *types;
    char (*numbers)[24];
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void version(char *text, size_t size)
{
    int v = PQlibVersion();

    snprintf(text, size, "libpq %d.%d", v / 10000, v % 10000);
}

/* libpq's messages end in, and are put together with, line ends. */
static void set_error(struct cel_sql_error *err, enum cel_sql_fault fault,
                      const char *text)
{
    size_t n = 0;

    err->fault = fault;
    err->state[0] = '\0';
    for (; *text && n + 1 < sizeof err->text; text++) {
        char c = *text == '\n' || *text == '\t' || *text == '\r' ? ' ' : *text;

        if (c != ' ' || (n > 0 && err->text[n - 1] != ' ')) {
            err->text[n++] = c;
        }
    }
    while (n > 0 && err->text[n - 1] == ' ') {
        n--;
    }
    err->text[n] = '\0';
}

/* ---- what SQLSTATE means to us (PostgreSQL, appendix A) ---- */

static const struct {
    const char *state; /* or the beginning of it */
    enum cel_sql_fault fault;
} faults[] = {
    {"08", CEL_SQL_LOST},       {"25006", CEL_SQL_LOST},      {"57P0", CEL_SQL_LOST},
    {"26000", CEL_SQL_LOST},    {"40", CEL_SQL_AGAIN},        {"55P03", CEL_SQL_AGAIN},
    {"57014", CEL_SQL_AGAIN},   {"23505", CEL_SQL_EXISTS},    {"42P07", CEL_SQL_EXISTS},
    {"42710", CEL_SQL_EXISTS},  {"53", CEL_SQL_LATER},        {"58", CEL_SQL_LATER},
    {"28", CEL_SQL_DENIED},     {"42501", CEL_SQL_DENIED},    {"42P01", CEL_SQL_NO_TABLE},
    {"3F000", CEL_SQL_REFUSED}, {"42703", CEL_SQL_NO_COLUMN}, {"22001", CEL_SQL_TOO_LONG},
};

static enum cel_sql_fault fault_of(const char *state)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (strncmp(state, faults[i].state, strlen(faults[i].state)) == 0) {
            return faults[i].fault;
        }
    }
    return CEL_SQL_REFUSED;
}

static void set_result_error(struct conn *c, const PGresult *r, struct cel_sql_error *err)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    set_error(err, state ? fault_of(state) : CEL_SQL_LOST,
              text ? text : PQerrorMessage(c->pg));
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        err->fault = CEL_SQL_LOST;
    }
    snprintf(err->state, sizeof err->state, "%s", state ? state : "");
}

/* ---- waiting ---- */

/* Until the socket is ready; false with err. */
static bool wait_for(struct conn *c, short events, double deadline,
                     struct cel_sql_error *err)
{
    struct pollfd fds[] = {{.fd = PQsocket(c->pg), .events = events},
                           {.fd = c->stop_fd, .events = POLLIN}};
    double left = deadline - now();

    if (left > 0 && fds[0].fd >= 0) {
        poll(fds, 2, (int)(left * 1000) + 1);
    }
    if (fds[1].revents) {
        set_error(err, CEL_SQL_STOPPED, "stopped");
        return false;
    }
    if (fds[0].fd < 0) {
        set_error(err, CEL_SQL_LOST, PQerrorMessage(c->pg));
        return false;
    }
    if (!fds[0].revents && now() >= deadline) {
        set_error(err, CEL_SQL_LOST, "no answer in time");
        return false;
    }
    return true;
}

/* ---- connecting ---- */

struct words {
    const char *names[MOST_WORDS + 1];
    const char *values[MOST_WORDS + 1];
    size_t n;
    char port[12];
    char hosts[1024];
    char ports[256];
};

static void add(struct words *w, const char *name, const char *value)
{
    if (value && w->n < MOST_WORDS) {
        w->names[w->n] = name;
        w->values[w->n++] = value;
    }
}

static const char *option(const struct cel_sql_target *t, const char *name)
{
    const char *found = NULL;

    for (size_t i = 0; i < t->n_options; i++) {
        if (strcmp(t->options[i].name, name) == 0) {
            found = t->options[i].value;
        }
    }
    return found;
}

static void append(char *text, size_t size, const char *part, size_t len, bool comma)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%.*s", comma ? "," : "", (int)len, part);
}

/* ?host=a:5432&host=b:5433 (sqlalchemy/dialects/postgresql/_psycopg_common.py _split_multihost). */
static size_t add_hosts(struct words *w, const struct cel_sql_target *t)
{
    size_t n = 0;
    bool any_port = false;

    for (size_t i = 0; i < t->n_options; i++) {
        const char *value = t->options[i].value;
        const char *colon = value[0] == '/' ? NULL : strrchr(value, ':');

        if (strcmp(t->options[i].name, "host") != 0) {
            continue;
        }
        append(w->hosts, sizeof w->hosts, value,
               colon ? (size_t)(colon - value) : strlen(value), n > 0);
        append(w->ports, sizeof w->ports, colon ? colon + 1 : "",
               colon ? strlen(colon + 1) : 0, n > 0);
        any_port |= colon != NULL;
        n++;
    }
    if (n > 0) {
        add(w, "host", w->hosts);
        add(w, "port", any_port ? w->ports : option(t, "port"));
    }
    return n;
}

static void set_words(struct words *w, const struct cel_sql_target *t,
                      const char *sslmode)
{
    snprintf(w->port, sizeof w->port, "%d", t->port);
    size_t hosts = add_hosts(w, t);
    if (hosts == 0) {
        add(w, "host", t->host);
        add(w, "port", t->port ? w->port : option(t, "port"));
    }
    add(w, "user", t->user);
    add(w, "password", t->password);
    add(w, "dbname", t->database && *t->database ? t->database : NULL);
    add(w, "client_encoding", "UTF8");
    if (!option(t, "application_name")) {
        add(w, "fallback_application_name", "celery-c");
    }
    if ((hosts > 1 || (t->host && strchr(t->host, ','))) &&
        !option(t, "target_session_attrs")) {
        add(w, "target_session_attrs", "read-write");
    }
    add(w, "sslmode", sslmode);
    if (sslmode && strcmp(sslmode, "verify-full") == 0 && !option(t, "sslrootcert")) {
        add(w, "sslrootcert", t->ca_file);
    }
    for (size_t i = 0; i < t->n_options; i++) {
        const char *name = t->options[i].name;

        if (strcmp(name, "host") != 0 && strcmp(name, "port") != 0 &&
            strcmp(name, "connect_timeout") != 0) {
            add(w, name, t->options[i].value);
        }
    }
}

static void close_conn(void *conn)
{
    struct conn *c = conn;

    PQfinish(c->pg);
    free(c->values);
    free(c->lengths);
    free(c->formats);
    free(c->types);
    free(c->numbers);
    free(c);
}

/*
 * While a connection is made there is no SQLSTATE to be had (only in the text): what is no matter of
 * rights or names is tried again.
 */
static enum cel_sql_fault connect_fault(PGconn *pg, const char *text)
{
    if (PQconnectionNeedsPassword(pg) || strstr(text, "authentication failed") ||
        strstr(text, "no pg_hba.conf entry") || strstr(text, "no password supplied")) {
        return CEL_SQL_DENIED;
    }
    return strstr(text, "invalid connection option") || strstr(text, "invalid sslmode") ||
                   strstr(text, "certificate")
               ? CEL_SQL_REFUSED
               : CEL_SQL_LOST;
}

static void drop_notice(void *ctx, const char *message)
{
}

static struct conn *try_open(const struct cel_sql_target *t, const char *sslmode,
                             double deadline, struct cel_sql_error *err)
{
    struct words w = {0};
    struct conn *c = calloc(1, sizeof *c);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    if (!c) {
        set_error(err, CEL_SQL_LATER, "out of memory");
        return NULL;
    }
    set_words(&w, t, sslmode);
    c->stop_fd = t->stop_fd;
    c->pg = PQconnectStartParams(w.names, w.values, 0);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
        next = PGRES_POLLING_FAILED;
    }
    while (next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        if (!wait_for(c, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline,
                      err)) {
            close_conn(c);
            return NULL;
        }
        next = PQconnectPoll(c->pg);
    }
    if (next == PGRES_POLLING_FAILED) {
        const char *text = c->pg ? PQerrorMessage(c->pg) : "out of memory";

        set_error(err, c->pg ? connect_fault(c->pg, text) : CEL_SQL_LATER, text);
        close_conn(c);
        return NULL;
    }
    PQsetNoticeProcessor(c->pg, drop_notice, NULL);
    PQsetnonblocking(c->pg, 1);
    return c;
}

static void *open_conn(const struct cel_sql_target *t, double seconds,
                       struct cel_sql_error *err)
{
    const char *limit = option(t, "connect_timeout");
    double deadline =
        now() + (limit && strtod(limit, NULL) > 0 ? strtod(limit, NULL) : seconds);
    bool verify = t->verify && !option(t, "sslmode") && !getenv("PGSSLMODE");
    struct conn *c = try_open(t, verify ? "verify-full" : NULL, deadline, err);

    if (!c && verify && strstr(err->text, "server does not support SSL")) {
        c = try_open(t, "disable", deadline, err);
    } else if (!c && verify && err->fault == CEL_SQL_REFUSED) {
        size_t used = strlen(err->text);

        snprintf(err->text + used, sizeof err->text - used,
                 "; set sslrootcert (or sslmode=require) in the URL");
    }
    return c;
}

/* ---- statements ---- */

static bool reserve(struct conn *c, size_t n)
{
    if (n <= c->cap) {
        return true;
    }
    const char **values = realloc(c->values, n * sizeof *values);
    c->values = values ? values : c->values;
    int *lengths = realloc(c->lengths, n * sizeof *lengths);
    c->lengths = lengths ? lengths : c->lengths;
    int *formats = realloc(c->formats, n * sizeof *formats);
    c->formats = formats ? formats : c->formats;
    Oid *types = realloc(c->types, n * sizeof *types);
    c->types = types ? types : c->types;
    char(*numbers)[24] = realloc(c->numbers, n * sizeof *numbers);
    c->numbers = numbers ? numbers : c->numbers;
    if (!values || !lengths || !formats || !types || !numbers) {
        return false;
    }
    c->cap = n;
    return true;
}

/* Texts go with their length, in binary, which for them is the same bytes. */
static void set_values(struct conn *c, const struct cel_sql_value *values, size_t n)
{
    static const Oid types[] = {
        [CEL_SQL_INT] = OID_INT8, [CEL_SQL_TEXT] = OID_TEXT, [CEL_SQL_BLOB] = OID_BYTEA};

    for (size_t i = 0; i < n; i++) {
        const struct cel_sql_value *v = &values[i];

        c->values[i] = v->kind == CEL_SQL_NULL ? NULL : v->len > 0 ? v->data : "";
        c->lengths[i] = (int)v->len;
        c->formats[i] = v->kind == CEL_SQL_INT ? 0 : 1;
        c->types[i] = types[v->kind];
        if (v->kind == CEL_SQL_INT) {
            snprintf(c->numbers[i], sizeof c->numbers[i], "%lld", (long long)v->number);
            c->values[i] = c->numbers[i];
        }
    }
}

static bool flush_out(struct conn *c, double deadline, struct cel_sql_error *err)
{
    int left;

    while ((left = PQflush(c->pg)) > 0) {
        if (!wait_for(c, POLLIN | POLLOUT, deadline, err)) {
            return false;
        }
        if (!PQconsumeInput(c->pg)) {
            break;
        }
    }
    if (left < 0) {
        set_error(err, CEL_SQL_LOST, PQerrorMessage(c->pg));
    }
    return left == 0;
}

static bool next_result(struct conn *c, double deadline, PGresult **ret_r,
                        struct cel_sql_error *err)
{
    while (PQisBusy(c->pg)) {
        if (!wait_for(c, POLLIN, deadline, err)) {
            return false;
        }
        if (!PQconsumeInput(c->pg)) {
            set_error(err, CEL_SQL_LOST, PQerrorMessage(c->pg));
            return false;
        }
    }
    *ret_r = PQgetResult(c->pg);
    return true;
}

/* Text columns as they are; bytea as "\x6162". */
static size_t unhex(char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 2; i + 1 < len; i += 2) {
        char high = text[i];
        char low = text[i + 1];
        int h = high <= '9' ? high - '0' : (high | 32) - 'a' + 10;
        int l = low <= '9' ? low - '0' : (low | 32) - 'a' + 10;

        text[n++] = (char)(h << 4 | l);
    }
    return n;
}

static void give_rows(const PGresult *r, const struct cel_sql_rows *rows)
{
    struct cel_sql_value columns[MOST_COLUMNS];
    int n = PQnfields(r) < MOST_COLUMNS ? PQnfields(r) : MOST_COLUMNS;

    for (int at = 0; at < PQntuples(r); at++) {
        for (int i = 0; i < n; i++) {
            struct cel_sql_value *v = &columns[i];
            char *text = PQgetvalue(r, at, i);

            *v = (struct cel_sql_value){
                .kind = CEL_SQL_TEXT, .data = text, .len = (size_t)PQgetlength(r, at, i)};
            if (PQgetisnull(r, at, i)) {
                v->kind = CEL_SQL_NULL;
            } else if (PQftype(r, i) == OID_BYTEA) {
                v->kind = CEL_SQL_BLOB;
                v->len = unhex(text, v->len);
            }
        }
        rows->row(rows->ctx, columns, (size_t)n);
    }
}

static bool take_results(struct conn *c, double deadline, const struct cel_sql_rows *rows,
                         struct cel_sql_error *err)
{
    PGresult *r;
    bool ok = true;

    for (;;) {
        if (!next_result(c, deadline, &r, err)) {
            return false;
        }
        if (!r) {
            return ok;
        }
        ExecStatusType status = PQresultStatus(r);

        if (status == PGRES_TUPLES_OK && rows) {
            give_rows(r, rows);
        } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && ok) {
            set_result_error(c, r, err);
            ok = false;
        }
        PQclear(r);
    }
}

/*
 * The unnamed statement, parsed, bound and run in one go: nothing stays at the server that the next
 * transaction, maybe of another server behind PgBouncer, would need.
 */
static bool run(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err)
{
    struct conn *c = conn;
    double deadline = now() + seconds;
    int sent;

    if (!reserve(c, n)) {
        set_error(err, CEL_SQL_LATER, "out of memory");
        return false;
    }
    set_values(c, values, n);
    sent = n == 0 ? PQsendQuery(c->pg, sql)
                  : PQsendQueryParams(c->pg, sql, (int)n, c->types, c->values, c->lengths,
                                      c->formats, 0);
    if (!sent) {
        set_error(err, CEL_SQL_LOST, PQerrorMessage(c->pg));
        return false;
    }
    return flush_out(c, deadline, err) && take_results(c, deadline, rows, err);
}

static const struct cel_sql_driver driver = {
    .dialect = "postgresql",
    .version = version,
    .open = open_conn,
    .close = close_conn,
    .run = run,
};

CEL_MODULE("sql", &driver);
