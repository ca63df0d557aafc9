/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls one task function and collects its outcome: the same code in child, thread, solo. */
#ifndef CEL_POOL_RUN_TASK_H
#define CEL_POOL_RUN_TASK_H

#include "pool/pool.h"
#include <celery/log.h>

/* Reasons for celery_task_should_stop(). */
enum cel_stop {
    CEL_STOP_ASKED = 1 << 0, /* cel_pool_ops.interrupt(), or the worker goes down */
    CEL_STOP_SOFT = 1 << 1,  /* the soft time limit passed */
};

/* What the surroundings lend to a running task. */
struct cel_run_hooks {
    void *ctx;
    /* update_state() while the task runs. */
    void (*state)(void *ctx, struct cel_job *job, struct cel_slice state,
                  struct cel_slice meta_json);
    /*
     * What the running task sends, as bytes of a struct cel_effects; borrowed for the call.
     * CELERY_OK: the worker has it, or will whatever becomes of this process.  NULL: nobody
     * can send.
     */
    celery_status (*effects)(void *ctx, struct cel_job *job, struct cel_slice effects);
    /* A log line of the task, already with name and id; NULL: cel_log_text(). */
    void (*log)(void *ctx, celery_log_level level, struct cel_slice text);
    /* enum cel_stop bits: why the running task should stop; any time, may be NULL. */
    unsigned (*stopping)(void *ctx);
    /* Nobody watches the clock for us (solo): look at it when asked. */
    bool soft_by_clock;
};

/* Reused from task to task in one thread or child: memory stays warm. */
struct cel_runner;
struct cel_runner *cel_runner_new(celery_app *app, const char *hostname,
                                  const struct cel_call_limits *limits,
                                  const struct cel_run_hooks *hooks);
struct cel_runner *cel_runner_free(struct cel_runner *runner);

/* Decodes the body, calls the function, fills the outcome (valid until the next call). */
void cel_runner_run(struct cel_runner *runner, struct cel_job *job,
                    struct cel_outcome *ret_outcome);

/* Soft limit reached; for signal handlers: runs the task's at_once callback, once. */
void cel_runner_soft_limit(struct cel_runner *runner);

#endif
