/* SPDX-License-Identifier: BSD-3-Clause */
/* A task called by another, in place (celery/app/task.py Task.__call__). */
#include "base/alloc.h"
#include "pool/task.h"

/* celery.map of celery.map of ...: every level takes C stack, and the caller chooses them. */
#define DEPTH_MAX 16

celery_task *cel_task_outermost(celery_task *task)
{
    while (task->outer) {
        task = task->outer;
    }
    return task;
}

static void swap(struct cel_buf *a, struct cel_buf *b)
{
    struct cel_buf old = *a;
    *a = *b;
    *b = old;
}

/*
 * Task.retry() of a task that was called directly raises its exception, or Retry('Task can be
 * retried').  Celery then stores RETRY for the outer task without ever sending one: here it
 * fails.
 */
static void end_retry(celery_task *inner)
{
    inner->record = CEL_RECORD_FAILURE;
    if (inner->exc_name.len == 0) {
        cel_task_fail_line(inner, "celery.exceptions.Retry",
                           CEL_SLICE("Task can be retried"));
    }
}

/* An exception goes through the outer function. */
static void pass_on(celery_task *outer, celery_task *inner)
{
    if (inner->record == CEL_RECORD_RETRY) {
        end_retry(inner);
    }
    swap(&outer->exc_name, &inner->exc_name);
    swap(&outer->exc_args, &inner->exc_args);
    swap(&outer->traceback, &inner->traceback);
    swap(&outer->reason, &inner->reason);
    outer->record = inner->record;
}

celery_task *cel_task_inner_new(celery_task *outer)
{
    if (outer->depth >= DEPTH_MAX) {
        cel_task_fail_line(outer, "RecursionError",
                           CEL_SLICE("maximum recursion depth exceeded"));
        return NULL;
    }
    celery_task *inner = cel_calloc(1, sizeof *inner);
    if (!inner) {
        cel_task_fail_line(outer, "MemoryError", CEL_SLICE("out of memory"));
        return NULL;
    }
    cel_task_init(inner, outer->app, outer->hostname, &outer->limits, &outer->hooks);
    inner->outer = outer;
    inner->depth = outer->depth + 1;
    return inner;
}

celery_task *cel_task_inner_free(celery_task *inner)
{
    if (inner) {
        cel_task_fini(inner);
        cel_free(inner);
    }
    return NULL;
}

/* The request of a task that is called directly has no id, and nothing of a message. */
bool cel_task_inner_call(celery_task *inner, const struct cel_task_def *def,
                         const struct cel_node *args, struct cel_buf *out)
{
    celery_task *outer = inner->outer;
    struct cel_job job = {.task = def, .soft_limit = outer->job->soft_limit};
    cel_task_call_init(&job.call);
    job.call.task = cel_slice_of(def->name);
    job.call.protocol = 2;
    job.call.args = args;
    cel_task_begin(inner, &job);
    inner->call.kwargs = cel_node_new(&inner->arena, CELERY_KIND_OBJECT);
    inner->started = outer->started;
    cel_task_reconcile(inner, def->fn(inner));
    bool succeeded = inner->record == CEL_RECORD_SUCCESS;
    if (succeeded) {
        cel_buf_add_slice(out, cel_buf_slice(&inner->result));
    } else {
        pass_on(outer, inner);
    }
    cel_task_end(inner);
    return succeeded;
}
