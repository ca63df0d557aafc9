/* SPDX-License-Identifier: BSD-3-Clause */
/* MariaDB and MySQL: libmariadb's calls that do not block. */
#include "backend/sql_driver.h"
#include "base/module.h"

#include <mysql.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <errmsg.h>

enum { MOST_COLUMNS = 32, BINARY_CHARSET = 63 };

struct conn {
    MYSQL mysql;
    int stop_fd;
    char *text; /* of the statement that runs; kept for the next */
    size_t len, cap;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void version(char *text, size_t size)
{
    snprintf(text, size, "libmariadb %s", mysql_get_client_info());
}

static void set_error(struct cel_sql_error *err, enum cel_sql_fault fault,
                      const char *text)
{
    err->fault = fault;
    err->state[0] = '\0';
    snprintf(err->text, sizeof err->text, "%s", text);
}

/* Numbers of the server (mysqld_error.h) and of the client (errmsg.h). */
static const struct {
    unsigned number;
    enum cel_sql_fault fault;
} faults[] = {
    {1021, CEL_SQL_LATER},  {1037, CEL_SQL_LATER},    {1038, CEL_SQL_LATER},
    {1040, CEL_SQL_LOST},   {1044, CEL_SQL_DENIED},   {1045, CEL_SQL_DENIED},
    {1050, CEL_SQL_EXISTS}, {1053, CEL_SQL_LOST},     {1054, CEL_SQL_NO_COLUMN},
    {1061, CEL_SQL_EXISTS}, {1062, CEL_SQL_EXISTS},   {1114, CEL_SQL_LATER},
    {1142, CEL_SQL_DENIED}, {1146, CEL_SQL_NO_TABLE}, {1153, CEL_SQL_TOO_LONG},
    {1158, CEL_SQL_LOST},   {1159, CEL_SQL_LOST},     {1160, CEL_SQL_LOST},
    {1161, CEL_SQL_LOST},   {1203, CEL_SQL_LOST},     {1205, CEL_SQL_AGAIN},
    {1213, CEL_SQL_AGAIN},  {1290, CEL_SQL_LOST},     {1406, CEL_SQL_TOO_LONG},
    {1412, CEL_SQL_AGAIN},  {1698, CEL_SQL_DENIED},   {1792, CEL_SQL_LOST},
    {1836, CEL_SQL_LOST},   {1927, CEL_SQL_LOST},     {1969, CEL_SQL_AGAIN},
    {3024, CEL_SQL_AGAIN},  {3159, CEL_SQL_DENIED},   {4091, CEL_SQL_NO_TABLE},
};

static enum cel_sql_fault fault_of(unsigned number)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (faults[i].number == number) {
            return faults[i].fault;
        }
    }
    if (number == CR_OUT_OF_MEMORY) {
        return CEL_SQL_LATER;
    }
    return number == CR_SSL_CONNECTION_ERROR ? CEL_SQL_REFUSED
           : number >= 2000 && number < 3000 ? CEL_SQL_LOST
           : number >= 5000 && number < 6000 ? CEL_SQL_LOST
                                             : CEL_SQL_REFUSED;
}

static bool failed(struct conn *c, struct cel_sql_error *err)
{
    set_error(err, fault_of(mysql_errno(&c->mysql)), mysql_error(&c->mysql));
    snprintf(err->state, sizeof err->state, "%s", mysql_sqlstate(&c->mysql));
    return false;
}

/* ---- waiting ---- */

/* What libmariadb waits for next; 0 with err: it takes too long. */
static int wait_for(struct conn *c, int wanted, double deadline,
                    struct cel_sql_error *err)
{
    struct pollfd fds[] = {{.fd = mysql_get_socket(&c->mysql)},
                           {.fd = c->stop_fd, .events = POLLIN}};
    double left = deadline - now();

    fds[0].events = (short)((wanted & MYSQL_WAIT_READ ? POLLIN : 0) |
                            (wanted & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                            (wanted & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
    if (left > 0) {
        poll(fds, 2, (int)(left * 1000) + 1);
    }
    if (fds[1].revents) {
        set_error(err, CEL_SQL_STOPPED, "stopped");
        return 0;
    }
    int ready = (fds[0].revents & (POLLIN | POLLHUP | POLLERR) ? MYSQL_WAIT_READ : 0) |
                (fds[0].revents & (POLLOUT | POLLHUP | POLLERR) ? MYSQL_WAIT_WRITE : 0) |
                (fds[0].revents & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
    ready &= wanted;
    if (!ready && now() < deadline && fds[0].revents) {
        ready = wanted & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
    }
    if (!ready) {
        set_error(err, CEL_SQL_LOST, "no answer in time");
    }
    return ready;
}

/* Runs one of the calls that come in two parts to its end. */
#define AWAIT(c, deadline, err, start, go_on)                       \
    do {                                                            \
        int wanted_ = (start);                                      \
        while (wanted_) {                                           \
            int ready_ = wait_for((c), wanted_, (deadline), (err)); \
            if (!ready_) {                                          \
                return false;                                       \
            }                                                       \
            wanted_ = (go_on);                                      \
        }                                                           \
    } while (0)

/* ---- connecting ---- */

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

static bool is_true(const char *value)
{
    return value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0 ||
                     strcmp(value, "True") == 0 || strcmp(value, "yes") == 0 ||
                     strcmp(value, "on") == 0);
}

/* Names of pymysql, mysqlclient and mysql-connector; those without effect here are known too. */
static const char *const known[] = {
    "charset",
    "connect_timeout",
    "ssl_ca",
    "ssl_cert",
    "ssl_key",
    "ssl_capath",
    "ssl_cipher",
    "ssl_verify_cert",
    "ssl_verify_identity",
    "ssl_check_hostname",
    "ssl_mode",
    "ssl_disabled",
    "ssl",
    "unix_socket",
    "read_timeout",
    "write_timeout",
    "init_command",
    "use_unicode",
    "autocommit",
    "binary_prefix",
    "local_infile",
    "client_flag",
    "collation",
    "read_default_file",
    "read_default_group",
    "sql_mode",
    "compress",
    "auth_plugin",
    "host",
    "user",
    "port",
};

static const char *unknown_option(const struct cel_sql_target *t)
{
    for (size_t i = 0; i < t->n_options; i++) {
        bool found = false;

        for (size_t k = 0; k < sizeof known / sizeof known[0] && !found; k++) {
            found = strcmp(known[k], t->options[i].name) == 0;
        }
        if (!found) {
            return t->options[i].name;
        }
    }
    return NULL;
}

/* Whether the URL asks for TLS, and with what to be verified. */
static void set_tls(struct conn *c, const struct cel_sql_target *t, bool verify)
{
    const char *ca = option(t, "ssl_ca");
    const char *capath = option(t, "ssl_capath");
    const char *mode = option(t, "ssl_mode");
    bool full = verify || is_true(option(t, "ssl_verify_identity")) ||
                is_true(option(t, "ssl_check_hostname")) ||
                (mode && strcmp(mode, "VERIFY_IDENTITY") == 0);
    bool trusted = full || ca || capath || is_true(option(t, "ssl_verify_cert")) ||
                   (mode && strcmp(mode, "VERIFY_CA") == 0);
    bool wanted = trusted || is_true(option(t, "ssl")) || option(t, "ssl_cert") ||
                  (mode && strcmp(mode, "REQUIRED") == 0);

    if (is_true(option(t, "ssl_disabled")) || (mode && strcmp(mode, "DISABLED") == 0)) {
        return;
    }
    if (wanted) {
        my_bool yes = 1;
        my_bool check = trusted;

        mysql_ssl_set(&c->mysql, option(t, "ssl_key"), option(t, "ssl_cert"),
                      ca || capath ? ca
                      : trusted    ? t->ca_file
                                   : NULL,
                      capath, option(t, "ssl_cipher"));
        mysql_optionsv(&c->mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
        mysql_optionsv(&c->mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &check);
    }
}

static void close_conn(void *conn)
{
    struct conn *c = conn;

    /* Never a polite good-bye that would wait for a server that hangs. */
    if (mysql_get_socket(&c->mysql) != MARIADB_INVALID_SOCKET) {
        MYSQL *m = &c->mysql;
        int wanted = mysql_close_start(m);
        double deadline = now() + 0.2;
        struct cel_sql_error ignored = {0};

        while (wanted) {
            int ready = wait_for(c, wanted, deadline, &ignored);

            wanted = mysql_close_cont(m, ready ? ready : MYSQL_WAIT_TIMEOUT);
        }
    } else {
        mysql_close(&c->mysql);
    }
    free(c->text);
    free(c);
}

static bool connect_it(struct conn *c, const struct cel_sql_target *t, double deadline,
                       struct cel_sql_error *err)
{
    MYSQL *m = &c->mysql;
    MYSQL *answer = NULL;
    const char *socket = option(t, "unix_socket");

    AWAIT(c, deadline, err,
          mysql_real_connect_start(&answer, m, t->host, t->user, t->password, t->database,
                                   (unsigned)t->port, socket, CLIENT_MULTI_STATEMENTS),
          mysql_real_connect_cont(&answer, m, ready_));
    return answer || failed(c, err);
}

static struct conn *try_open(const struct cel_sql_target *t, bool verify, double seconds,
                             struct cel_sql_error *err)
{
    struct conn *c = calloc(1, sizeof *c);
    unsigned limit = (unsigned)seconds + 1;
    const char *charset = option(t, "charset");

    if (!c || !mysql_init(&c->mysql)) {
        free(c);
        set_error(err, CEL_SQL_LATER, "out of memory");
        return NULL;
    }
    c->stop_fd = t->stop_fd;
    mysql_optionsv(&c->mysql, MYSQL_OPT_NONBLOCK, 0);
    mysql_optionsv(&c->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &limit);
    mysql_optionsv(&c->mysql, MYSQL_SET_CHARSET_NAME,
                   charset && strcmp(charset, "utf8") != 0 ? charset : "utf8mb4");
    if (option(t, "init_command")) {
        mysql_optionsv(&c->mysql, MYSQL_INIT_COMMAND, option(t, "init_command"));
    }
    set_tls(c, t, verify);
    if (!connect_it(c, t, now() + seconds, err)) {
        close_conn(c);
        return NULL;
    }
    return c;
}

static void *open_conn(const struct cel_sql_target *t, double seconds,
                       struct cel_sql_error *err)
{
    const char *limit = option(t, "connect_timeout");
    const char *unknown = unknown_option(t);
    double most = limit && strtod(limit, NULL) > 0 ? strtod(limit, NULL) : seconds;
    bool says = option(t, "ssl") || option(t, "ssl_ca") || option(t, "ssl_capath") ||
                option(t, "ssl_mode") || option(t, "ssl_disabled") ||
                option(t, "ssl_verify_cert") || option(t, "ssl_verify_identity");
    bool verify = t->verify && !says && !option(t, "unix_socket");

    if (unknown) {
        set_error(err, CEL_SQL_REFUSED, "");
        snprintf(err->text, sizeof err->text, "unknown option %.60s in the URL", unknown);
        return NULL;
    }
    struct conn *c = try_open(t, verify, most, err);

    if (!c && verify && strstr(err->text, "does not support")) {
        return try_open(t, false, most, err);
    }
    if (!c && verify && err->fault == CEL_SQL_REFUSED) {
        size_t used = strlen(err->text);

        snprintf(err->text + used, sizeof err->text - used,
                 "; set ssl_ca, ssl=true (unverified) or ssl_disabled=true in the URL");
    }
    return c;
}

/* ---- statements ---- */

static bool add(struct conn *c, const char *bytes, size_t len)
{
    if (c->cap - c->len < len + 1) {
        size_t cap = (c->len + len + 1) * 2;
        char *text = realloc(c->text, cap);

        if (!text) {
            return false;
        }
        c->text = text;
        c->cap = cap;
    }
    memcpy(c->text + c->len, bytes, len);
    c->len += len;
    return true;
}

static bool add_hex(struct conn *c, const char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)bytes[i];
        const char two[] = {digits[b >> 4], digits[b & 15]};

        if (!add(c, two, 2)) {
            return false;
        }
    }
    return add(c, "'", 1);
}

/* In hexadecimal nothing needs escaping, whatever sql_mode and character set are. */
static bool add_value(struct conn *c, const struct cel_sql_value *v)
{
    char number[24];

    switch (v->kind) {
    case CEL_SQL_NULL:
        return add(c, "NULL", 4);
    case CEL_SQL_INT:
        snprintf(number, sizeof number, "%lld", (long long)v->number);
        return add(c, number, strlen(number));
    case CEL_SQL_TEXT:
        return add(c, "_utf8mb4 X'", 11) && add_hex(c, v->data, v->len);
    case CEL_SQL_BLOB:
        return add(c, "X'", 2) && add_hex(c, v->data, v->len);
    }
    return false;
}

/* ? outside of quoted names, which are all that is quoted in our statements. */
static bool fill_in(struct conn *c, const char *sql, const struct cel_sql_value *values,
                    size_t n)
{
    size_t next = 0;
    bool quoted = false;

    c->len = 0;
    for (; *sql; sql++) {
        quoted ^= *sql == '`' || *sql == '\'';
        bool ok = *sql == '?' && !quoted && next < n ? add_value(c, &values[next++])
                                                     : add(c, sql, 1);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static void give_rows(MYSQL_RES *r, const struct cel_sql_rows *rows)
{
    struct cel_sql_value columns[MOST_COLUMNS];
    unsigned n = mysql_num_fields(r) < MOST_COLUMNS ? mysql_num_fields(r) : MOST_COLUMNS;
    const MYSQL_FIELD *fields = mysql_fetch_fields(r);
    MYSQL_ROW row;

    while ((row = mysql_fetch_row(r)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(r);

        for (unsigned i = 0; i < n; i++) {
            bool blob = fields[i].charsetnr == BINARY_CHARSET &&
                        fields[i].type >= MYSQL_TYPE_TINY_BLOB &&
                        fields[i].type <= MYSQL_TYPE_STRING;

            columns[i] = (struct cel_sql_value){
                .kind = !row[i] ? CEL_SQL_NULL
                        : blob  ? CEL_SQL_BLOB
                                : CEL_SQL_TEXT,
                .data = row[i],
                .len = lengths[i],
            };
        }
        rows->row(rows->ctx, columns, n);
    }
}

/* One result after the other: true with *ret_more. */
static bool take_result(struct conn *c, double deadline, const struct cel_sql_rows *rows,
                        bool *ret_more, struct cel_sql_error *err)
{
    MYSQL *m = &c->mysql;
    MYSQL_RES *r = NULL;
    int next = -1;

    AWAIT(c, deadline, err, mysql_store_result_start(&r, m),
          mysql_store_result_cont(&r, m, ready_));
    if (r) {
        if (rows) {
            give_rows(r, rows);
        }
        mysql_free_result(r);
    } else if (mysql_errno(m)) {
        return failed(c, err);
    }
    *ret_more = mysql_more_results(m);
    if (*ret_more) {
        AWAIT(c, deadline, err, mysql_next_result_start(&next, m),
              mysql_next_result_cont(&next, m, ready_));
        return next <= 0 || failed(c, err);
    }
    return true;
}

static bool run(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err)
{
    struct conn *c = conn;
    MYSQL *m = &c->mysql;
    double deadline = now() + seconds;
    int answer = 0;
    bool more = true;

    if (!fill_in(c, sql, values, n)) {
        set_error(err, CEL_SQL_LATER, "out of memory");
        return false;
    }
    AWAIT(c, deadline, err, mysql_real_query_start(&answer, m, c->text, c->len),
          mysql_real_query_cont(&answer, m, ready_));
    if (answer != 0) {
        return failed(c, err);
    }
    while (more) {
        if (!take_result(c, deadline, rows, &more, err)) {
            return false;
        }
    }
    return true;
}

static const struct cel_sql_driver driver = {
    .dialect = "mysql",
    .version = version,
    .open = open_conn,
    .close = close_conn,
    .run = run,
};

CEL_MODULE("sql", &driver);
