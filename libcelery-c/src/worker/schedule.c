/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/schedule.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

/* Token bucket of capacity 1 (kombu/utils/limits.py): no bursts; waiting ones in order. */
struct cel_bucket {
    struct celery_worker *w;
    struct cel_list waiting; /* struct cel_request by ready_node */
    struct cel_source *timer;
    size_t n_waiting;
    double interval; /* seconds between two starts */
    double next;     /* loop time of the next token */
};

static void make_ready(struct cel_request *r)
{
    r->state = CEL_REQ_READY;
    cel_list_append(&r->w->ready, &r->ready_node);
    cel_worker_dispatch(r->w);
}

/* ---- what is held back, and how much of it ---- */

static void hold_back(struct cel_request *r)
{
    if (!r->held_back) {
        r->held_back = true;
        r->w->n_held_back++;
        cel_worker_update_prefetch(r->w);
    }
}

static void let_go(struct cel_request *r)
{
    struct celery_worker *w = r->w;

    cel_heap_remove(&w->etas, &r->eta_node);
    cel_heap_remove(&w->late_etas, &r->late_node);
    if (r->bucket) {
        r->bucket->n_waiting--;
        r->bucket = NULL;
    }
    cel_list_remove(&r->ready_node);
    if (r->held_back) {
        r->held_back = false;
        w->n_held_back--;
        if (w->link) { /* not at the very end */
            cel_worker_update_prefetch(w);
        }
    }
}

/* Each of them widens the window of unsettled messages by one, so the number has a bound. */
static bool is_full(struct celery_worker *w)
{
    return w->n_held_back >= w->policy.eta_limit &&
           cel_link_transport(w->link)->ops->defer;
}

/* Not worth memory now: the broker keeps it until then. */
static void defer(struct cel_request *r, double until)
{
    r->state = CEL_REQ_WAITING;
    r->defer_until = until;
    cel_request_event(r, CEL_REQ_RETURNED);
}

/* ---- rate limits ---- */

static void on_token(void *ctx)
{
    struct cel_bucket *b = ctx;
    double now = cel_loop_now(b->w->loop);
    struct cel_list *it = cel_list_first(&b->waiting);

    if (!it) {
        return;
    }
    struct cel_request *r = cel_container_of(it, struct cel_request, ready_node);
    let_go(r);
    b->next = now + b->interval;
    if (!cel_list_empty(&b->waiting)) {
        cel_source_rearm(b->timer, b->next);
    }
    cel_list_append(&b->w->ready, &r->ready_node);
    cel_request_event(r, CEL_REQ_DUE);
    cel_worker_dispatch(b->w);
}

static void wait_for_token(struct cel_bucket *b, struct cel_request *r)
{
    double now = cel_loop_now(b->w->loop);
    double next = b->next > now ? b->next : now;

    if (is_full(r->w)) {
        defer(r, cel_clock_wall() + next - now + (double)b->n_waiting * b->interval);
        return;
    }
    r->state = CEL_REQ_WAITING;
    r->bucket = b;
    cel_list_append(&b->waiting, &r->ready_node);
    if (b->n_waiting++ == 0) {
        cel_source_rearm(b->timer, next);
    }
    hold_back(r);
}

static void limit_or_ready(struct cel_request *r)
{
    struct cel_bucket *b = r->job.task ? r->w->buckets[r->job.task->index] : NULL;

    if (b) {
        wait_for_token(b, r);
    } else {
        make_ready(r);
    }
}

/* ---- ETA ---- */

static void arm_eta(struct celery_worker *w)
{
    struct cel_heap_node *first = cel_heap_first(&w->etas);

    if (!first) {
        cel_source_disarm(w->eta_timer);
        return;
    }
    /* The heap is in wall time; look again at least every minute, clocks may be set. */
    double wait = first->key - cel_clock_wall();
    wait = wait < 0 ? 0 : wait > 60 ? 60 : wait;
    cel_source_rearm(w->eta_timer, cel_loop_now(w->loop) + wait);
}

static void on_eta(void *ctx)
{
    struct celery_worker *w = ctx;
    double now = cel_clock_wall();
    struct cel_heap_node *first;

    while ((first = cel_heap_first(&w->etas)) && first->key <= now) {
        struct cel_request *r = cel_container_of(first, struct cel_request, eta_node);

        let_go(r);
        limit_or_ready(r);
    }
    arm_eta(w);
}

/* Makes room for one with that ETA: the latest gives way.  False: that one is the latest. */
static bool make_room(struct celery_worker *w, double eta)
{
    struct cel_heap_node *last = cel_heap_first(&w->late_etas);

    if (!is_full(w)) {
        return true;
    }
    if (!last || -last->key <= eta) {
        return false;
    }
    struct cel_request *r = cel_container_of(last, struct cel_request, late_node);
    let_go(r);
    defer(r, -last->key);
    return true;
}

void cel_schedule_add(struct cel_request *r)
{
    struct celery_worker *w = r->w;
    double eta = (double)r->job.call.eta_us / 1e6;

    if (r->job.call.eta_us == INT64_MIN) {
        limit_or_ready(r);
        return;
    }
    if (!make_room(w, eta)) {
        defer(r, eta);
        return;
    }
    r->state = CEL_REQ_WAITING;
    if (cel_heap_add(&w->etas, &r->eta_node, eta) < 0 ||
        cel_heap_add(&w->late_etas, &r->late_node, -eta) < 0) {
        cel_request_event(r, CEL_REQ_RETURNED);
        return;
    }
    hold_back(r);
    arm_eta(w);
}

void cel_schedule_remove(struct cel_request *r)
{
    let_go(r);
}

/* ---- life ---- */

static celery_status add_bucket(struct celery_worker *w, uint32_t index)
{
    struct cel_bucket *b = cel_calloc(1, sizeof *b);
    celery_status status = b ? CELERY_OK : CELERY_ENOMEM;

    if (b) {
        b->w = w;
        cel_list_init(&b->waiting);
        status = cel_loop_add_timer(w->loop, &b->timer, 0, on_token, b);
    }
    if (status < 0) {
        cel_free(b);
        return status;
    }
    cel_source_disarm(b->timer);
    w->buckets[index] = b;
    return CELERY_OK;
}

static void remove_bucket(struct celery_worker *w, uint32_t index)
{
    struct cel_bucket *b = w->buckets[index];
    struct cel_list *it;

    w->buckets[index] = NULL;
    while ((it = cel_list_first(&b->waiting))) {
        struct cel_request *r = cel_container_of(it, struct cel_request, ready_node);

        let_go(r);
        make_ready(r);
    }
    cel_source_free(b->timer);
    cel_free(b);
}

celery_status cel_schedule_set_rate(struct celery_worker *w, uint32_t index, double rate)
{
    double now = cel_loop_now(w->loop);

    w->policy.tasks[index].rate = rate;
    if (rate <= 0) {
        if (w->buckets[index]) {
            remove_bucket(w, index);
        }
        return CELERY_OK;
    }
    if (!w->buckets[index] && add_bucket(w, index) < 0) {
        return CELERY_ENOMEM;
    }
    struct cel_bucket *b = w->buckets[index];
    b->interval = 1 / rate;
    b->next = b->next > now + b->interval ? now + b->interval : b->next;
    if (!cel_list_empty(&b->waiting)) {
        cel_source_rearm(b->timer, b->next > now ? b->next : now);
    }
    return CELERY_OK;
}

celery_status cel_schedule_init(struct celery_worker *w, celery_error *err)
{
    w->buckets = cel_calloc(w->policy.n_tasks + 1, sizeof *w->buckets);
    if (!w->buckets) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < w->policy.n_tasks; i++) {
        double rate = w->policy.tasks[i].rate;

        if (rate > 0 && cel_schedule_set_rate(w, (uint32_t)i, rate) < 0) {
            return cel_error_nomem(err);
        }
    }
    celery_status status = cel_loop_add_timer(w->loop, &w->eta_timer, 0, on_eta, w);
    if (status < 0) {
        return cel_error_set(err, status, "ETA timer");
    }
    cel_source_disarm(w->eta_timer);
    return CELERY_OK;
}

void cel_schedule_fini(struct celery_worker *w)
{
    for (size_t i = 0; w->buckets && i < w->policy.n_tasks; i++) {
        if (w->buckets[i]) {
            cel_source_free(w->buckets[i]->timer);
            cel_free(w->buckets[i]);
        }
    }
    cel_free(w->buckets);
    w->buckets = NULL;
    w->eta_timer = cel_source_free(w->eta_timer);
    cel_heap_fini(&w->etas);
    cel_heap_fini(&w->late_etas);
}
