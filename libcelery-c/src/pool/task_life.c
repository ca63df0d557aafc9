/* SPDX-License-Identifier: BSD-3-Clause */
/* A celery_task from one execution to the next. */
#include "pool/task.h"

#define KEEP_BUFFER (256 * 1024) /* memory a buffer may keep from task to task */

void cel_task_init(celery_task *task, celery_app *app, const char *hostname,
                   const struct cel_call_limits *limits,
                   const struct cel_run_hooks *hooks)
{
    *task = (celery_task){.app = app, .hostname = hostname, .limits = *limits};
    if (hooks) {
        task->hooks = *hooks;
    }
    cel_arena_init(&task->arena, 0);
}

static void each_buffer(celery_task *task, void (*fn)(struct cel_buf *b))
{
    struct cel_buf *buffers[] = {
        &task->scratch,  &task->result,    &task->repr,   &task->exc_name,
        &task->exc_args, &task->traceback, &task->reason,
    };
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        fn(buffers[i]);
    }
}

void cel_task_fini(celery_task *task)
{
    each_buffer(task, cel_buf_fini);
    cel_effects_fini(&task->effects);
    cel_task_env_fini(&task->env);
    cel_arena_fini(&task->arena);
}

/* ---- before ---- */

/* One huge result must not be kept for ever. */
void cel_task_renew(struct cel_buf *b)
{
    if (b->cap > KEEP_BUFFER) {
        cel_buf_fini(b);
        cel_buf_init(b, 0);
    } else {
        cel_buf_clear(b);
    }
}

void cel_task_begin(celery_task *task, struct cel_job *job)
{
    each_buffer(task, cel_task_renew);
    cel_arena_reset(&task->arena);
    task->job = job;
    task->call = job->call;
    task->headers = NULL;
    task->headers_read = false;
    task->format = NULL;
    memset(task->texts, 0, sizeof task->texts);
    task->soft_fn = NULL;
    task->soft_called = 0;
    cel_effects_clear(&task->effects);
    task->record = CEL_RECORD_NONE;
    task->replaced = false;
    task->sent = NULL;
    task->retry = (struct cel_task_retry){.countdown = -1};
    task->countdown = 0;
}

/* ---- after ---- */

void cel_task_end(celery_task *task)
{
    json_decref(task->json);
    json_decref(task->json_owner);
    task->json = NULL;
    task->json_owner = NULL;
}

/* What the function said and what it returned may differ; a failure is never dropped. */
void cel_task_reconcile(celery_task *task, celery_outcome returned)
{
    enum cel_record record = task->record;
    if (record == CEL_RECORD_BAD_ARGS) {
        task->record = CEL_RECORD_FAILURE;
        task->retry.useless = true;
        return;
    }
    if (record == CEL_RECORD_SUCCESS && task->result.failed) {
        cel_task_fail_line(task, "MemoryError", CEL_SLICE("no memory for the result"));
        return;
    }
    if (returned == CELERY_FAILED &&
        (record == CEL_RECORD_NONE || record == CEL_RECORD_SUCCESS)) {
        cel_task_fail_line(task, "RuntimeError",
                           CEL_SLICE("task failed without saying why"));
        return;
    }
    if (record != CEL_RECORD_NONE) {
        return;
    }
    switch (returned) {
    case CELERY_RETRY:
        celery_task_retry(task, -1);
        break;
    case CELERY_IGNORED:
        celery_task_ignore(task);
        break;
    case CELERY_REJECTED:
        celery_task_reject(task, false, NULL);
        break;
    default:
        celery_task_return_none(task);
    }
}
