/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that are tried again. */
#include "tasks.h"

#include <string.h>

/*
 * Python counts the attempts in an attribute of the task; the request's count of retries is
 * the same number.
 */
static celery_outcome retry(celery_task *task)
{
    json_t *value = NULL;

    if (celery_task_args(task, "| return_value:j", &value) < 0) {
        return CELERY_FAILED;
    }
    if (value && py_truth(value) && celery_task_retries(task) >= 3) {
        return celery_task_return(task, json_incref(value));
    }
    return celery_task_retry_exc(task, 5, EXPECTED, "%s", "");
}

/* self.retry(exc=UnpickleableException(foo, bar), **retry_kwargs) */
static celery_outcome retry_unpickleable(celery_task *task)
{
    const char *foo, *name;
    json_t *bar, *options, *value;
    double countdown = -1;

    /* retry_kwargs is a keyword; by position it would be one argument too many. */
    if (celery_task_args(task, "foo:s bar:j retry_kwargs:j", &foo, &bar, &options) < 0) {
        return CELERY_FAILED;
    }
    json_object_foreach(options, name, value)
    {
        if (strcmp(name, "countdown") == 0) {
            countdown = json_number_value(value);
        } else {
            celery_task_retry_set(task, name, json_incref(value));
        }
    }
    return celery_task_retry_exc(task, countdown, UNPICKLEABLE, "%s", foo);
}

static celery_outcome retry_with_args_after_kwargs(celery_task *task)
{
    json_t *foo, *bar, *label = NULL, *args;

    if (celery_task_args(task, "foo:j bar:j | label:j", &foo, &bar, &label) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) == 0) {
        args =
            json_pack("[II]", json_integer_value(foo) + 1, json_integer_value(bar) + 1);
        celery_task_retry_set(task, "args", args);
        return celery_task_retry(task, 0);
    }
    return celery_task_return(
        task, json_pack("{sOsOsosisb}", "foo", foo, "bar", bar, "label",
                        label ? json_incref(label) : json_null(), "retries",
                        celery_task_retries(task), "is_eager", false));
}

static celery_outcome retry_with_kwargs_after_args(celery_task *task)
{
    json_t *foo, *bar;

    if (celery_task_args(task, "foo:j bar:j", &foo, &bar) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) == 0) {
        celery_task_retry_set(task, "kwargs",
                              json_pack("{sI}", "foo", json_integer_value(foo) + 1));
        return celery_task_retry(task, 0);
    }
    return celery_task_return(task,
                              json_pack("{sOsOsisb}", "foo", foo, "bar", bar, "retries",
                                        celery_task_retries(task), "is_eager", false));
}

static celery_outcome retry_once(celery_task *task)
{
    json_t *expires = NULL, *max_retries = NULL;
    double countdown = 0.1;

    if (celery_task_args(task, "* | expires:j max_retries:j countdown:d", &expires,
                         &max_retries, &countdown) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) > 0) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    if (expires && !json_is_null(expires)) {
        celery_task_retry_set(task, "expires", json_incref(expires));
    }
    celery_task_retry_set(task, "max_retries",
                          max_retries ? json_incref(max_retries) : json_integer(1));
    return celery_task_retry(task, countdown);
}

/* Python's keywords only: with * they are found by their names alone. */
static celery_outcome once(celery_task *task, json_t *(*answer)(celery_task *))
{
    json_t *expires = NULL, *max_retries = NULL;
    double countdown = 0.1;

    if (celery_task_args(task, "* | expires:j max_retries:j countdown:d", &expires,
                         &max_retries, &countdown) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) > 0) {
        return celery_task_return(task, answer(task));
    }
    celery_task_retry_set(task, "max_retries",
                          max_retries ? json_incref(max_retries) : json_integer(1));
    return celery_task_retry(task, countdown);
}

static json_t *priority(celery_task *task)
{
    return json_integer(celery_task_priority(task));
}

static celery_outcome retry_once_priority(celery_task *task)
{
    return once(task, priority);
}

/* request.headers: what the sender added to the message's own. */
static json_t *headers(celery_task *task)
{
    const celery_value *value = celery_task_header(task, "x-test-header");

    return value ? json_pack("{so}", "x-test-header", celery_value_to_json(value, NULL))
                 : json_object();
}

static celery_outcome retry_once_headers(celery_task *task)
{
    return once(task, headers);
}

static celery_outcome retry_once_plain(celery_task *task)
{
    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) == 0) {
        return celery_task_retry(task, 0);
    }
    return celery_task_return_int(task, celery_task_retries(task));
}

/* ClassBasedAutoRetryTask */
static celery_outcome auto_retry_class_task(celery_task *task)
{
    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) > 0) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    return celery_task_fail_args(task, "ValueError", NULL, NULL);
}

static const struct suite_task tasks[] = {
    {"retry", retry, "default_retry_delay=1"},
    {"retry_unpickleable", retry_unpickleable, "default_retry_delay=1"},
    {"retry_with_args_after_kwargs", retry_with_args_after_kwargs, "max_retries=1"},
    {"retry_with_kwargs_after_args", retry_with_kwargs_after_args, "max_retries=1"},
    {"retry_once", retry_once, "expires=120 max_retries=1"},
    {"retry_once_ignore_result", retry_once_plain, "ignore_result=true"},
    {"retry_once_with_result", retry_once_plain, "ignore_result=false"},
    {"retry_once_priority", retry_once_priority, "max_retries=1"},
    {"retry_once_headers", retry_once_headers, "max_retries=1"},
};

void register_retry(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
    suite_register_as(app, "auto_retry_class_task", auto_retry_class_task,
                      "autoretry_for=ValueError retry_kwargs={\"max_retries\":1} "
                      "retry_backoff=true");
}
