/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/redis_target.h"

static celery_status check(const char *text, const struct cel_redis_options *options,
                           celery_error *err)
{
    struct cel_url *url = NULL;

    assert_int_equal(cel_url_parse(text, &url, err), CELERY_OK);
    celery_status status = cel_redis_check_url(url, options, err);
    cel_url_free(url);
    return status;
}

static void test_accepts_what_celery_accepts(void **state)
{
    static const char *const urls[] = {
        "redis://",
        "redis://localhost",
        "redis://localhost/",
        "redis://localhost:6379/15",
        "redis://:pw@[::1]:6379/0",
        "redis+socket:///run/redis.sock",
        "redis+socket:///run/redis.sock?virtual_host=3&password=pw",
        "rediss://h/0?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=/ca.pem",
        "rediss://h/0?ssl_cert_reqs=none",
        "rediss://h/0?ssl_cert_reqs=optional&ssl_check_hostname=false",
        "rediss://h/0?ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
        "redis://h/0?socket_timeout=5&health_check_interval=7",
    };
    const struct cel_redis_options options = {0};

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        celery_error err = {0};
        assert_int_equal(check(urls[i], &options, &err), CELERY_OK);
    }
}

static void test_refuses_with_a_line_that_says_what_to_change(void **state)
{
    static const struct {
        const char *url;
        const char *word;
    } rows[] = {
        {"redis://h/abc", "not a database number"},
        {"redis://h/-1", "not a database number"},
        {"redis://h/99999999999", "not a database number"},
        {"redis+socket://", "the path of the socket"},
        {"redis+socket:///s?virtual_host=x", "virtual_host=x is not a valid value"},
        {"rediss://h/0?ssl_cert_reqs=maybe", "CERT_REQUIRED"},
        {"redis://h/0?ssl_ca_certs=/ca.pem", "rediss://"},
        {"redis://h/0?visibility_timeout=60", "transport options"},
        {"redis://h/0?socket_timeout=soon", "socket_timeout=soon"},
        {"sentinel://h:26379/0", "master_name"},
        {"http://h/0", "http://"},
    };
    const struct cel_redis_options options = {0};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        celery_error err = {0};
        assert_int_equal(check(rows[i].url, &options, &err), CELERY_ECONFIG);
        assert_non_null(strstr(err.message, rows[i].word));
        assert_non_null(strstr(err.message, "broker_url"));
    }
}

static void test_result_backend_must_name_cert_reqs(void **state)
{
    const struct cel_redis_options options = {.require_ssl_cert_reqs = true,
                                              .setting = "result_backend"};
    celery_error err = {0};

    assert_int_equal(check("rediss://h/0", &options, &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "result_backend"));
    assert_non_null(strstr(err.message, "ssl_cert_reqs"));
    assert_int_equal(check("rediss://h/0?ssl_cert_reqs=CERT_NONE", &options, &err),
                     CELERY_OK);
    assert_int_equal(check("redis://h/0", &options, &err), CELERY_OK);
}

static void test_database_number(void **state)
{
    static const struct {
        const char *url;
        int db;
    } rows[] = {
        {"redis://h", 0},
        {"redis://h/", 0},
        {"redis://h/7", 7},
        {"redis://h?db=4", 4},
        {"redis+socket:///tmp/7?virtual_host=5", 5},
        {"redis+socket:///tmp/7?virtual_host=/5", 5},
        {"redis+socket:///tmp/7", 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_url *url = NULL;
        assert_int_equal(cel_url_parse(rows[i].url, &url, NULL), CELERY_OK);
        assert_int_equal(cel_redis_url_db(url), rows[i].db);
        cel_url_free(url);
    }
}

static void read_target(const char *text, const struct cel_redis_options *options,
                        struct cel_redis_target *target)
{
    struct cel_url *url = NULL;

    assert_int_equal(cel_url_parse(text, &url, NULL), CELERY_OK);
    assert_int_equal(cel_redis_target_init(target, url, options, NULL), CELERY_OK);
    cel_url_free(url);
}

static void test_target_has_decoded_login_and_shows_no_password(void **state)
{
    const struct cel_redis_options options = {.client_name = "celery-c worker@host"};
    struct cel_redis_target t;

    read_target("redis://us%40er:p%2Fw@h:1234/2", &options, &t);
    assert_string_equal(t.user, "us@er");
    assert_string_equal(t.password, "p/w");
    assert_string_equal(t.host, "h");
    assert_int_equal(t.port, 1234);
    assert_int_equal(t.db, 2);
    assert_string_equal(t.client_name, "celery-c-worker@host");
    assert_null(strstr(t.text, "p/w"));
    assert_null(strstr(t.text, "p%2Fw"));
    assert_null(t.tls);
    cel_redis_target_fini(&t);
}

static void test_target_defaults_and_options(void **state)
{
    const struct cel_redis_options options = {.command_timeout = 9};
    struct cel_redis_target t;

    read_target("redis://", &options, &t);
    assert_string_equal(t.host, "localhost");
    assert_int_equal(t.port, 6379);
    assert_null(t.user);
    assert_null(t.password);
    assert_true(t.connect_timeout == 4 && t.command_timeout == 9);
    assert_true(t.health_check_interval == 10);
    cel_redis_target_fini(&t);

    read_target("redis+socket:///s?password=pw&socket_timeout=3", &options, &t);
    assert_null(t.host);
    assert_string_equal(t.unix_path, "/s");
    assert_string_equal(t.password, "pw");
    assert_true(t.command_timeout == 3);
    cel_redis_target_fini(&t);

    read_target("rediss://h", &options, &t);
    assert_non_null(t.tls);
    cel_redis_target_fini(&t);
}

static void test_tls_file_that_cannot_be_read_is_named(void **state)
{
    const struct cel_redis_options options = {0};
    struct cel_redis_target t;
    struct cel_url *url = NULL;
    celery_error err = {0};

    cel_url_parse("rediss://h/0?ssl_ca_certs=/no/such.pem", &url, NULL);
    assert_int_equal(cel_redis_target_init(&t, url, &options, &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "/no/such.pem"));
    assert_non_null(strstr(err.message, "ssl_ca_certs"));
    cel_redis_target_fini(&t);
    cel_url_free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_what_celery_accepts),
        cmocka_unit_test(test_refuses_with_a_line_that_says_what_to_change),
        cmocka_unit_test(test_result_backend_must_name_cert_reqs),
        cmocka_unit_test(test_database_number),
        cmocka_unit_test(test_target_has_decoded_login_and_shows_no_password),
        cmocka_unit_test(test_target_defaults_and_options),
        cmocka_unit_test(test_tls_file_that_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
