/* SPDX-License-Identifier: BSD-3-Clause */
/* What the worker does when the broker delivers, or is gone. */
#include "worker/link_events.h"
#include "base/log.h"
#include "worker/admit.h"
#include "worker/events.h"
#include "worker/mingle.h"
#include "worker/redelivered.h"
#include "worker/request.h"
#include "worker/shutdown.h"

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct celery_worker *w = ctx;

    cel_admit(w, give_delivery);
    if (w->policy.disable_prefetch) {
        cel_worker_dispatch(w); /* whatever became of it: its place may be free again */
    }
}

/*
 * A running task whose message somebody else will run, or does: celery/worker/consumer/consumer.py
 * on_connection_error_after_connected() ends it, if that is wanted.
 */
static void cancel_void(struct cel_request *r)
{
    if (!r->w->policy.cancel_void || r->state != CEL_REQ_RUNNING || !r->void_tag ||
        r->acknowledged || r->cancelled || !r->policy->acks_late) {
        return;
    }
    cel_log(CELERY_LOG_WARNING,
            "Task %s[%s] cannot be acknowledged after a connection loss since late "
            "acknowledgement is enabled for it.\nTerminating it instead.\n",
            cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id));
    r->cancelled = true;
    r->orphaned = true;
    cel_request_event(r, CEL_REQ_CANCELLED);
}

static void on_taken(void *ctx, uint64_t tag)
{
    struct celery_worker *w = ctx;
    struct cel_request_step step;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->tag == tag && !r->void_tag &&
            cel_request_next(r->state, CEL_REQ_CONN_LOST, &step)) {
            w->counts.lost_ownership++;
            cel_log(CELERY_LOG_WARNING,
                    "Task %s[%s]: its message was taken over by another worker",
                    cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id));
            cel_request_event(r, CEL_REQ_CONN_LOST);
            if (step.next != CEL_REQ_DONE) {
                cancel_void(r);
            }
            return;
        }
    }
}

static void on_link_connected(void *ctx)
{
    struct celery_worker *w = ctx;

    cel_events_connected(w->events);
    if (!cel_mingle_start(w->mingle)) {
        cel_link_go_on(w->link);
    }
}

static void on_link_ready(void *ctx)
{
    struct celery_worker *w = ctx;

    cel_vitals_connected(w);
    cel_requests_resettle(w);
    cel_redelivered_again(w);
    if (!w->was_ready) {
        w->was_ready = true;
        if (w->on_ready) {
            w->on_ready(w);
        }
    }
}

static void on_link_lost(void *ctx, bool resumes)
{
    struct celery_worker *w = ctx;
    struct cel_list *it;
    struct cel_list *next;

    cel_vitals_lost(w);
    cel_events_lost(w->events);
    cel_mingle_lost(w->mingle);
    if (resumes) {
        return;
    }
    cel_requests_event(w, CEL_REQ_CONN_LOST);
    cel_list_foreach(it, next, &w->requests) {
        cancel_void(cel_container_of(it, struct cel_request, node));
    }
}

static void on_link_failed(void *ctx, const celery_error *why)
{
    struct celery_worker *w = ctx;

    if (why) {
        w->failure = *why;
    }
    w->exit_code = 1;
    cel_log(CELERY_LOG_CRITICAL, "Unrecoverable error: %s",
            why ? why->message : "connection to the broker lost");
    cel_worker_shutdown(w, CEL_SHUTDOWN_COLD);
}

const struct cel_link_events cel_worker_link_events = {
    .delivered = on_delivered,
    .taken = on_taken,
    .connected = on_link_connected,
    .ready = on_link_ready,
    .lost = on_link_lost,
    .failed = on_link_failed,
};
