/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "app/app.h"

static celery_outcome nothing(celery_task *task)
{
    (void)task;
    return CELERY_SUCCEEDED;
}

static struct cel_task_def *def;

static int setup(void **state)
{
    (void)state;
    def = cel_task_def_new("pkg.mod.create_ical", nothing);
    return def ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    def = cel_task_def_free(def);
    return 0;
}

static void set(const char *option, const char *value)
{
    celery_error err = {0};
    if (cel_task_def_set(def, option, value, &err) != CELERY_OK) {
        fail_msg("%s=%s: %s", option, value ? value : "NULL", err.message);
    }
}

static void test_new_has_nothing_set(void **state)
{
    (void)state;
    assert_string_equal(def->function, "create_ical");
    assert_int_equal(def->acks_late, CEL_UNSET);
    assert_int_equal(def->max_retries, -2);
    assert_int_equal(def->priority, -1);
    assert_true(def->time_limit < 0 && def->rate < 0 && def->expires < 0);
    assert_true(def->default_retry_delay == 180);
}

static void test_every_option_is_set(void **state)
{
    (void)state;
    set("acks_late", "true");
    set("acks_on_failure_or_timeout", "no");
    set("acks_on_failure", "yes");
    set("acks_on_timeout", "no");
    set("reject_on_worker_lost", "1");
    set("retry_on_worker_lost", "true");
    assert_int_equal(def->retry_on_worker_lost, CEL_YES);
    set("ignore_result", "on");
    set("store_errors_even_if_ignored", "yes");
    set("track_started", "True");
    assert_int_equal(def->acks_late, CEL_YES);
    assert_int_equal(def->acks_on_failure_or_timeout, CEL_NO);
    assert_int_equal(def->acks_on_failure, CEL_YES);
    assert_int_equal(def->acks_on_timeout, CEL_NO);
    assert_int_equal(def->reject_on_worker_lost, CEL_YES);
    assert_int_equal(def->ignore_result, CEL_YES);
    assert_int_equal(def->store_errors_even_if_ignored, CEL_YES);
    assert_int_equal(def->track_started, CEL_YES);
    set("time_limit", "10");
    set("soft_time_limit", "0:00:05");
    set("default_retry_delay", "1.5");
    set("expires", "60");
    assert_true(def->time_limit == 10 && def->soft_time_limit == 5);
    assert_true(def->default_retry_delay == 1.5 && def->expires == 60);
    set("max_retries", "5");
    assert_int_equal(def->max_retries, 5);
    set("max_retries", "none");
    assert_int_equal(def->max_retries, -1);
    set("rate_limit", "100/m");
    assert_string_equal(def->rate_limit, "100/m");
    assert_true(def->rate > 1.66 && def->rate < 1.67);
    set("serializer", "json");
    set("compression", "zlib");
    set("queue", "mail");
    set("priority", "9");
    set("typing_name", "f");
    assert_string_equal(def->serializer, "json");
    assert_string_equal(def->compression, "zlib");
    assert_string_equal(def->queue, "mail");
    assert_int_equal(def->priority, 9);
    assert_string_equal(def->function, "f");
    set("throws", "KeyError, ValueError");
    assert_string_equal(def->throws[1], "ValueError");
    assert_null(def->throws[2]);
    set("throws", NULL);
    assert_null(def->throws[0]);
    set("default_retry_delay", "none");
    assert_true(def->default_retry_delay == 180);
    set("acks_late", NULL);
    assert_int_equal(def->acks_late, CEL_UNSET);
}

static void test_options_of_automatic_retries(void **state)
{
    (void)state;
    assert_null(def->autoretry_for);
    assert_true(def->retry_backoff == 0 && def->retry_backoff_max == 600);
    assert_int_equal(def->retry_kwargs.max_retries, CEL_RETRIES_UNSET);
    set("autoretry_for", "OSError, shop.Busy");
    set("dont_autoretry_for", "PermissionError");
    assert_string_equal(def->autoretry_for[0], "OSError");
    assert_string_equal(def->autoretry_for[1], "shop.Busy");
    assert_null(def->autoretry_for[2]);
    assert_string_equal(def->dont_autoretry_for[0], "PermissionError");
    set("retry_backoff", "True");
    assert_true(def->retry_backoff == 1);
    set("retry_backoff", "2.5");
    assert_true(def->retry_backoff == 2.5);
    set("retry_backoff", "false");
    assert_true(def->retry_backoff == 0);
    set("retry_backoff_max", "30");
    set("retry_jitter", "no");
    assert_int_equal(def->retry_backoff_max, 30);
    assert_int_equal(def->retry_jitter, CEL_NO);
    set("retry_kwargs", "{\"max_retries\": 7, \"countdown\": 1.5}");
    assert_int_equal(def->retry_kwargs.max_retries, 7);
    assert_true(def->retry_kwargs.countdown == 1.5);
    set("retry_kwargs", NULL);
    assert_int_equal(def->retry_kwargs.max_retries, CEL_RETRIES_UNSET);
}

static void test_wrong_values_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"ack_late", "1", "did you mean acks_late?"},
        {"colour", "red", "unknown option colour"},
        {"", "1", "unknown option"},
        {"acks_late", "perhaps", "truth value"},
        {"time_limit", "-1", "number of seconds"},
        {"time_limit", "inf", "number of seconds"},
        {"max_retries", "-1", "count"},
        {"rate_limit", "10/d", "rate"},
        {"rate_limit", "/s", "rate"},
        {"serializer", "pickle5", "serializer of this build"},
        {"compression", "zip", "compression of this build"},
        {"priority", "256", "count"},
        {"typing_name", "", "function name"},
        {"retry_backoff", "-1", "factor"},
        {"retry_backoff", "often", "factor or truth value"},
        {"retry_backoff_max", "1.5", "count"},
        {"retry_kwargs", "[]", "JSON object"},
        {"retry_kwargs", "{", "JSON object"},
        {"retry_kwargs", "{\"eta\": 1}", "map of countdown and max_retries"},
        {"retry_kwargs", "{\"max_retries\": -1}", "map of countdown and max_retries"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_error err = {0};
        assert_true(cel_task_def_set(def, cases[i][0], cases[i][1], &err) < 0);
        if (!strstr(err.message, cases[i][2]) ||
            !strstr(err.message, "task pkg.mod.create_ical: ")) {
            fail_msg("%s=%s: %s", cases[i][0], cases[i][1], err.message);
        }
    }
}

static void test_rate_parse(void **state)
{
    (void)state;
    double rate = -1;
    assert_true(cel_rate_parse("10/s", &rate) && rate == 10);
    assert_true(cel_rate_parse("5", &rate) && rate == 5);
    assert_true(cel_rate_parse("60/m", &rate) && rate == 1);
    assert_true(cel_rate_parse("3600/h", &rate) && rate == 1);
    assert_true(cel_rate_parse("0", &rate) && rate == 0);
    assert_true(cel_rate_parse("0.5/s", &rate) && rate == 0.5);
    assert_false(cel_rate_parse("", &rate));
    assert_false(cel_rate_parse("-1/s", &rate));
    assert_false(cel_rate_parse("1/", &rate));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_new_has_nothing_set),
        T(test_every_option_is_set),
        T(test_options_of_automatic_retries),
        T(test_wrong_values_are_refused),
        T(test_rate_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
