/* SPDX-License-Identifier: BSD-3-Clause */
#include "register.h"

#include "create.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Names under which copies of the practical call the same task; "all" stands for them. */
static const char known_aliases[] =
    "ical.create_ical,tasks.ical.create_ical,todo.tasks.ical.create_ical";

/* The practical's time.sleep(), in slices so that a time limit or a shutdown gets through. */
static bool sleep_for(celery_task *task, double seconds)
{
    static const struct timespec slice = {.tv_nsec = 50 * 1000 * 1000};
    struct timespec now, start;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        double left = seconds - (double)(now.tv_sec - start.tv_sec) -
                      (double)(now.tv_nsec - start.tv_nsec) / 1e9;

        if (left <= 0) {
            return true;
        }
        if (celery_task_should_stop(task)) {
            return false;
        }
        const struct timespec rest = {.tv_nsec = (long)(left * 1e9)};

        nanosleep(left < 0.05 ? &rest : &slice, NULL);
    }
}

static celery_outcome fail(celery_task *task, const struct exception *e)
{
    struct text args = {0}, traceback = {0};
    celery_outcome outcome;

    exception_args(e, &args);
    exception_traceback(e, &traceback);
    if (e->message.failed || args.failed || traceback.failed) {
        outcome = celery_task_fail(task, "MemoryError", "%s", "");
    } else {
        outcome =
            celery_task_fail_text(task, e->type, args.data, args.len, traceback.data);
    }
    text_free(&args);
    text_free(&traceback);
    return outcome;
}

static celery_outcome create_ical(celery_task *task)
{
    const struct ical_options *o = celery_task_context(task);
    const celery_value *tasks = NULL;
    struct ical_writer w = {0};
    celery_outcome outcome;

    if (celery_task_args(task, "tasks:v", &tasks) < 0) {
        return CELERY_FAILED;
    }
    if (o->delay > 0 && !sleep_for(task, o->delay)) {
        return celery_task_fail_args(task, "billiard.exceptions.SoftTimeLimitExceeded",
                                     NULL, NULL);
    }
    if (ical_create(o, tasks, &w)) {
        outcome = celery_task_return_string(task, w.out.data, w.out.len);
    } else {
        outcome = fail(task, &w.exception);
    }
    ical_free(&w);
    return outcome;
}

/* A second task that one copy of the practical added to try its queue. */
static celery_outcome test(celery_task *task)
{
    static const char answer[] = "Test successful";

    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_string(task, answer, sizeof answer - 1);
}

static celery_status add_task(celery_app *app, const char *name, struct ical_options *o,
                              celery_error *err)
{
    if (strcmp(name, "ical.test") == 0) {
        return celery_app_task(app, name, test);
    }
    celery_status status = celery_app_task(app, name, create_ical);

    if (status == CELERY_OK) {
        status = celery_app_task_context(app, name, o, err);
    }
    if (status == CELERY_OK) {
        /* The function's name in "create_ical() missing 1 required ..." */
        status = celery_app_task_set(app, name, "typing_name", "create_ical", err);
    }
    return status;
}

static celery_status add_aliases(celery_app *app, const char *names,
                                 struct ical_options *o, celery_error *err)
{
    celery_status status = CELERY_OK;

    while (*names && status == CELERY_OK) {
        size_t len = strcspn(names, ",");
        char *name = strndup(names, len);

        if (!name) {
            return CELERY_ENOMEM;
        }
        if (strcmp(name, "all") == 0) {
            status = add_aliases(app, known_aliases, o, err);
        } else if (len > 0 && strcmp(name, "ical") != 0) {
            status = add_task(app, name, o, err);
        }
        free(name);
        names += len + (names[len] == ',');
    }
    return status;
}

celery_status ical_register(celery_app *app, struct ical_options *options,
                            celery_error *err)
{
    /* The practical: task_default_queue = environ.get("CELERY_DEFAULT_QUEUE", "ical") */
    const char *queue = getenv("CELERY_DEFAULT_QUEUE");
    celery_status status =
        celery_app_set(app, "task_default_queue", queue && *queue ? queue : "ical", err);

    if (status == CELERY_OK) {
        status = add_task(app, "ical", options, err);
    }
    if (status == CELERY_OK && options->aliases) {
        status = add_aliases(app, options->aliases, options, err);
    }
    return status;
}

celery_status celery_register(celery_app *app)
{
    static struct ical_options options;
    celery_error err = {0};
    char why[240];

    ical_options_init(&options);
    if (!ical_options_environ(&options, why, sizeof why)) {
        celery_log(CELERY_LOG_CRITICAL, "%s", why);
        return CELERY_ECONFIG;
    }
    celery_status status = ical_register(app, &options, &err);

    if (status < 0) {
        celery_log(CELERY_LOG_CRITICAL, "ical: %s", err.message);
    }
    return status;
}
