/* SPDX-License-Identifier: BSD-3-Clause */
/* An application: its settings and its tasks.  Stable. */
#ifndef CELERY_APP_H
#define CELERY_APP_H

#include <celery/error.h>
#include <stdint.h>

CELERY_BEGIN_DECLS

/*
 * Settings and task registry.  Written by one thread, then frozen by the first worker
 * or client made from it and from then on readable by any.
 */
typedef struct celery_app celery_app;

/* One execution of a task, as the task function sees it; see celery/task.h. */
typedef struct celery_task celery_task;

/* How a task function ended; made by the celery_task_*() functions of celery/task.h. */
typedef enum celery_outcome {
    CELERY_SUCCEEDED,
    CELERY_FAILED,
    CELERY_RETRY,
    CELERY_IGNORED,
    CELERY_REJECTED,
} celery_outcome;

/* A task.  Runs in a child process, in a thread or in the worker's loop, by the pool. */
typedef celery_outcome (*celery_task_fn)(celery_task *task);

/*
 * A new application.  name is what Celery calls `main`: the name of the module, shown in
 * the banner.  NULL when out of memory.  Nothing is read from outside yet.
 */
CELERY_API celery_app *celery_app_new(const char *name);

/*
 * Sets a setting by Celery's lower-case name ("broker_url", "task_acks_late"; the old
 * upper-case names are understood too).  The value is text: a number, true or false,
 * a string, or JSON for lists and maps.  Settings made here win over the environment and
 * the configuration file, and lose to the command line.
 * CELERY_ECONFIG: unknown name (err names the nearest) or a value out of range.
 */
CELERY_API celery_status celery_app_set(celery_app *app, const char *key,
                                        const char *value, celery_error *err);

/* The setting as text, or NULL when it is unset or unknown.  Borrowed from the app. */
CELERY_API const char *celery_app_get(const celery_app *app, const char *key);

/*
 * Reads a JSON file: one object, setting names to values.  Loses to the environment.
 * CELERY_ECONFIG with file, line and reason.
 */
CELERY_API celery_status celery_app_load(celery_app *app, const char *path,
                                         celery_error *err);

/*
 * Registers a task under the name that callers use.  A registration that fails (empty
 * or double name, out of memory) is also remembered by the app and reported by the first
 * worker or client made from it, so a main() needs no check.
 */
CELERY_API celery_status celery_app_task(celery_app *app, const char *name,
                                         celery_task_fn fn);

/*
 * Sets an option of a registered task, by the name of Celery's Task attribute.  Values
 * are text as in celery_app_set().  Understood: acks_late, acks_on_failure,
 * acks_on_timeout, acks_on_failure_or_timeout, reject_on_worker_lost,
 * retry_on_worker_lost, ignore_result, store_errors_even_if_ignored, track_started,
 * send_events, time_limit, soft_time_limit, max_retries, default_retry_delay, rate_limit, throws,
 * serializer, compression, queue, priority, expires, typing_name (the function's Python
 * name used in TypeError texts), and for retries without a word in the function:
 * autoretry_for, dont_autoretry_for, retry_backoff, retry_backoff_max, retry_jitter,
 * retry_kwargs (a JSON object of countdown and max_retries).
 *
 * new_style_errback: as an errback (link_error) the task gets three arguments, the request
 * (id, task, args, kwargs, root_id, parent_id, group, retries), the exception (exc_type,
 * exc_message, exc_module) and the traceback or null; without it, the id of the failed task.
 *
 * autoretry_for, dont_autoretry_for and throws are names of exception types, separated by
 * commas.  A name matches the type that celery_task_fail() was given, "Type" in any module or
 * "module.Type" in full.  Python's builtin exceptions match their bases too ("OSError"
 * matches ConnectionResetError); of other types no base is known but "Exception", so name
 * each of them.  Wrong arguments (celery_task_args()) are not tried again.
 */
CELERY_API celery_status celery_app_task_set(celery_app *app, const char *name,
                                             const char *option, const char *value,
                                             celery_error *err);

/* Context for the task function, see celery_task_context().  Not freed by the app. */
CELERY_API celery_status celery_app_task_context(celery_app *app, const char *name,
                                                 void *context, celery_error *err);

/* Frees the app.  Workers and clients made from it must be gone.  NULL is harmless. */
CELERY_API void celery_app_free(celery_app *app);

/*
 * What a shared object of tasks exports: registers its tasks with the app.  celery-c -A
 * loads the object and calls it once, before the worker starts.
 */
typedef celery_status (*celery_register_fn)(celery_app *app);

/* "0.1.0", and 0x000100 for comparisons.  Static. */
CELERY_API const char *celery_version(void);
CELERY_API int celery_version_number(void);

CELERY_END_DECLS

#endif
