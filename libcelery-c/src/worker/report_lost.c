/* SPDX-License-Identifier: BSD-3-Clause */
/* retry_on_worker_lost: a task that took its process along is tried again. */
#include "worker/report.h"

#include "base/log.h"
#include "message/meta.h"
#include "pool/lost_retry.h"
#include "worker/report_text.h"

/* Retry.__str__; a delay is nearly always whole seconds. */
static struct cel_slice reason(struct cel_request *r, const struct cel_outcome *o)
{
    struct cel_buf repr = {.max = 400};
    cel_exception_repr(&repr, o->exc_type, o->exc_args);
    struct cel_slice text =
        cel_report_text(r, "Retry in %gs: %.*s", r->job.task->default_retry_delay,
                        (int)repr.len, repr.data ? repr.data : "");
    cel_buf_fini(&repr);
    return text;
}

static celery_status send(struct cel_request *r, struct cel_outcome *o, celery_error *err)
{
    struct cel_effects effects = {0};
    celery_status st =
        cel_lost_retry(r->w->app, &r->w->policy.limits, &r->job, &effects, err);
    if (st == CELERY_OK) {
        o->effects = cel_buf_slice(&effects.bytes);
        st = cel_report_copy(r, &o->effects);
    }
    cel_effects_fini(&effects);
    return st;
}

void cel_report_lost_retry(struct cel_request *r, struct cel_outcome *outcome)
{
    celery_error err = {0};

    if (!r->policy || !r->policy->retry_on_worker_lost || !r->job.task) {
        return;
    }
    if (!cel_lost_retry_allowed(&r->job)) {
        outcome->kind = CEL_OUTCOME_FAILURE; /* and not requeued either */
        return;
    }
    if (send(r, outcome, &err) < 0) {
        cel_log(CELERY_LOG_ERROR, "Failed to retry task %s[%s] after worker was lost: %s",
                cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id),
                err.message);
        outcome->effects = CEL_SLICE_NULL;
        return;
    }
    outcome->kind = CEL_OUTCOME_RETRY;
    outcome->reason = reason(r, outcome);
}
