/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "app/app.h"
#include <stdio.h>

static celery_app *app;

static celery_outcome nothing(celery_task *task)
{
    (void)task;
    return CELERY_SUCCEEDED;
}

static int setup(void **state)
{
    (void)state;
    app = celery_app_new("test");
    return app ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    celery_app_free(app);
    return 0;
}

static void test_settings_win_over_the_environment(void **state)
{
    (void)state;
    celery_error err = {0};
    assert_int_equal(celery_app_set(app, "task_default_queue", "mine", &err), CELERY_OK);
    assert_int_equal(
        cel_config_set(app->config, "task_default_queue", "env", CEL_FROM_ENV, &err),
        CELERY_OK);
    assert_string_equal(celery_app_get(app, "task_default_queue"), "mine");
    assert_null(celery_app_get(app, "no_such_setting"));
    assert_null(celery_app_get(app, "broker_url"));
}

static void test_a_failed_setting_is_told_or_remembered(void **state)
{
    (void)state;
    celery_error err = {0}, later = {0};
    assert_int_equal(celery_app_set(app, "task_ack_late", "1", &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "task_acks_late"));
    assert_int_equal(cel_app_freeze(app, &later), CELERY_OK);
    app->frozen = false;
    assert_int_equal(celery_app_set(app, "task_ack_late", "1", NULL), CELERY_ECONFIG);
    assert_int_equal(cel_app_freeze(app, &later), CELERY_ECONFIG);
    assert_non_null(strstr(later.message, "task_acks_late"));
}

static void test_tasks_are_found_by_name(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "m.task%d", i);
        assert_int_equal(celery_app_task(app, name, nothing), CELERY_OK);
    }
    assert_int_equal(app->n_tasks, 100);
    for (uint32_t i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "m.task%u", i);
        struct cel_task_def *def = cel_app_find_task(app, cel_slice_of(name));
        assert_non_null(def);
        assert_int_equal(def->index, i);
        assert_ptr_equal(app->tasks[i], def);
        assert_string_equal(def->function, name + 2);
    }
    assert_null(cel_app_find_task(app, CEL_SLICE("m.task100")));
}

static void test_a_failed_registration_is_remembered(void **state)
{
    (void)state;
    celery_error err = {0};
    assert_int_equal(celery_app_task(app, "a", nothing), CELERY_OK);
    assert_int_equal(celery_app_task(app, "a", nothing), CELERY_EINVAL);
    assert_int_equal(celery_app_task(app, "", nothing), CELERY_EINVAL);
    assert_int_equal(celery_app_task(app, "b", NULL), CELERY_EINVAL);
    assert_int_equal(cel_app_freeze(app, &err), CELERY_EINVAL);
    assert_non_null(strstr(err.message, "a is registered twice"));
}

static void test_a_frozen_app_stays_as_it_is(void **state)
{
    (void)state;
    celery_error err = {0};
    assert_int_equal(cel_app_freeze(app, &err), CELERY_OK);
    assert_int_equal(cel_app_freeze(app, &err), CELERY_OK);
    assert_int_equal(celery_app_set(app, "task_acks_late", "1", &err), CELERY_EINVAL);
    assert_int_equal(celery_app_task(app, "late", nothing), CELERY_EINVAL);
    assert_int_equal(celery_app_load(app, "/nowhere", &err), CELERY_EINVAL);
}

static void test_options_of_unknown_tasks(void **state)
{
    (void)state;
    celery_error err = {0};
    int context = 1;
    assert_int_equal(celery_app_task_set(app, "a", "acks_late", "1", &err),
                     CELERY_ENOTREG);
    assert_int_equal(celery_app_task_context(app, "a", &context, &err), CELERY_ENOTREG);
    assert_int_equal(celery_app_task(app, "a", nothing), CELERY_OK);
    assert_int_equal(celery_app_task_set(app, "a", "acks_late", "1", &err), CELERY_OK);
    assert_int_equal(celery_app_task_context(app, "a", &context, &err), CELERY_OK);
    assert_ptr_equal(cel_app_find_task(app, CEL_SLICE("a"))->context, &context);
}

static void test_option_falls_back_to_the_setting(void **state)
{
    (void)state;
    assert_false(cel_task_option(app, CEL_UNSET, "task_acks_late"));
    assert_true(cel_task_option(app, CEL_YES, "task_acks_late"));
    assert_int_equal(celery_app_set(app, "task_acks_late", "1", NULL), CELERY_OK);
    assert_true(cel_task_option(app, CEL_UNSET, "task_acks_late"));
    assert_false(cel_task_option(app, CEL_NO, "task_acks_late"));
}

static void test_no_app_fails_quietly(void **state)
{
    (void)state;
    assert_int_equal(celery_app_set(NULL, "a", "b", NULL), CELERY_EINVAL);
    assert_int_equal(celery_app_task(NULL, "a", nothing), CELERY_EINVAL);
    assert_null(celery_app_get(NULL, "a"));
    celery_app_free(NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_settings_win_over_the_environment),
        T(test_a_failed_setting_is_told_or_remembered),
        T(test_tasks_are_found_by_name),
        T(test_a_failed_registration_is_remembered),
        T(test_a_frozen_app_stays_as_it_is),
        T(test_options_of_unknown_tasks),
        T(test_option_falls_back_to_the_setting),
        T(test_no_app_fails_quietly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
