/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/sqs_options.h"

static celery_error err;

static celery_status read(const char *url_text, const char *json,
                          struct cel_sqs_options *ret)
{
    struct cel_arena arena = {0};
    struct cel_node *options = NULL;
    struct cel_url *url = NULL;

    err = (celery_error){0};
    assert_int_equal(cel_url_parse(url_text, &url, &err), 0);
    if (json) {
        assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), NULL, &options, NULL),
                         0);
    }
    celery_status st = cel_sqs_options_read(url, options, ret, &err);
    cel_url_free(url);
    cel_arena_fini(&arena);
    return st;
}

static void check_url(const char *url, const char *json, const char *endpoint,
                      const char *key)
{
    struct cel_sqs_options o;

    assert_int_equal(read(url, json, &o), 0);
    if (endpoint) {
        assert_string_equal(o.endpoint, endpoint);
    } else {
        assert_null(o.endpoint);
    }
    if (key) {
        assert_string_equal(o.access_key, key);
    } else {
        assert_null(o.access_key);
    }
    cel_sqs_options_fini(&o);
}

static void test_urls(void **state)
{
    struct cel_sqs_options o;

    check_url("sqs://", NULL, NULL, NULL);
    check_url("sqs:///", NULL, NULL, NULL);
    check_url("sqs://@", NULL, NULL, NULL);
    check_url("sqs://:@", NULL, NULL, NULL);
    check_url("sqs://AKIA:a%2Fb%2B@", NULL, NULL, "AKIA");
    check_url("sqs://k:s@localhost:4566//", NULL, "http://localhost:4566", "k");
    check_url("sqs://localhost", "{\"is_secure\": true}", "https://localhost", NULL);
    check_url("sqs://", "{\"endpoint_url\": \"http://e:1\"}", "http://e:1", NULL);
    assert_int_equal(read("sqs://localhost:1?region=x", NULL, &o), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "region"));
    cel_sqs_options_fini(&o);
}

static void test_an_unknown_option_names_the_nearest(void **state)
{
    struct cel_sqs_options o;

    assert_int_equal(read("sqs://", "{\"wait_time_second\": 1}", &o), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "did you mean wait_time_seconds?"));
    cel_sqs_options_fini(&o);
}

static void test_ranges(void **state)
{
    static const char *const bad[] = {
        "{\"wait_time_seconds\": 21}",
        "{\"visibility_timeout\": 43201}",
        "{\"visibility_timeout\": \"x\"}",
        "{\"queue_name_prefix\": 7}",
        "{\"sts_token_timeout\": 1}",
        "{\"predefined_queues\": {\"a\": {}}}",
        "{\"predefined_queues\": {\"a\": {\"url\": \"http://x/1/a.fifo\"}}}",
        "{\"predefined_queues\": {\"a.fifo\": {\"url\": \"http://x/1/a\"}}}",
        "{\"predefined_queues\": {\"a\": {\"url\": \"u\", \"backoff_policy\": {\"x\": 1}}}}",
        ("{\"predefined_queues\": {\"a\": {\"url\": \"u\", "
         "\"backoff_policy\": {\"1\": 50000}}}}"),
        "[1]",
    };
    struct cel_sqs_options o;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read("sqs://", bad[i], &o), CELERY_ECONFIG);
        assert_true(err.message[0]);
        cel_sqs_options_fini(&o);
    }
}

static void test_predefined_queues(void **state)
{
    struct cel_sqs_options o;
    const struct cel_sqs_predefined *p;

    assert_int_equal(
        read("sqs://",
             "{\"predefined_queues\": {\"a\": {\"url\": \"http://x/1/a\", \"region\": "
             "\"r\", \"backoff_policy\": {\"1\": 10, \"2\": 20}, \"backoff_tasks\": "
             "[\"t.one\"]}}}",
             &o),
        0);
    assert_true(o.closed_world);
    p = cel_sqs_predefined_find(&o, "a", "a");
    assert_non_null(p);
    assert_string_equal(p->region, "r");
    assert_null(cel_sqs_predefined_find(&o, "b", "b"));
    assert_int_equal(cel_sqs_backoff(p, CEL_SLICE("t.one"), 1), 10);
    assert_int_equal(cel_sqs_backoff(p, CEL_SLICE("t.one"), 2), 20);
    assert_int_equal(cel_sqs_backoff(p, CEL_SLICE("t.one"), 3), -1);
    assert_int_equal(cel_sqs_backoff(p, CEL_SLICE("t.two"), 1), -1);
    assert_int_equal(cel_sqs_backoff(NULL, CEL_SLICE("t.one"), 1), -1);
    cel_sqs_options_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_an_unknown_option_names_the_nearest),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_predefined_queues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
