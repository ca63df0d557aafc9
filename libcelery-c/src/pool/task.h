/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a celery_task: what run_task.c lends to the public task_*.c functions. */
#ifndef CEL_POOL_TASK_H
#define CEL_POOL_TASK_H

#include "canvas/effects.h"
#include "pool/run_task.h"
#include "pool/task_env.h"
#include <celery/task.h>
#include <signal.h>
#include <stdarg.h>

/* What the function said about its end.  The last word counts. */
enum cel_record {
    CEL_RECORD_NONE,
    CEL_RECORD_BAD_ARGS, /* FAILURE by celery_task_args(); a later good call takes it back */
    CEL_RECORD_SUCCESS,
    CEL_RECORD_FAILURE,
    CEL_RECORD_RETRY,
    CEL_RECORD_IGNORE,
    CEL_RECORD_REJECT,
    CEL_RECORD_REQUEUE,
};

/* Texts of the request that were asked for, NUL-terminated in the task's arena. */
enum cel_task_text {
    CEL_TEXT_ID,
    CEL_TEXT_ROOT_ID,
    CEL_TEXT_PARENT_ID,
    CEL_TEXT_GROUP,
    CEL_TEXT_ETA,
    CEL_TEXT_EXPIRES,
    CEL_TEXT_CORRELATION_ID,
    CEL_TEXT_REPLY_TO,
    CEL_TEXT_EXCHANGE,
    CEL_TEXT_ROUTING_KEY,
    CEL_TEXT_ORIGIN,
    CEL_TEXT_SHADOW,
    CEL_TEXT_ARGSREPR,
    CEL_TEXT_KWARGSREPR,
    CEL_TEXT_COUNT,
};

/* What Task.retry() was asked for. */
struct cel_task_retry {
    double countdown;         /* seconds; < 0: not given */
    bool has_max;             /* max_retries was given */
    int64_t max_retries;      /* or CEL_RETRIES_UNLIMITED */
    struct cel_node *options; /* the others by name; or NULL */
    celery_error failed;      /* an option that was wrong */
    bool lost;                /* its process is gone: no task runs that were its parent */
    bool useless;             /* the arguments are wrong, and will be so again */
};

/* One per runner, used again for every task: its buffers stay warm. */
struct celery_task {
    /* Of the runner. */
    celery_app *app;
    const char *hostname;
    celery_task
        *outer;     /* that calls this one in place (task_call.c); NULL: a worker does */
    unsigned depth; /* tasks around this one */
    struct cel_call_limits limits;
    struct cel_run_hooks hooks;
    struct cel_arena arena; /* emptied before every task */
    struct cel_task_env env;
    struct cel_buf scratch;

    /* Of the running task. */
    struct cel_job *job;
    struct cel_task_call call; /* with args, kwargs, embed */
    const struct cel_node *headers;
    bool headers_read;
    json_t *json;       /* celery_task_json() */
    json_t *json_owner; /* j arguments of celery_task_args() */
    const char *texts[CEL_TEXT_COUNT];
    const char *format; /* of celery_task_args(); NULL: not called */
    double started;

    /* Soft limit.  Also read by the signal handler. */
    void (*volatile soft_fn)(void *ctx);
    void *volatile soft_ctx;
    volatile sig_atomic_t soft_at_once;
    volatile sig_atomic_t soft_called;

    /* How it ended. */
    enum cel_record record;
    bool replaced; /* celery_task_replace(): effects send what replaces it */
    const struct cel_node *sent; /* result tuple of the last one sent; or NULL */
    struct cel_task_retry retry;
    double countdown;         /* RETRY: seconds, decided */
    struct cel_buf result;    /* JSON text */
    struct cel_buf repr;      /* of the result */
    struct cel_buf exc_name;  /* "module.Type"; empty: none */
    struct cel_buf exc_args;  /* JSON array */
    struct cel_buf traceback; /* empty: to be made */
    struct cel_buf reason;
    struct cel_effects effects; /* what its end brings about */
};

/* ---- task_life.c ---- */

void cel_task_init(celery_task *task, celery_app *app, const char *hostname,
                   const struct cel_call_limits *limits,
                   const struct cel_run_hooks *hooks);
void cel_task_fini(celery_task *task);

/* Forgets the last execution; the call is the job's. */
void cel_task_begin(celery_task *task, struct cel_job *job);

/* What the function said and what it returned may differ; a failure is never dropped. */
void cel_task_reconcile(celery_task *task, celery_outcome returned);

/* Drops what was lent to the function. */
void cel_task_end(celery_task *task);

/* Empties a buffer; one huge result must not be kept for ever. */
void cel_task_renew(struct cel_buf *b);

/* ---- task_call.c ---- */

/*
 * Task.__call__(): registered tasks called in place, as celery.map does.  NULL, with the
 * outer one failed: no memory, or too many tasks around it.
 */
celery_task *cel_task_inner_new(celery_task *outer);
celery_task *cel_task_inner_free(celery_task *inner);

/*
 * Runs one with positional arguments.  True: its result is appended to out as JSON.  False: it
 * ended otherwise, and the outer one's end is made the same.
 */
bool cel_task_inner_call(celery_task *inner, const struct cel_task_def *def,
                         const struct cel_node *args, struct cel_buf *out);

/* The one that a worker runs. */
celery_task *cel_task_outermost(celery_task *task);

/* ---- task_running.c, task_end.c ---- */

/* The at_once callback of the soft limit; async-signal-safe. */
void cel_task_soft_signal(celery_task *task);

/* Records a FAILURE with one text as argument. */
celery_outcome cel_task_fail_line(celery_task *task, const char *type,
                                  struct cel_slice text);

/* Records an exception, for FAILURE or RETRY. */
void cel_task_set_exception(celery_task *task, const char *type,
                            const struct cel_node *args, const char *traceback);

/* The same with a text of printf() as the one argument. */
CELERY_PRINTF(3, 0)
void cel_task_set_formatted(celery_task *task, const char *type, const char *fmt,
                            va_list args);

/* All headers of the message (object), or NULL. */
const struct cel_node *cel_task_headers(celery_task *task);

/* ---- task_send.c ---- */

/* Where signatures are applied, without a word of this task; NULL with err. */
const struct cel_canvas *cel_task_canvas(celery_task *task, celery_error *err);

/* The same on behalf of this task: its messages are its children. */
celery_status cel_task_running_canvas(celery_task *task, struct cel_canvas *ret,
                                      celery_error *err);

/* A list for what is sent while the task runs, and handing it to the worker. */
void cel_task_effects_init(struct cel_effects *effects);
celery_status cel_task_send_effects(celery_task *task, const struct cel_effects *effects,
                                    celery_error *err);

/* sig.apply_async(args, **options) by the task, at once; the result tuple is the arena's. */
celery_status cel_task_apply(celery_task *task, const struct cel_sig *sig,
                             const struct cel_node *args, const struct cel_node *options,
                             struct cel_node **ret_result, celery_error *err);

/* A CHILD effect: the result tuple of a task. */
celery_status cel_task_add_child(celery_task *task, struct cel_slice id);

/* ---- task_follow.c ---- */

/*
 * After a success: callbacks and the next step of its chain; it fails when they are none.
 * Gives enum cel_outcome_follows.
 */
unsigned cel_task_follow_up(celery_task *task);

/* ---- task_retry.c ---- */

/*
 * The last word on a task that ended in RETRY or FAILURE: a retry that is not allowed any more
 * becomes a failure, and a failure named by autoretry_for becomes a retry.
 */
void cel_task_settle_retry(celery_task *task);

/* max_retries as in cel_task_def. */
bool cel_task_retry_allowed(int64_t max_retries, int64_t retries);

/* Adds the message of the retry, and the child it is, to task->effects. */
celery_status cel_task_retry_message(celery_task *task, celery_error *err);

/* The headers that no version of Celery knows: they go with retries (an object). */
const struct cel_node *cel_task_custom_headers(celery_task *task);

/* ---- the rest ---- */

/*
 * The arguments of the retry: args, kwargs as given (or NULL), beside what the request brought.
 * False: out of memory.
 */
bool cel_task_retry_arguments(celery_task *task, const struct cel_node *args,
                              const struct cel_node *kwargs, struct cel_task_call *call);

/* "package.module.Error" into its parts; without a module it is one of builtins. */
void cel_exception_split(struct cel_slice name, struct cel_slice *ret_module,
                         struct cel_slice *ret_type);

#endif
