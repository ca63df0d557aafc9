/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/shutdown.h"

#include "base/log.h"
#include "worker/embedded_beat.h"
#include "worker/request.h"
#include "worker/unlock.h"

#include <signal.h>

/* Between two looks at the deadlines, seconds. */
#define TICK 0.1

/* After the last task ended, results that cannot be stored are waited for this long. */
#define STORE_GRACE 10.0

/* A cold shutdown's settlements must be answered within this. */
#define COLD_GRACE 5.0

/* So long messages that were never looked at may take on their way back. */
#define RETURN_GRACE 3.0

/* So long tasks get to see that they are told to stop, before they are ended for good. */
#define STOP_GRACE 1.0

static bool any_running(const struct celery_worker *w)
{
    return w->n_running > 0;
}

/* What the pool has not begun yet comes back and goes to its queue. */
static void recall_unstarted(struct celery_worker *w)
{
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->state == CEL_REQ_SUBMITTED &&
            w->pool->ops->recall(w->pool, &r->job) == CELERY_OK) {
            w->n_running--;
            cel_request_event(r, CEL_REQ_RECALLED);
        }
    }
}

static void return_waiting(struct celery_worker *w)
{
    recall_unstarted(w);
    cel_requests_event(w, CEL_REQ_RETURNED);
}

/* What has not stopped by now: its process is killed, its thread is left to itself. */
static void let_go(struct celery_worker *w)
{
    struct cel_pool *p = w->pool;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->state != CEL_REQ_STOPPING || cel_unlock_is(r)) {
            continue;
        }
        if (p->ops->kill) {
            p->ops->kill(p, &r->job, SIGKILL);
        } else if (p->ops->abandon) {
            p->ops->abandon(p, &r->job);
        }
    }
    w->let_go = true;
}

static void cancel_running(struct celery_worker *w)
{
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        cel_container_of(it, struct cel_request, node)->cancelled = true;
    }
    cel_requests_event(w, CEL_REQ_CANCELLED);
    if (w->pool->ops == &cel_pool_solo) {
        let_go(w); /* it has not begun, and would take the loop with it */
    }
}

static void begin(struct celery_worker *w, enum cel_shutdown how)
{
    bool first = w->shutdown == CEL_SHUTDOWN_NONE;

    w->shutdown = how;
    cel_embedded_beat_stop(w->beat);
    if (first) {
        cel_sdnotify_ending(w, w->again);
    }
    w->shutdown_at = cel_loop_now(w->loop);
    w->idle_since = w->shutdown_at;
    cel_link_stop_consuming(w->link);
    return_waiting(w);
    if (how == CEL_SHUTDOWN_COLD) {
        cancel_running(w);
    }
    cel_source_rearm(w->tick, w->shutdown_at + TICK);
}

void cel_worker_shutdown(struct celery_worker *w, enum cel_shutdown how)
{
    if (how <= w->shutdown) {
        return;
    }
    if (how == CEL_SHUTDOWN_COLD && w->policy.soft_shutdown > 0 &&
        w->shutdown < CEL_SHUTDOWN_SOFT &&
        (any_running(w) || w->policy.soft_shutdown_idle)) {
        how = CEL_SHUTDOWN_SOFT;
        cel_log(CELERY_LOG_WARNING,
                "Initiating Soft Shutdown, terminating in %g seconds (%zu tasks running)",
                w->policy.soft_shutdown, w->n_running);
    }
    begin(w, how);
    cel_worker_check_shutdown(w);
}

static bool is_returning(struct celery_worker *w)
{
    const struct cel_transport *t = cel_link_transport(w->link);

    return t->ops->returning && t->ops->returning(t) &&
           cel_loop_now(w->loop) - w->idle_since < RETURN_GRACE;
}

void cel_worker_check_shutdown(struct celery_worker *w)
{
    bool soft_idle = w->shutdown == CEL_SHUTDOWN_SOFT && w->policy.soft_shutdown_idle;

    if (w->shutdown == CEL_SHUTDOWN_NONE || w->n_requests > 0 || soft_idle) {
        return;
    }
    cel_link_leave(w->link);
    if (!is_returning(w)) {
        cel_loop_stop(w->loop);
    }
}

/* Seconds after which this kind of shutdown becomes a cold one; 0: never. */
static double patience(const struct celery_worker *w)
{
    return w->shutdown == CEL_SHUTDOWN_SOFT ? w->policy.soft_shutdown
                                            : w->policy.shutdown_timeout;
}

static void on_tick(void *ctx)
{
    struct celery_worker *w = ctx;
    double now = cel_loop_now(w->loop);
    double elapsed = now - w->shutdown_at;

    if (any_running(w)) {
        w->idle_since = now;
    }
    if (w->shutdown == CEL_SHUTDOWN_COLD) {
        if (elapsed > COLD_GRACE) {
            w->abandoned = true;
            cel_loop_stop(w->loop);
            return;
        }
        if (elapsed > STOP_GRACE && !w->let_go) {
            let_go(w);
        }
        if (elapsed > COLD_GRACE / 2) {
            cel_results_give_up(w->results);
        }
    } else if (patience(w) > 0 && elapsed > patience(w)) {
        w->overdue = w->shutdown == CEL_SHUTDOWN_WARM;
        cel_log(CELERY_LOG_WARNING, "Out of patience after %g seconds: ending %zu tasks",
                patience(w), w->n_running);
        begin(w, CEL_SHUTDOWN_COLD);
        cel_worker_check_shutdown(w);
        return;
    } else if (now - w->idle_since > STORE_GRACE) {
        cel_results_give_up(w->results);
        if (now - w->idle_since > STORE_GRACE + COLD_GRACE) {
            w->abandoned = true;
            cel_loop_stop(w->loop);
            return;
        }
    }
    cel_source_rearm(w->tick, now + TICK);
    cel_worker_check_shutdown(w);
}

celery_status cel_shutdown_init(struct celery_worker *w, celery_error *err)
{
    celery_status status = cel_loop_add_timer(w->loop, &w->tick, 0, on_tick, w);

    if (status == CELERY_OK) {
        cel_source_disarm(w->tick);
    }
    return status;
}
