/* SPDX-License-Identifier: BSD-3-Clause */
#include "tasks_inside.h"

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

static const struct {
    const char *name;
    celery_task_fn fn;
} tasks[] = {
    {"t.auto", auto_retry},
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
