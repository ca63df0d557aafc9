/* SPDX-License-Identifier: BSD-3-Clause */
/* A registered task with nothing set. */
#include "app/app.h"
#include "base/alloc.h"

/* The function's name in Python is mostly the last part of the task's. */
static char *function_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return cel_strdup(dot && dot[1] ? dot + 1 : name);
}

struct cel_task_def *cel_task_def_new(const char *name, celery_task_fn fn)
{
    struct cel_task_def *def = cel_calloc(1, sizeof *def);
    if (!def) {
        return NULL;
    }
    *def = (struct cel_task_def){
        .name = cel_strdup(name),
        .function = function_of(name),
        .fn = fn,
        .acks_late = CEL_UNSET,
        .acks_on_failure_or_timeout = CEL_UNSET,
        .acks_on_failure = CEL_UNSET,
        .acks_on_timeout = CEL_UNSET,
        .reject_on_worker_lost = CEL_UNSET,
        .retry_on_worker_lost = CEL_UNSET,
        .ignore_result = CEL_UNSET,
        .new_style_errback = CEL_UNSET,
        .store_errors_even_if_ignored = CEL_UNSET,
        .track_started = CEL_UNSET,
        .send_events = CEL_UNSET,
        .time_limit = -1,
        .soft_time_limit = -1,
        .max_retries = CEL_RETRIES_UNSET,
        .default_retry_delay = CEL_RETRY_DELAY,
        .rate = -1,
        .priority = -1,
        .expires = -1,
        .retry_backoff_max = CEL_RETRY_BACKOFF_MAX,
        .retry_jitter = CEL_UNSET,
        .retry_kwargs = {.max_retries = CEL_RETRIES_UNSET, .countdown = -1},
    };
    return def->name && def->function ? def : cel_task_def_free(def);
}

void cel_task_texts_free(char **texts)
{
    for (char **t = texts; t && *t; t++) {
        cel_free(*t);
    }
    cel_free(texts);
}

struct cel_task_def *cel_task_def_free(struct cel_task_def *def)
{
    if (def) {
        cel_task_texts_free(def->throws);
        cel_task_texts_free(def->autoretry_for);
        cel_task_texts_free(def->dont_autoretry_for);
        cel_free(def->name);
        cel_free(def->function);
        cel_free(def->rate_limit);
        cel_free(def->serializer);
        cel_free(def->compression);
        cel_free(def->queue);
        cel_free(def);
    }
    return NULL;
}
