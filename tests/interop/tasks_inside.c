/* SPDX-License-Identifier: BSD-3-Clause */
#include "tasks_inside.h"
#include <stdio.h>

#define OPTION(app, name, option, value) \
    celery_app_task_set(app, name, option, value, NULL)

/* Raises what it is told to, until it has been tried often enough. */
static celery_outcome auto_retry(celery_task *task)
{
    const char *type;
    int tries = 100;

    if (celery_task_args(task, "type:s | tries:i", &type, &tries) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) >= tries) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    return celery_task_fail(task, type, "again");
}

/* retry(**options), the first time. */
static celery_outcome retry_with(celery_task *task)
{
    const celery_value *options = NULL, *rest;

    if (celery_task_args(task, "options:v | rest:v", &options, &rest) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) > 0) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    for (const celery_value *k = celery_value_first(options), *v; k;
         k = celery_value_next(v)) {
        char name[40];
        size_t len;
        const char *text = celery_value_text(k, &len);

        v = celery_value_next(k);
        snprintf(name, sizeof(name), "%.*s", (int)len, text);
        celery_task_retry_set_value(task, name, v);
    }
    return celery_task_retry_exc(task, -1, "ValueError", "again");
}

static const struct {
    const char *name;
    celery_task_fn fn;
} tasks[] = {
    {"t.auto", auto_retry},
    {"t.retry_with", retry_with},
};

celery_status register_inside(celery_app *app)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]) && status == CELERY_OK; i++) {
        status = celery_app_task(app, tasks[i].name, tasks[i].fn);
    }
    OPTION(app, "t.auto", "autoretry_for", "OSError,TypeError");
    OPTION(app, "t.auto", "dont_autoretry_for", "PermissionError");
    OPTION(app, "t.auto", "retry_kwargs", "{\"max_retries\": 2, \"countdown\": 0.5}");
    OPTION(app, "t.auto", "typing_name", "auto");
    return status;
}
