/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "config/config.h"
#include <math.h>

static struct cel_config *c;

static int setup(void **state)
{
    (void)state;
    c = cel_config_new();
    return c ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    c = cel_config_free(c);
    return 0;
}

static void set(const char *name, const char *value)
{
    celery_error err = {0};
    if (cel_config_set(c, name, value, CEL_FROM_API, &err) != CELERY_OK) {
        fail_msg("%s=%s: %s", name, value ? value : "NULL", err.message);
    }
}

static void refuses(const char *name, const char *value, const char *why)
{
    celery_error err = {0};
    assert_int_equal(cel_config_set(c, name, value, CEL_FROM_API, &err), CELERY_ECONFIG);
    if (!strstr(err.message, why)) {
        fail_msg("%s=%s: %s", name, value, err.message);
    }
}

static void test_defaults_are_celerys(void **state)
{
    (void)state;
    assert_string_equal(cel_config_text(c, "task_default_queue"), "celery");
    assert_int_equal(cel_config_int(c, "worker_prefetch_multiplier", 0), 4);
    assert_true(cel_config_bool(c, "broker_connection_retry"));
    assert_false(cel_config_bool(c, "task_acks_late"));
    assert_string_equal(cel_config_list(c, "accept_content")[0], "json");
    assert_null(cel_config_list(c, "accept_content")[1]);
    assert_true(isinf(cel_config_double(c, "result_backend_max_retries", 0)));
    assert_null(cel_config_text(c, "broker_url"));
    assert_false(cel_config_is_set(c, "task_reject_on_worker_lost"));
    assert_int_equal(cel_config_int(c, "worker_concurrency", 7), 7);
    assert_int_equal(cel_config_origin(c, "task_acks_late"), CEL_FROM_DEFAULT);
}

static void test_old_names_are_understood(void **state)
{
    (void)state;
    set("CELERY_ACKS_LATE", "yes");
    assert_true(cel_config_bool(c, "task_acks_late"));
    set("CELERYD_CONCURRENCY", "3");
    assert_int_equal(cel_config_int(c, "worker_concurrency", 0), 3);
    set("BROKER_URL", "redis://h");
    assert_string_equal(cel_config_text(c, "broker_url"), "redis://h");
    assert_string_equal(cel_config_text(c, "BROKER_URL"), "redis://h");
    assert_string_equal(cel_config_find("CELERY_QUEUES", NULL)->name, "task_queues");
}

static void test_unknown_names_get_a_hint(void **state)
{
    (void)state;
    refuses("task_ack_late", "1", "did you mean task_acks_late?");
    refuses("worker_prefetch_mutliplier", "1", "worker_prefetch_multiplier");
    refuses("CELERY_ACK_LATE", "1", "did you mean CELERY_ACKS_LATE?");
    refuses("colour_of_the_sky", "1", "unknown setting colour_of_the_sky");
    refuses("", "1", "unknown setting");
}

static void test_booleans_as_people_write_them(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "True", "1", "yes", "ON", "t", "y"};
    static const char *const no[] = {"false", "False", "0", "no", "off", "f", "n"};
    for (size_t i = 0; i < 7; i++) {
        set("task_acks_late", yes[i]);
        assert_string_equal(cel_config_text(c, "task_acks_late"), "true");
        set("task_acks_late", no[i]);
        assert_string_equal(cel_config_text(c, "task_acks_late"), "false");
        assert_false(cel_config_bool(c, "task_acks_late"));
    }
    refuses("task_acks_late", "maybe", "truth value");
    set("task_reject_on_worker_lost", "none");
    assert_false(cel_config_is_set(c, "task_reject_on_worker_lost"));
}

static void test_numbers_and_their_ranges(void **state)
{
    (void)state;
    set("worker_prefetch_multiplier", "auto");
    assert_string_equal(cel_config_text(c, "worker_prefetch_multiplier"), "auto");
    assert_int_equal(cel_config_int(c, "worker_prefetch_multiplier", -1), -1);
    refuses("worker_prefetch_multiplier", "many", "nor one of auto");
    refuses("worker_prefetch_multiplier", "-1", "not between 0 and");
    refuses("worker_concurrency", "2.5", "no integer");
    set("task_default_delivery_mode", "transient");
    assert_int_equal(cel_config_int(c, "task_default_delivery_mode", 0), 1);
    set("task_time_limit", "1.5");
    assert_true(cel_config_double(c, "task_time_limit", 0) == 1.5);
    set("task_time_limit", "none");
    assert_true(cel_config_double(c, "task_time_limit", -1) == -1);
    refuses("task_time_limit", "nan", "no number");
    refuses("task_time_limit", "-3", "not between");
    set("result_expires", NULL);
    assert_false(cel_config_is_set(c, "result_expires"));
}

static void test_durations_as_python_prints_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {
        {"60", 60},
        {"0:10:00", 600},
        {"1 day, 0:00:00", 86400},
        {"2 days", 172800},
        {"1 day, 0:00:01.5", 86401.5},
        {"24:00:00", 86400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set("result_expires", cases[i].text);
        assert_true(cel_config_double(c, "result_expires", 0) == cases[i].seconds);
    }
    refuses("result_expires", "a day", "no number");
    refuses("result_expires", "1 dog", "no number");
    refuses("result_expires", "1 day, soon", "no number");
}

static void test_words_are_matched_in_any_case(void **state)
{
    (void)state;
    set("worker_redirect_stdouts_level", "info");
    assert_string_equal(cel_config_text(c, "worker_redirect_stdouts_level"), "INFO");
    set("worker_pool", "processes");
    assert_string_equal(cel_config_text(c, "worker_pool"), "prefork");
    refuses("worker_pool", "gevent", "none of prefork");
}

static void test_lists_maps_and_documents(void **state)
{
    (void)state;
    set("accept_content", "json, application/x-msgpack ,");
    assert_string_equal(cel_config_list(c, "accept_content")[1], "application/x-msgpack");
    assert_null(cel_config_list(c, "accept_content")[2]);
    set("accept_content", "[\"yaml\"]");
    assert_string_equal(cel_config_list(c, "accept_content")[0], "yaml");
    refuses("accept_content", "[1]", "list of texts");
    set("broker_transport_options", "{\"visibility_timeout\": 10}");
    assert_int_equal(
        cel_node_int(cel_node_get(cel_config_doc(c, "broker_transport_options"),
                                  CEL_SLICE("visibility_timeout")),
                     0),
        10);
    refuses("broker_transport_options", "[]", "JSON map");
    refuses("broker_transport_options", "{", "broker_transport_options: not JSON");
    set("task_queues", "a,b");
    assert_true(cel_node_is_string(cel_config_doc(c, "task_queues")));
    set("broker_use_ssl", "True");
    assert_true(cel_node_bool(cel_config_doc(c, "broker_use_ssl"), false));
    assert_null(cel_config_list(c, "imports")[0]);
    assert_null(cel_config_list(c, "no_such_setting")[0]);
}

static void test_stronger_origin_wins(void **state)
{
    (void)state;
    celery_error err = {0};
    assert_int_equal(cel_config_set(c, "task_default_queue", "env", CEL_FROM_ENV, &err),
                     CELERY_OK);
    assert_int_equal(cel_config_set(c, "task_default_queue", "file", CEL_FROM_FILE, &err),
                     CELERY_OK);
    assert_string_equal(cel_config_text(c, "task_default_queue"), "env");
    assert_int_equal(cel_config_origin(c, "task_default_queue"), CEL_FROM_ENV);
    assert_int_equal(cel_config_set(c, "task_default_queue", "cli", CEL_FROM_CLI, &err),
                     CELERY_OK);
    assert_string_equal(cel_config_text(c, "task_default_queue"), "cli");
    /* Checked all the same. */
    assert_int_equal(cel_config_set(c, "task_acks_late", "x", CEL_FROM_FILE, &err),
                     CELERY_ECONFIG);
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(cel_config_distance("", ""), 0);
    assert_int_equal(cel_config_distance("abc", "abc"), 0);
    assert_int_equal(cel_config_distance("abc", "acb"), 1);
    assert_int_equal(cel_config_distance("abc", ""), 3);
    assert_int_equal(cel_config_distance("kitten", "sitting"), 3);
    char endless[300];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(cel_config_distance(endless, "a"), 99);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_defaults_are_celerys),          T(test_old_names_are_understood),
        T(test_unknown_names_get_a_hint),      T(test_booleans_as_people_write_them),
        T(test_numbers_and_their_ranges),      T(test_durations_as_python_prints_them),
        T(test_words_are_matched_in_any_case), T(test_lists_maps_and_documents),
        T(test_stronger_origin_wins),          T(test_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
