/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: arguments to variables. */
#include "codec/unpack.h"
#include "pool/task.h"
#include <stdarg.h>

celery_status celery_task_args(celery_task *task, const char *fmt, ...)
{
    if (task->record == CEL_RECORD_BAD_ARGS) {
        task->record = CEL_RECORD_NONE;
    }
    task->format = fmt;
    cel_buf_clear(&task->scratch);
    va_list variables;
    va_start(variables, fmt);
    celery_status status =
        cel_unpack(&task->arena, task->job->task->function, task->call.args,
                   task->call.kwargs, &task->scratch, &task->json_owner, fmt, variables);
    va_end(variables);
    if (status >= 0) {
        return status;
    }
    if (status == CELERY_ENOMEM) {
        cel_task_fail_line(task, "MemoryError", CEL_SLICE("out of memory"));
    } else if (status == CELERY_EINVAL) {
        cel_task_fail_line(task, "SystemError",
                           CEL_SLICE("bad format for the arguments"));
    } else {
        cel_task_fail_line(task, "TypeError", cel_buf_slice(&task->scratch));
    }
    task->record = CEL_RECORD_BAD_ARGS;
    return status;
}
