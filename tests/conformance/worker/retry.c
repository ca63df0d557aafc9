/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that are tried again. */
#include "tasks.h"

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

static const struct suite_task tasks[] = {
    {"retry", retry, "default_retry_delay=1"},
};

void register_retry(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
}
