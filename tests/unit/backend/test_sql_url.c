/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/sql.h"
#include "base/alloc.h"
#include <stdio.h>
#include <stdlib.h>

static celery_error err;
static struct cel_config *config;

static int setup(void **state)
{
    err = (celery_error){0};
    config = cel_config_new();
    setenv("CELERY_MODULE_PATH", TEST_MODULES, 1);
    unsetenv("SSL_CERT_FILE");
    return config ? 0 : -1;
}

static int teardown(void **state)
{
    config = cel_config_free(config);
    return 0;
}

static void set(const char *name, const char *value)
{
    assert_int_equal(cel_config_set(config, name, value, CEL_FROM_API, &err), CELERY_OK);
}

static struct cel_sql_db *db_of(const char *text)
{
    struct cel_url *url = NULL;

    assert_int_equal(cel_url_parse(text, &url, &err), CELERY_OK);
    struct cel_sql_db *db = cel_sql_db_new(url, config, &cel_codec_json, &err);
    cel_url_free(url);
    return db;
}

static void refused(const char *text, celery_status status, const char *says)
{
    err = (celery_error){0};
    assert_null(db_of(text));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, says)) {
        fail_msg("\"%s\" says nothing of %s", err.message, says);
    }
}

static void test_dialects(void **state)
{
    static const struct {
        const char *url;
        enum cel_sql_dialect dialect;
        const char *driver;
    } cases[] = {
        {"db+postgresql://h/d", CEL_SQL_POSTGRESQL, "postgresql"},
        {"db+postgresql+psycopg2://h/d", CEL_SQL_POSTGRESQL, "postgresql"},
        {"db+postgres://h/d", CEL_SQL_POSTGRESQL, "postgresql"},
        {"db+sqlite:///x", CEL_SQL_SQLITE, "sqlite"},
        {"db+mysql+pymysql://h/d", CEL_SQL_MYSQL, "mysql"},
        {"db+mariadb://h/d", CEL_SQL_MYSQL, "mysql"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_sql_db *db = db_of(cases[i].url);

        assert_non_null(db);
        assert_int_equal(db->dialect, cases[i].dialect);
        assert_string_equal(db->driver->dialect, cases[i].driver);
        cel_sql_db_free(db);
    }
    refused("db+oracle://h/d", CELERY_ECONFIG, "no database oracle");
    refused("db+postgresq://h/d", CELERY_ECONFIG, "no database postgresq");
}

static void test_a_module_that_is_missing(void **state)
{
    setenv("CELERY_MODULE_PATH", "/nonexistent", 1);
    struct cel_sql_db *db = db_of("db+mysql://h/d");
    if (!db) { /* none is installed on this machine either */
        assert_int_equal(err.status, CELERY_ENOTSUP);
        assert_non_null(strstr(err.message, "libcelery-c-mysql"));
    }
    cel_sql_db_free(db);
}

static void test_targets(void **state)
{
    struct cel_sql_db *db = db_of("db+postgresql://a%40b:p%2Fw%3Ax@h:5433/base");

    assert_string_equal(db->target.host, "h");
    assert_int_equal(db->target.port, 5433);
    assert_string_equal(db->target.user, "a@b");
    assert_string_equal(db->target.password, "p/w:x");
    assert_string_equal(db->target.database, "base");
    cel_sql_db_free(db);
    db = db_of("db+postgresql://");
    assert_null(db->target.host);
    assert_null(db->target.password);
    assert_int_equal(db->target.port, 0);
    cel_sql_db_free(db);
    db = db_of("db+sqlite:///file.db");
    assert_string_equal(db->target.database, "file.db");
    cel_sql_db_free(db);
    db = db_of("db+sqlite:////folder/file.db");
    assert_string_equal(db->target.database, "/folder/file.db");
    cel_sql_db_free(db);
    refused("db+sqlite://file.db", CELERY_ECONFIG, "db+sqlite:///file.db");
}

static void check_option(const struct cel_sql_db *db, size_t i, const char *name,
                         const char *value)
{
    assert_true(i < db->target.n_options);
    assert_string_equal(db->target.options[i].name, name);
    assert_string_equal(db->target.options[i].value, value);
}

/* Several hosts are several options; those of the engine come behind those of the URL. */
static void test_options(void **state)
{
    set("database_engine_options",
        "{\"connect_args\": {\"connect_timeout\": 3, \"ssl\": true, \"compress\": false, "
        "\"keepalives\": null}}");
    struct cel_sql_db *db = db_of("db+postgresql:///d?host=a:1&host=b:2&sslmode=require");

    check_option(db, 0, "host", "a:1");
    check_option(db, 1, "host", "b:2");
    check_option(db, 2, "sslmode", "require");
    check_option(db, 3, "connect_timeout", "3");
    check_option(db, 4, "ssl", "1");
    check_option(db, 5, "compress", "0");
    assert_int_equal(db->target.n_options, 6);
    cel_sql_db_free(db);
}

/* Another machine's certificate is verified unless the URL says otherwise. */
static void test_whose_certificate_is_verified(void **state)
{
    static const struct {
        const char *url;
        bool verify;
    } cases[] = {
        {"db+postgresql:///d", false},
        {"db+postgresql://localhost/d", false},
        {"db+postgresql://127.0.0.2/d", false},
        {"db+postgresql:///d?host=/run/postgresql", false},
        {"db+postgresql://db.example/d", true},
        {"db+postgresql:///d?host=db.example", true},
        {"db+postgresql://10.0.0.1/d", true},
        {"db+postgresql://localhost.example/d", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_sql_db *db = db_of(cases[i].url);

        assert_int_equal(db->target.verify, cases[i].verify);
        cel_sql_db_free(db);
    }
    setenv("SSL_CERT_FILE", "/some/ca.pem", 1);
    struct cel_sql_db *db = db_of("db+postgresql://db.example/d");
    assert_string_equal(db->target.ca_file, "/some/ca.pem");
    cel_sql_db_free(db);
}

static void check_names(const char *url, const char *task, const char *group,
                        const char *sequence)
{
    struct cel_sql_db *db = db_of(url);

    assert_string_equal(db->task.quoted, task);
    assert_string_equal(db->group.quoted, group);
    assert_string_equal(db->task.sequence, sequence);
    cel_sql_db_free(db);
}

static void test_tables(void **state)
{
    check_names("db+postgresql://h/d", "\"celery_taskmeta\"", "\"celery_tasksetmeta\"",
                "\"task_id_sequence\"");
    check_names("db+mysql://h/d", "`celery_taskmeta`", "`celery_tasksetmeta`",
                "`task_id_sequence`");
    set("database_table_names", "{\"task\": \"t x\", \"group\": \"g\"}");
    set("database_table_schemas", "{\"task\": \"s\"}");
    check_names("db+postgresql://h/d", "\"s\".\"t x\"", "\"g\"",
                "\"s\".\"task_id_sequence\"");
    check_names("db+mysql://h/d", "`s`.`t x`", "`g`", "`s`.`task_id_sequence`");
}

/* Names stand in statements. */
static void test_names_that_are_none(void **state)
{
    static const char *const bad[] = {"a\\\"b", "a'b", "a`b", "a\\\\b",
                                      "a?b",    "$1",  "a\\n"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];

        snprintf(text, sizeof text, "{\"task\": \"%s\"}", bad[i]);
        set("database_table_names", text);
        refused("db+postgresql://h/d", CELERY_ECONFIG, "database_table_names");
        set("database_table_names", "{}");
        snprintf(text, sizeof text, "{\"group\": \"%s\"}", bad[i]);
        set("database_table_schemas", text);
        refused("db+mysql://h/d", CELERY_ECONFIG, "schema");
        set("database_table_schemas", "{}");
    }
}

static void test_settings(void **state)
{
    struct cel_sql_db *db = db_of("db+postgresql://h/d");

    assert_true(db->create);
    assert_false(db->extended);
    assert_int_equal((int)db->expires, 86400);
    assert_int_equal((int)db->recycle, 3600);
    cel_sql_db_free(db);
    set("database_engine_options", "{\"pool_recycle\": 7, \"echo\": true}");
    set("database_create_tables_at_setup", "false");
    set("result_extended", "true");
    set("result_expires", "60");
    db = db_of("db+mysql://h/d");
    assert_false(db->create);
    assert_true(db->extended);
    assert_int_equal((int)db->expires, 60);
    assert_int_equal((int)db->recycle, 7);
    cel_sql_db_free(db);
    db = db_of("db+sqlite:///x");
    assert_int_equal((int)db->recycle, 0);
    cel_sql_db_free(db);
    set("database_engine_options", "{\"pool_recycle\": -1}"); /* SQLAlchemy's never */
    db = db_of("db+mysql://h/d");
    assert_true(db->recycle <= 0);
    cel_sql_db_free(db);
}

/* All of it or nothing: an option that is missing might have been the one that asked for TLS. */
static void test_out_of_memory(void **state)
{
    static const char text[] =
        "db+postgresql://user:password@h:1/base?sslmode=verify-full";
    struct cel_sql_db *db = NULL;
    struct cel_url *url = NULL;

    set("database_engine_options", "{\"connect_args\": {\"connect_timeout\": 3}}");
    set("database_table_schemas", "{\"task\": \"s\"}");
    assert_int_equal(cel_url_parse(text, &url, &err), CELERY_OK);
    for (unsigned long nth = 1; !db; nth++) {
        assert_true(nth < 300);
        err = (celery_error){0};
        cel_alloc_fail_at(nth, nth % 2);
        db = cel_sql_db_new(url, config, &cel_codec_json, &err);
        cel_alloc_fail_at(0, 0);
        assert_true(db || err.status == CELERY_ENOMEM);
    }
    cel_url_free(url);
    assert_string_equal(db->target.user, "user");
    assert_string_equal(db->target.password, "password");
    check_option(db, 0, "sslmode", "verify-full");
    check_option(db, 1, "connect_timeout", "3");
    assert_string_equal(db->task.quoted, "\"s\".\"celery_taskmeta\"");
    cel_sql_db_free(db);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_dialects),
        T(test_a_module_that_is_missing),
        T(test_targets),
        T(test_options),
        T(test_whose_certificate_is_verified),
        T(test_tables),
        T(test_names_that_are_none),
        T(test_settings),
        T(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
