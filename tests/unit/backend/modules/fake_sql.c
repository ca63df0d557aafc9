/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_sql.h"

#include "base/module.h"

static struct fake_sql fake;

static void version(char *text, size_t size)
{
    fake.behind->version(text, size);
}

static void *open_conn(const struct cel_sql_target *target, double seconds,
                       struct cel_sql_error *err)
{
    return fake.behind->open(target, seconds, err);
}

static void close_conn(void *conn)
{
    fake.behind->close(conn);
}

static bool run(void *conn, const char *sql, const struct cel_sql_value *values, size_t n,
                double seconds, const struct cel_sql_rows *rows,
                struct cel_sql_error *err)
{
    return fake.behind->run(conn, sql, values, n, seconds, rows, err);
}

static struct fake_sql fake = {
    .driver = {DIALECT, version, open_conn, close_conn, run},
};

CEL_MODULE("sql", &fake);
