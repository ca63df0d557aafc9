/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/request.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/admit.h"
#include "worker/cleanup.h"
#include "worker/direct.h"
#include "worker/follow.h"
#include "worker/redelivered.h"
#include "worker/report.h"
#include "worker/reporting.h"
#include "worker/schedule.h"
#include "worker/unlock.h"

#include <signal.h>
#include <stdio.h>

struct cel_request *cel_request_new(struct celery_worker *w,
                                    struct cel_delivery *give_delivery)
{
    struct cel_envelope *env = give_delivery->envelope;
    struct cel_request *r = cel_arena_alloc(&env->arena, sizeof *r);

    if (!r) {
        struct cel_transport *t = cel_link_transport(w->link);

        t->ops->reject(t, give_delivery->tag, true, true, NULL, 0, (struct cel_done){0});
        cel_envelope_free(env);
        return NULL;
    }
    memset(r, 0, sizeof *r);
    r->w = w;
    r->envelope = env;
    r->tag = give_delivery->tag;
    r->queue = give_delivery->queue;
    r->state = CEL_REQ_READY;
    cel_list_init(&r->ready_node);
    cel_list_append(&w->requests, &r->node);
    w->n_requests++;
    w->counts.received++;
    return r;
}

static void request_free(struct cel_request *r)
{
    struct celery_worker *w = r->w;

    if (w->successful && r->outcome.kind == CEL_OUTCOME_SUCCESS && r->started &&
        !r->returned) {
        cel_ageset_add(w->successful, r->job.call.id, cel_clock_mono());
    }
    cel_schedule_remove(r);
    cel_follow_fini(r);
    cel_redelivered_forget(r);
    cel_list_remove(&r->node);
    cel_list_remove(&r->ready_node);
    w->n_requests--;
    cel_envelope_free(r->envelope);
    if (w->shutdown != CEL_SHUTDOWN_NONE) {
        cel_worker_check_shutdown(w);
    }
}

/* ---- settling ---- */

/* True when the settlement failed but can be made again after a reconnection. */
static bool settle_again(struct cel_request *r, const celery_error *err)
{
    const struct cel_transport *t = cel_link_transport(r->w->link);

    if (!err || !(t->ops->flags & CEL_TRANSPORT_RESUMES) || r->void_tag ||
        r->w->shutdown == CEL_SHUTDOWN_DONE) {
        return false;
    }
    r->unsettled = true;
    r->uncertain = true;
    return true;
}

static void settle_or_return(struct cel_request *r);

static void tell_lost_ownership(struct cel_request *r)
{
    r->w->counts.lost_ownership++;
    cel_log(CELERY_LOG_WARNING,
            "Task %s[%s]: its message was taken over by another worker meanwhile",
            cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id));
}

static void on_settled(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_request *r = ctx;

    if (settle_again(r, err)) {
        return;
    }
    if (!err && answer == 0 && !r->uncertain) {
        tell_lost_ownership(r);
    }
    cel_request_event(r, CEL_REQ_SETTLED);
}

static void on_early_ack(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_request *r = ctx;

    r->ack_pending = false;
    if (err) {
        /* Not acknowledged after all: do it at the end, as if it were late. */
        r->acknowledged = false;
        r->uncertain = true;
    }
    if (r->state == CEL_REQ_SETTLING && !settle_again(r, err)) {
        settle_or_return(r);
    }
}

static void give_back(struct cel_request *r)
{
    struct cel_transport *t = cel_link_transport(r->w->link);

    if (!r->returned) {
        r->returned = true;
        cel_notice(r, CEL_NOTICE_RETURNED);
    }
    if (r->ack_pending) {
        return; /* on_early_ack() goes on */
    }
    if (r->direct && !r->started) {
        r->w->counts.returned++;
        cel_direct_publish(r, (struct cel_done){on_settled, r});
        return;
    }
    if (r->void_tag || r->acknowledged) {
        cel_request_event(r, CEL_REQ_SETTLED);
        return;
    }
    if (r->defer_until > 0 && r->w->shutdown == CEL_SHUTDOWN_NONE) {
        t->ops->defer(t, r->tag, r->defer_until, (struct cel_done){on_settled, r});
        return;
    }
    r->w->counts.returned++;
    t->ops->reject(t, r->tag, true, true, NULL, 0, (struct cel_done){on_settled, r});
}

static const char *park_reason(const struct cel_request *r, char *text, size_t size)
{
    if (r->outcome.kind == CEL_OUTCOME_LOST) {
        snprintf(text, size,
                 "its task ended %lld worker processes (worker_redelivery_budget)",
                 (long long)r->crashes + 1);
    } else {
        snprintf(text, size, "%.*s", (int)r->outcome.reason.len, r->outcome.reason.data);
    }
    return text;
}

/*
 * A message that was acknowledged at its start and then could not be decoded: it is written to
 * the dead letters all the same.
 */
static void bury(struct cel_request *r)
{
    struct cel_transport *t = cel_link_transport(r->w->link);
    char why[200];

    r->w->counts.parked++;
    cel_notice(r, CEL_NOTICE_PARKED);
    t->ops->bury(t, r->queue, r->envelope, park_reason(r, why, sizeof why),
                 (struct cel_done){on_settled, r});
}

enum cel_settlement cel_request_settlement(const struct cel_request *r)
{
    const struct cel_ack_policy policy = {
        .late = r->policy && r->policy->acks_late,
        .on_failure = !r->policy || r->policy->acks_on_failure,
        .on_timeout = !r->policy || r->policy->acks_on_timeout,
        .reject_on_worker_lost =
            r->spent || (r->policy && r->policy->reject_on_worker_lost),
        .crashes = r->crashes,
        .crash_budget = r->w->policy.crash_budget,
    };

    return cel_request_settle(r->outcome.kind, &policy);
}

static void settle(struct cel_request *r)
{
    struct cel_transport *t = cel_link_transport(r->w->link);
    struct cel_done done = {on_settled, r};
    char why[200];

    if (r->ack_pending) {
        return; /* on_early_ack() goes on */
    }
    if (r->acknowledged && !r->void_tag && r->outcome.kind == CEL_OUTCOME_MALFORMED &&
        t->ops->bury && r->queue) {
        bury(r);
        return;
    }
    if (r->void_tag || r->acknowledged || r->direct) {
        cel_request_event(r, CEL_REQ_SETTLED);
        return;
    }
    switch (cel_request_settlement(r)) {
    case CEL_SETTLE_ACK:
        t->ops->ack(t, r->tag, done);
        break;
    case CEL_SETTLE_REQUEUE:
        if (r->outcome.kind == CEL_OUTCOME_LOST) {
            t->ops->reject(t, r->tag, true, false, CEL_HEADER_CRASHES, r->crashes + 1,
                           done);
        } else {
            t->ops->reject(t, r->tag, true, false, NULL, 0, done);
        }
        break;
    case CEL_SETTLE_PARK:
        if (t->ops->park) {
            r->w->counts.parked++;
            cel_notice(r, CEL_NOTICE_PARKED);
            t->ops->park(t, r->tag, park_reason(r, why, sizeof why), done);
            break;
        }
        t->ops->reject(t, r->tag, false, false, NULL, 0, done);
        break;
    case CEL_SETTLE_DROP:
        t->ops->reject(t, r->tag, false, false, NULL, 0, done);
        break;
    }
}

/* ---- the other actions ---- */

static void submit(struct cel_request *r)
{
    struct celery_worker *w = r->w;

    r->job.number = ++w->jobs;
    w->n_running++;
    if (cel_unlock_is(r)) {
        cel_unlock_run(r);
        return;
    }
    if (cel_cleanup_is(r)) {
        cel_cleanup_run(r);
        return;
    }
    if (w->pool->ops->submit(w->pool, &r->job) < 0) {
        /* The pool had no memory for it: it stays ready. */
        w->n_running--;
        r->state = CEL_REQ_READY;
        cel_list_prepend(&w->ready, &r->ready_node);
    }
}

static void start(struct cel_request *r)
{
    struct cel_transport *t = cel_link_transport(r->w->link);

    r->started = true;
    r->w->policy.tasks[r->job.task->index].total++;
    r->accepted_at = cel_loop_now(r->w->loop);
    if (r->direct) {
        r->acknowledged = true; /* nobody else has to know */
    } else if (!r->policy->acks_late && !r->void_tag) {
        r->acknowledged = true;
        r->ack_pending = true;
        t->ops->ack(t, r->tag, (struct cel_done){on_early_ack, r});
    }
    cel_notice(r, CEL_NOTICE_STARTED);
    if (r->policy->track_started) {
        cel_report_started(r);
    }
}

static void kill_task(struct cel_request *r)
{
    struct cel_pool *p = r->w->pool;

    if (cel_unlock_is(r) || cel_cleanup_is(r)) {
        return; /* it ends by itself, and soon */
    }

    if (p->ops->recall(p, &r->job) == CELERY_OK) {
        r->w->n_running--;
        cel_request_event(r, CEL_REQ_RECALLED);
        return;
    }
    if (p->ops->interrupt) {
        p->ops->interrupt(p, &r->job);
    }
    if (p->ops->kill && r->started) {
        p->ops->kill(p, &r->job, r->signal ? r->signal : SIGTERM);
    }
}

void cel_request_event(struct cel_request *r, enum cel_request_event event)
{
    struct cel_request_step step;

    if (!cel_request_next(r->state, event, &step)) {
        cel_log(CELERY_LOG_CRITICAL, "request %s: event %s in state %s",
                cel_log_safe(r->job.call.id), cel_request_event_name(event),
                cel_request_state_name(r->state));
        return;
    }
    r->state = step.next;
    if (step.actions & CEL_DO_VOID) {
        r->void_tag = true;
    }
    if (step.actions & CEL_DO_START) {
        start(r);
    }
    if (step.actions & CEL_DO_SUBMIT) {
        submit(r);
    } else if (step.actions & CEL_DO_KILL) {
        kill_task(r);
    } else if (step.actions & CEL_DO_REPORT) {
        cel_reporting_start(r);
    } else if (step.actions & CEL_DO_SETTLE) {
        settle(r);
    } else if (step.actions & CEL_DO_RETURN) {
        give_back(r);
    } else if (step.actions & CEL_DO_FREE) {
        request_free(r);
    }
}

static void settle_or_return(struct cel_request *r)
{
    if (r->returned) {
        give_back(r);
    } else {
        settle(r);
    }
}

void cel_requests_resettle(struct celery_worker *w)
{
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->state == CEL_REQ_SETTLING && r->unsettled) {
            r->unsettled = false;
            settle_or_return(r);
        }
    }
}

void cel_requests_event(struct celery_worker *w, enum cel_request_event event)
{
    struct cel_request_step step;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (cel_request_next(r->state, event, &step)) {
            cel_request_event(r, event);
        }
    }
}

void cel_request_end(struct cel_request *r, const struct cel_outcome *outcome)
{
    if (cel_report_keep(r, outcome) < 0) {
        cel_request_event(r, CEL_REQ_RETURNED);
        return;
    }
    cel_request_event(r, CEL_REQ_REVOKED);
}
