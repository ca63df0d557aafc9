/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/worker/request.py Request._retry_worker_lost (5.7) */
#include "pool/lost_retry.h"
#include "base/alloc.h"
#include "base/error.h"
#include "pool/task.h"

bool cel_lost_retry_allowed(const struct cel_job *job)
{
    return cel_task_retry_allowed(job->task->max_retries, job->call.retries);
}

static celery_status decode(celery_task *task, celery_error *err)
{
    const struct cel_job *job = task->job;
    if (task->call.args) {
        return CELERY_OK;
    }
    enum cel_call_fault fault =
        cel_task_call_body(&task->arena, job->body, job->content_type,
                           job->call.compression, &task->limits, &task->call, err);
    return fault == CEL_CALL_OK ? CELERY_OK : CELERY_EMESSAGE;
}

celery_status cel_lost_retry(celery_app *app, const struct cel_call_limits *limits,
                             struct cel_job *job, struct cel_effects *effects,
                             celery_error *err)
{
    celery_task *task = cel_calloc(1, sizeof *task);
    if (!task) {
        return cel_error_nomem(err);
    }
    cel_task_init(task, app, "", limits, NULL);
    cel_task_begin(task, job);
    task->retry.lost = true;
    task->countdown = job->task->default_retry_delay;
    celery_status st = decode(task, err);
    if (st == CELERY_OK) {
        st = cel_task_retry_message(task, err);
    }
    if (st == CELERY_OK) {
        struct cel_effects made = task->effects;
        task->effects = *effects;
        *effects = made;
    }
    cel_task_fini(task);
    cel_free(task);
    return st;
}
