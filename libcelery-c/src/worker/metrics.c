/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting; metrics_page.c writes it down. */
#include "worker/metrics.h"

#include "base/alloc.h"
#include "base/error.h"
#include "worker/request.h"

static struct cel_task_metrics *of(const struct cel_metrics *m,
                                   const struct cel_request *r)
{
    size_t i = r->job.task ? r->job.task->index : m->n_tasks - 1;

    return &m->tasks[i < m->n_tasks ? i : m->n_tasks - 1];
}

static enum cel_metric_outcome outcome_of(const struct cel_notice *n)
{
    if (n->kind == CEL_NOTICE_CANCELLED) {
        return CEL_ENDED_CANCELLED;
    }
    switch (n->request->outcome.kind) {
    case CEL_OUTCOME_SUCCESS:
        return CEL_ENDED_SUCCEEDED;
    case CEL_OUTCOME_RETRY:
        return CEL_ENDED_RETRIED;
    case CEL_OUTCOME_IGNORE:
        return CEL_ENDED_IGNORED;
    case CEL_OUTCOME_REJECT:
    case CEL_OUTCOME_REQUEUE:
        return CEL_ENDED_REJECTED;
    case CEL_OUTCOME_MALFORMED:
        return CEL_ENDED_MALFORMED;
    case CEL_OUTCOME_REVOKED:
        return n->expired ? CEL_ENDED_EXPIRED : CEL_ENDED_REVOKED;
    case CEL_OUTCOME_TIMEOUT:
        return CEL_ENDED_TIMEOUT;
    case CEL_OUTCOME_LOST:
        return CEL_ENDED_LOST;
    case CEL_OUTCOME_FAILURE:
        break;
    }
    return CEL_ENDED_FAILED;
}

static void on_started(struct cel_task_metrics *t, const struct cel_notice *n)
{
    const struct cel_request *r = n->request;
    double eta = r->job.call.eta_us == INT64_MIN ? 0 : (double)r->job.call.eta_us / 1e6;
    double since = eta > r->arrived_at ? eta : r->arrived_at;

    t->started++;
    if (since > 0) {
        cel_histogram_add(&t->wait, n->time > since ? n->time - since : 0);
    }
}

/* Several notices may be told of one end: a rejection is also a failure. */
static void on_ended(struct cel_task_metrics *t, const struct cel_notice *n)
{
    struct cel_request *r = n->request;

    if (r->counted) {
        return;
    }
    r->counted = true;
    t->ended[outcome_of(n)]++;
    if (r->started) {
        double runtime = r->outcome.runtime > 0
                             ? r->outcome.runtime
                             : cel_loop_now(r->w->loop) - r->accepted_at;
        cel_histogram_add(&t->runtime, runtime);
    }
}

static void on_notice(void *ctx, const struct cel_notice *n)
{
    struct cel_task_metrics *t = of(ctx, n->request);

    switch (n->kind) {
    case CEL_NOTICE_RECEIVED:
        n->request->arrived_at = n->time;
        break;
    case CEL_NOTICE_STARTED:
        on_started(t, n);
        break;
    default:
        on_ended(t, n);
    }
}

celery_status cel_metrics_new(struct celery_worker *w, struct cel_metrics **ret_metrics,
                              celery_error *err)
{
    struct cel_metrics *m = cel_calloc(1, sizeof *m);

    if (!m) {
        return cel_error_nomem(err);
    }
    m->w = w;
    m->n_tasks = w->policy.n_tasks + 1;
    m->tasks = cel_calloc(m->n_tasks, sizeof *m->tasks);
    m->observer = (struct cel_observer){
        .kinds = CEL_NOTICE_ALL & ~CEL_NOTICE_BIT(RETURNED),
        .fn = on_notice,
        .ctx = m,
    };
    celery_status status = m->tasks ? cel_notice_watch(w, &m->observer) : CELERY_ENOMEM;
    if (status < 0) {
        cel_metrics_free(m);
        return cel_error_set(err, status, "metrics");
    }
    *ret_metrics = m;
    return CELERY_OK;
}

struct cel_metrics *cel_metrics_free(struct cel_metrics *m)
{
    if (m) {
        cel_notice_unwatch(m->w, &m->observer);
        cel_free(m->tasks);
        cel_free(m);
    }
    return NULL;
}
