/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-suite-worker: the worker of Celery's integration suite, in C. */
#include "tasks.h"

#include <stdio.h>
#include <string.h>

static void set_options(celery_app *app, const char *task, const char *options)
{
    char copy[256], *rest = copy, *one, *value;

    snprintf(copy, sizeof copy, "%s", options);
    while ((one = strsep(&rest, " "))) {
        celery_error err = {0};

        value = strchr(one, '=');
        *value++ = '\0';
        if (celery_app_task_set(app, task, one, value, &err) < 0) {
            fprintf(stderr, "%s: %s\n", task, err.message);
        }
    }
}

void suite_register_as(celery_app *app, const char *name, celery_task_fn fn,
                       const char *options)
{
    celery_app_task(app, name, fn);
    if (options) {
        set_options(app, name, options);
    }
}

void suite_register(celery_app *app, const struct suite_task *tasks, size_t n)
{
    char name[128];

    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%s", SUITE, tasks[i].name);
        suite_register_as(app, name, tasks[i].fn, tasks[i].options);
    }
}

int main(int argc, char **argv)
{
    celery_app *app = celery_app_new("suite");

    register_plain(app);
    register_request(app);
    register_redis(app);
    register_retry(app);
    register_canvas(app);
    return celery_worker_main(app, argc, argv);
}
