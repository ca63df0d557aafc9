/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/use_ssl.h"

static celery_status apply(const char *url_text, const char *json,
                           struct cel_url **ret_url, celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *value = NULL;
    assert_int_equal(cel_url_parse(url_text, ret_url, NULL), CELERY_OK);
    assert_int_equal(cel_json_parse(&a, cel_slice_of(json), NULL, &value, NULL),
                     CELERY_OK);
    celery_status status = cel_use_ssl(ret_url, 1, value, "broker_use_ssl", err);
    cel_arena_fini(&a);
    return status;
}

static void test_false_changes_nothing(void **state)
{
    const char *const values[] = {"false", "null", "{}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct cel_url *url;
        assert_int_equal(apply("redis://h/0", values[i], &url, NULL), CELERY_OK);
        assert_string_equal(url->scheme, "redis");
        cel_url_free(url);
    }
}

static void test_true_verifies(void **state)
{
    struct cel_url *url;
    assert_int_equal(apply("redis://h/0", "true", &url, NULL), CELERY_OK);
    assert_string_equal(url->scheme, "rediss");
    assert_string_equal(cel_url_option(url, "ssl_cert_reqs"), "required");
    cel_url_free(url);
}

static void test_options_are_taken_and_the_url_wins(void **state)
{
    struct cel_url *url;
    assert_int_equal(apply("rediss://h/0?ssl_ca_certs=/mine",
                           "{\"ssl_cert_reqs\": 0, \"ca_certs\": \"/x\", \"keyfile\": "
                           "\"/k\", \"ssl_check_hostname\": false, \"certfile\": null}",
                           &url, NULL),
                     CELERY_OK);
    assert_string_equal(cel_url_option(url, "ssl_cert_reqs"), "none");
    assert_string_equal(cel_url_option(url, "ssl_ca_certs"), "/mine");
    assert_string_equal(cel_url_option(url, "ssl_keyfile"), "/k");
    assert_string_equal(cel_url_option(url, "ssl_check_hostname"), "false");
    assert_null(cel_url_option(url, "ssl_certfile"));
    cel_url_free(url);
}

static void test_what_cannot_be_is_refused(void **state)
{
    struct cel_url *url;
    celery_error err = {0};
    assert_int_equal(apply("redis://h/0", "{\"ssl_what\": 1}", &url, &err),
                     CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "ssl_what"));
    cel_url_free(url);
    assert_int_equal(apply("redis+socket:///x", "true", &url, &err), CELERY_ECONFIG);
    cel_url_free(url);
}

static void test_amqp(void **state)
{
    static const char *const urls[] = {"amqp://h//", "pyamqp://h//", "amqps://h//"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct cel_url *url;
        assert_int_equal(apply(urls[i],
                               "{\"cert_reqs\": 2, \"ca_certs\": \"/x\", "
                               "\"certfile\": \"/c\", \"keyfile\": \"/k\", "
                               "\"server_hostname\": \"rabbit\", \"ssl_version\": 5}",
                               &url, NULL),
                         CELERY_OK);
        assert_string_equal(url->scheme, "amqps");
        assert_string_equal(cel_url_option(url, "ssl_cert_reqs"), "required");
        assert_string_equal(cel_url_option(url, "ssl_ca_certs"), "/x");
        assert_string_equal(cel_url_option(url, "ssl_certfile"), "/c");
        assert_string_equal(cel_url_option(url, "ssl_keyfile"), "/k");
        assert_string_equal(cel_url_option(url, "ssl_server_hostname"), "rabbit");
        assert_int_equal(url->n_options, 5);
        cel_url_free(url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_false_changes_nothing),
        cmocka_unit_test(test_true_verifies),
        cmocka_unit_test(test_options_are_taken_and_the_url_wins),
        cmocka_unit_test(test_what_cannot_be_is_refused),
        cmocka_unit_test(test_amqp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
