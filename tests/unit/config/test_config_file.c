/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "config/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct cel_config *c;
static char path[64];

static int setup(void **state)
{
    (void)state;
    c = cel_config_new();
    (void)snprintf(path, sizeof path, "/tmp/celery-c-config-XXXXXX");
    int fd = mkstemp(path);
    return c && fd >= 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
    (void)state;
    c = cel_config_free(c);
    return unlink(path);
}

static celery_status load(const char *text, celery_error *err)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return cel_config_load_file(c, path, err);
}

static void test_file_sets_every_type(void **state)
{
    (void)state;
    celery_error err = {0};
    celery_status st = load("{\"broker_url\": [\"redis://a\", \"redis://b\"],\n"
                            " \"task_acks_late\": true, \"worker_concurrency\": 3,\n"
                            " \"accept_content\": [\"json\", \"yaml\"],\n"
                            " \"broker_transport_options\": {\"a\": 1},\n"
                            " \"result_expires\": null, \"task_time_limit\": 2.5}",
                            &err);
    assert_string_equal(err.message, "");
    assert_int_equal(st, CELERY_OK);
    assert_string_equal(cel_config_text(c, "broker_url"), "redis://a;redis://b");
    assert_true(cel_config_bool(c, "task_acks_late"));
    assert_int_equal(cel_config_int(c, "worker_concurrency", 0), 3);
    assert_string_equal(cel_config_list(c, "accept_content")[1], "yaml");
    assert_non_null(cel_config_doc(c, "broker_transport_options"));
    assert_false(cel_config_is_set(c, "result_expires"));
    assert_int_equal(cel_config_origin(c, "task_time_limit"), CEL_FROM_FILE);
}

static void test_file_errors_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\n\"task_ack_late\": true}",
         ":2: unknown setting task_ack_late: did you mean"},
        {"{\n\n\"task_acks_late\": 7}", ":3: task_acks_late: 7 is no truth value"},
        {"{\n\"a\" 7}", ":2: not JSON"},
        {"[]", ":1: not a JSON map"},
        {"{\"broker_url\": [1]}", ":1: broker_url: not a list of texts"},
        {"{\"broker_url\": \"a\\u0000b\"}", "NUL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_error err = {0};
        assert_int_equal(load(cases[i].text, &err), CELERY_ECONFIG);
        if (!strstr(err.message, cases[i].why) || !strstr(err.message, path)) {
            fail_msg("%s: %s", cases[i].text, err.message);
        }
    }
    celery_error err = {0};
    assert_int_equal(cel_config_load_file(c, "/nowhere/at/all.json", &err),
                     CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "/nowhere/at/all.json: No such file"));
}

static celery_status load_env(const char *const *env, celery_error *err)
{
    return cel_config_load_env(c, (char *const *)(uintptr_t)env, err);
}

static void test_environment(void **state)
{
    (void)state;
    const char *env[] = {"PATH=/bin",
                         "CELERY_BROKER_URL=redis://env",
                         "CELERY_DEFAULT_QUEUE=mail",
                         "CELERY_TASK_ACKS_LATE=1",
                         "CELERYD_CONCURRENCY=5",
                         "CELERY_RESULT_BACKEND=",
                         "CELERY_LOADER=app",
                         "CELERY_LOG_LEVEL=20",
                         "CELERYD_NODES=3",
                         NULL};
    celery_error err = {0};
    assert_int_equal(load_env(env, &err), CELERY_OK);
    assert_string_equal(cel_config_text(c, "broker_url"), "redis://env");
    assert_string_equal(cel_config_text(c, "task_default_queue"), "mail");
    assert_true(cel_config_bool(c, "task_acks_late"));
    assert_int_equal(cel_config_int(c, "worker_concurrency", 0), 5);
    assert_false(cel_config_is_set(c, "result_backend"));
    assert_int_equal(cel_config_origin(c, "broker_url"), CEL_FROM_ENV);
}

static void test_environment_of_the_command_line_wins(void **state)
{
    (void)state;
    const char *env[] = {"BROKER_URL=redis://app", "CELERY_BROKER_URL=redis://env",
                         "RESULT_BACKEND=redis://r", NULL};
    assert_int_equal(load_env(env, NULL), CELERY_OK);
    assert_string_equal(cel_config_text(c, "broker_url"), "redis://app");
    assert_string_equal(cel_config_text(c, "result_backend"), "redis://r");
}

static void test_environment_errors_name_the_variable(void **state)
{
    (void)state;
    const char *typo[] = {"CELERY_BROKER_ULR=redis://x", NULL};
    const char *value[] = {"CELERY_WORKER_CONCURRENCY=many", NULL};
    celery_error err = {0};
    assert_int_equal(load_env(typo, &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "CELERY_BROKER_ULR"));
    assert_non_null(strstr(err.message, "did you mean broker_url?"));
    assert_int_equal(load_env(value, &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "CELERY_WORKER_CONCURRENCY"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_file_sets_every_type),
        T(test_file_errors_name_file_and_line),
        T(test_environment),
        T(test_environment_of_the_command_line_wins),
        T(test_environment_errors_name_the_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
