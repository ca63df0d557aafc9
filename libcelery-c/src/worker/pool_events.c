/* SPDX-License-Identifier: BSD-3-Clause */
/* What the worker does when the pool starts a task, or has ended it. */
#include "base/log.h"
#include "worker/admit.h"
#include "worker/follow.h"
#include "worker/report.h"
#include "worker/request.h"

#include <stdio.h>

static struct cel_request *of_job(struct cel_job *job)
{
    return cel_container_of(job, struct cel_request, job);
}

static bool on_wanted(void *ctx, struct cel_job *job)
{
    return cel_admit_to_run(of_job(job));
}

static void on_accepted(void *ctx, struct cel_job *job, int pid, const char *name)
{
    struct cel_request *r = of_job(job);

    r->pid = pid;
    if (name) {
        memcpy(r->process, name, strlen(name) + 1);
    }
    cel_request_event(r, CEL_REQ_ACCEPTED);
}

static void on_state(void *ctx, struct cel_job *job, struct cel_slice state,
                     struct cel_slice meta_json)
{
    cel_report_state(of_job(job), state, meta_json);
}

static void on_effects(void *ctx, struct cel_job *job, struct cel_slice effects)
{
    cel_follow_sent(of_job(job), effects);
}

/* Moving average of the run time, for the automatic prefetch. */
static void learn(struct cel_request *r, double runtime)
{
    struct cel_task_policy *p = &r->w->policy.tasks[r->job.task->index];

    p->average += (runtime - p->average) * 0.05;
}

static void keep_or_memory_error(struct cel_request *r, const struct cel_outcome *outcome)
{
    if (cel_report_keep(r, outcome) < 0) {
        r->outcome = (struct cel_outcome){
            .kind = CEL_OUTCOME_FAILURE,
            .exc_type = CEL_SLICE("MemoryError"),
            .exc_module = CEL_SLICE("builtins"),
            .exc_args = CEL_SLICE("[]"),
        };
    }
}

void cel_request_finish(struct cel_request *r, const struct cel_outcome *outcome)
{
    struct celery_worker *w = r->w;
    struct cel_outcome malformed;

    w->n_running--;
    learn(r, outcome->runtime);
    if (outcome->kind == CEL_OUTCOME_MALFORMED && outcome->fault == CEL_CALL_NOMEM) {
        r->outcome = (struct cel_outcome){.kind = CEL_OUTCOME_REQUEUE};
    } else if (outcome->kind == CEL_OUTCOME_MALFORMED) {
        char why[200];

        snprintf(why, sizeof why, "%.*s", (int)outcome->reason.len, outcome->reason.data);
        cel_report_log_fault(r, outcome->fault, why);
        cel_report_invalid(r, outcome->fault, why, &malformed);
        keep_or_memory_error(r, &malformed); /* copies the reason out of why */
    } else {
        keep_or_memory_error(r, outcome);
    }
    cel_request_event(r, CEL_REQ_FINISHED);
    cel_worker_dispatch(w);
}

static void on_finished(void *ctx, struct cel_job *job, const struct cel_outcome *outcome)
{
    cel_request_finish(of_job(job), outcome);
}

/*
 * Ended by a shutdown.  Nobody runs it again if its message was acknowledged: Celery calls that
 * RETRY when it was told to stop at once.  At the end of our own patience it is said as it is.
 */
static void cancelled(struct cel_request *r, int wait_status, struct cel_outcome *ret)
{
    bool gone = r->acknowledged && !r->orphaned;

    r->w->abandoned |= gone;
    if (gone && r->w->overdue) {
        cel_report_lost(r, wait_status, ret);
        cel_report_lost_retry(r, ret);
        return;
    }
    cel_report_cancelled(r, ret);
    if (r->started) {
        cel_notice(r, CEL_NOTICE_CANCELLED);
    }
}

static void on_lost(void *ctx, struct cel_job *job, int wait_status, bool timed_out)
{
    struct cel_request *r = of_job(job);
    struct celery_worker *w = r->w;
    struct cel_outcome outcome;

    w->n_running--;
    if (r->cancelled) {
        cancelled(r, wait_status, &outcome);
    } else if (timed_out) {
        cel_report_timeout(r, &outcome);
    } else if (r->state == CEL_REQ_STOPPING) {
        cel_report_revoked(r, "terminated", &outcome);
    } else {
        cel_report_lost(r, wait_status, &outcome);
        cel_report_lost_retry(r, &outcome);
    }
    r->outcome = outcome;
    cel_request_event(r, CEL_REQ_LOST);
    cel_worker_dispatch(w);
}

static void on_soft_limit(void *ctx, struct cel_job *job)
{
    cel_log_about(job->call.task, job->call.id);
    cel_log(CELERY_LOG_WARNING, "Soft time limit (%gs) exceeded for %s[%s]",
            job->soft_limit, cel_log_safe(job->call.task), cel_log_safe(job->call.id));
    cel_log_about(CEL_SLICE_NULL, CEL_SLICE_NULL);
}

static void on_room(void *ctx)
{
    cel_worker_dispatch(ctx);
}

static void on_stuck(void *ctx, struct cel_job *job)
{
    struct celery_worker *w = ctx;

    cel_log(
        CELERY_LOG_ERROR,
        "Task %s[%s] overran its hard time limit in a thread, which cannot be stopped: "
        "the worker ends (exit code 75) so that it can be replaced",
        cel_log_safe(job->call.task), cel_log_safe(job->call.id));
    w->exit_code = 75;
    cel_worker_shutdown(w, CEL_SHUTDOWN_WARM);
}

const struct cel_pool_events cel_request_pool_events = {
    .wanted = on_wanted,
    .accepted = on_accepted,
    .state = on_state,
    .effects = on_effects,
    .finished = on_finished,
    .lost = on_lost,
    .soft_limit = on_soft_limit,
    .room = on_room,
    .stuck = on_stuck,
};
