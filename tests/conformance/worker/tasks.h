/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Own implementations of the tasks that Celery's t/integration/tasks.py declares: the same
 * names, parameters, results and exceptions.  Each file registers its own.
 */
#ifndef CONFORMANCE_TASKS_H
#define CONFORMANCE_TASKS_H

#include <celery.h>

#define SUITE        "t.integration.tasks."
#define EXPECTED     SUITE "ExpectedException"
#define UNPICKLEABLE SUITE "UnpickleableException"

struct suite_task {
    const char *name; /* without the module */
    celery_task_fn fn;
    const char *options; /* "option=value option=value", or NULL */
};

/* Registers n tasks; the app remembers what went wrong. */
void suite_register(celery_app *app, const struct suite_task *tasks, size_t n);

/* The same of one, under its full name. */
void suite_register_as(celery_app *app, const char *name, celery_task_fn fn,
                       const char *options);

void register_plain(celery_app *app);
void register_request(celery_app *app);
void register_redis(celery_app *app);
void register_retry(celery_app *app);
void register_canvas(celery_app *app);
void register_signatures(celery_app *app);

/* RPUSH key text in the tests' Redis; false after recording a failure. */
bool redis_push(celery_task *task, const char *key, const char *text);

/* ---- what Python has and C has not (values.c) ---- */

/* x + y of numbers, strings or lists; NULL after recording Python's TypeError. */
json_t *py_add(celery_task *task, const json_t *x, const json_t *y);

/* sum(list); NULL after recording the TypeError. */
json_t *py_sum(celery_task *task, const json_t *list);

/* bool(value) of Python. */
bool py_truth(const json_t *value);

/* The name of a value's type: "int", "NoneType". */
const char *py_type(const json_t *value);

/* str(value) in new memory from malloc(). */
char *py_str(const celery_value *value);

/* time.sleep(); false when the soft time limit or the end of the worker came first. */
bool py_sleep(celery_task *task, double seconds);

/* What a task that was interrupted in py_sleep() ends with. */
celery_outcome py_soft_limit(celery_task *task);

json_t *text_or_null(const char *text);

#endif
