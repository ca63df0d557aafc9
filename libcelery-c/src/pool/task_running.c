/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: while the task runs. */
#include "base/clock.h"
#include "base/log.h"
#include "pool/task.h"
#include <stdarg.h>
#include <stdio.h>

static void call_soft(celery_task *task)
{
    if (task->soft_fn && !task->soft_called) {
        task->soft_called = 1;
        task->soft_fn(task->soft_ctx);
    }
}

bool celery_task_should_stop(const celery_task *task)
{
    unsigned why = task->hooks.stopping ? task->hooks.stopping(task->hooks.ctx) : 0;
    if (task->hooks.soft_by_clock && task->job->soft_limit > 0 &&
        cel_clock_mono() - task->started >= task->job->soft_limit) {
        why |= CEL_STOP_SOFT;
    }
    if (why & CEL_STOP_SOFT) {
        call_soft((celery_task *)task);
    }
    return why != 0;
}

void celery_task_on_soft_limit(celery_task *task, void (*fn)(void *ctx), void *ctx,
                               bool at_once)
{
    /* The signal may come in between: nothing to call until all is in its place. */
    task->soft_fn = NULL;
    task->soft_ctx = ctx;
    task->soft_at_once = at_once;
    task->soft_called = 0;
    task->soft_fn = fn;
}

void cel_task_soft_signal(celery_task *task)
{
    if (task->soft_at_once) {
        call_soft(task);
    }
}

celery_status celery_task_update_state(celery_task *task, const char *state,
                                       json_t *give_meta)
{
    struct cel_buf *text = &task->scratch;
    cel_buf_clear(text);
    if (give_meta) {
        cel_json_write(text, cel_doc_from_json(&task->arena, give_meta));
        json_decref(give_meta);
    } else {
        cel_buf_adds(text, "null");
    }
    if (!cel_buf_ok(text)) {
        return CELERY_ENOMEM;
    }
    if (!state || !*state) {
        return CELERY_EINVAL;
    }
    if (task->outer) {
        return CELERY_EINVAL; /* called directly: there is no id to store it under */
    }
    if (task->hooks.state) {
        task->hooks.state(task->hooks.ctx, task->job, cel_slice_of(state),
                          cel_buf_slice(text));
    }
    return CELERY_OK;
}

/* Celery's get_task_logger(): "name[id]: message". */
void celery_task_log(celery_task *task, celery_log_level level, const char *fmt, ...)
{
    if (!cel_log_on(level)) {
        return;
    }
    char message[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);

    struct cel_buf *line = &task->scratch;
    cel_buf_clear(line);
    cel_buf_addf(line, "%s[%s]: %s", task->job->task->name, cel_log_safe(task->call.id),
                 message);
    if (task->hooks.log) {
        task->hooks.log(task->hooks.ctx, level, cel_buf_slice(line));
    } else {
        cel_log_task_text(level, cel_buf_slice(line));
    }
}
