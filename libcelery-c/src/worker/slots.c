/* SPDX-License-Identifier: BSD-3-Clause */
/* How much is taken from the broker, and what goes to the pool: prefetch, autoscale, credit. */
#include "worker/slots.h"
#include "base/error.h"
#include "base/log.h"
#include "worker/admit.h"
#include "worker/request.h"

/*
 * At most so many early-acknowledged results may wait for the backend before new tasks do: while
 * it is away, and, if the window is no wider, while it is there but slow.
 */
#define RESULTS_WAITING_MAX 10000
#define RESULTS_SENT_MAX    256

/* ---- prefetch ---- */

static double mean_run_time(const struct celery_worker *w)
{
    double longest = 0;

    for (size_t i = 0; i < w->policy.n_tasks; i++) {
        if (w->policy.tasks[i].average > longest) {
            longest = w->policy.tasks[i].average;
        }
    }
    return longest;
}

/* "auto": about 50 ms of work in hand for each slot, never under 1 nor over 256. */
static double automatic_multiplier(const struct celery_worker *w)
{
    double mean = mean_run_time(w);
    double window = mean > 0 ? 0.05 / mean : 4;

    return window < 1 ? 1 : window > 256 ? 256 : window;
}

void cel_worker_update_prefetch(struct celery_worker *w)
{
    double multiplier =
        w->policy.prefetch_auto ? automatic_multiplier(w) : w->policy.prefetch_multiplier;
    size_t held =
        w->n_held_back < w->policy.eta_limit ? w->n_held_back : w->policy.eta_limit;

    if (multiplier <= 0) {
        cel_link_set_prefetch(w->link, 0);
        return;
    }
    double count = (double)w->policy.concurrency * multiplier;
    cel_link_set_prefetch(w->link, (unsigned)(count < 1 ? 1 : count) + (unsigned)held);
}

/* Tasks that run or could; what is more than there can be slots is not counted. */
static unsigned count_reserved(struct celery_worker *w)
{
    size_t most = w->policy.concurrency;
    size_t reserved = w->n_running;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->ready) {
        if (reserved >= most) {
            break;
        }
        reserved++;
    }
    return (unsigned)(reserved < most ? reserved : most);
}

/* ---- --autoscale ---- */

static void scale(struct celery_worker *w, bool may_shrink)
{
    struct cel_autoscale *a = &w->policy.autoscale;
    double now = cel_loop_now(w->loop);

    if (a->max == 0 || w->shutdown != CEL_SHUTDOWN_NONE) {
        return;
    }
    unsigned slots = cel_autoscale_next(a, count_reserved(w), now, may_shrink);
    if (slots == a->now) {
        return;
    }
    cel_log(CELERY_LOG_INFO, "Scaling %s %u processes.", slots > a->now ? "up" : "down",
            slots > a->now ? slots - a->now : a->now - slots);
    if (w->pool->ops->resize(w->pool, slots) < 0) {
        cel_log(CELERY_LOG_ERROR, "Autoscaler: the pool cannot have %u processes", slots);
        return;
    }
    cel_autoscale_set(a, slots, now);
}

/* celery/worker/autoscale.py register_with_event_loop(). */
static void on_scale(void *ctx)
{
    struct celery_worker *w = ctx;

    scale(w, true);
    cel_source_rearm(w->scale, cel_loop_now(w->loop) + w->policy.autoscale.keepalive);
}

celery_status cel_worker_start_scaling(struct celery_worker *w, celery_error *err)
{
    if (w->policy.autoscale.max == 0) {
        return CELERY_OK;
    }
    return cel_loop_add_timer(w->loop, &w->scale,
                              cel_loop_now(w->loop) + w->policy.autoscale.keepalive,
                              on_scale, w) < 0
               ? cel_error_nomem(err)
               : CELERY_OK;
}

/* ---- worker_disable_prefetch: nothing is taken that could not run at once ---- */

/* celery/worker/consumer/tasks.py can_consume(): slots that no reserved task is meant for. */
static unsigned free_slots(struct celery_worker *w)
{
    return w->policy.concurrency - count_reserved(w);
}

void cel_worker_update_credit(struct celery_worker *w)
{
    if (w->policy.disable_prefetch && !cel_link_set_credit(w->link, free_slots(w))) {
        w->policy.disable_prefetch = false;
        cel_log(CELERY_LOG_WARNING,
                "worker_disable_prefetch is of no effect with the broker %s",
                cel_link_name(w->link));
    }
}

/* ---- from the ready list to the pool ---- */

static size_t most_results(const struct celery_worker *w)
{
    unsigned window = cel_link_prefetch(w->link);

    if (!cel_results_connected(w->results) || window == 0) {
        return RESULTS_WAITING_MAX;
    }
    return window > RESULTS_SENT_MAX ? window : RESULTS_SENT_MAX;
}

static bool may_submit(const struct celery_worker *w)
{
    return cel_results_waiting(w->results) < most_results(w) &&
           w->shutdown == CEL_SHUTDOWN_NONE && w->pool->ops->room(w->pool) > 0;
}

void cel_worker_on_dispatch(void *ctx)
{
    struct celery_worker *w = ctx;
    struct cel_list *it;

    scale(w, false);
    while ((it = cel_list_first(&w->ready)) && may_submit(w)) {
        cel_list_remove(it);
        cel_admit_to_pool(cel_container_of(it, struct cel_request, ready_node));
    }
    if (w->policy.prefetch_auto) {
        cel_worker_update_prefetch(w);
    }
    cel_worker_update_credit(w);
}

void cel_worker_dispatch(struct celery_worker *w)
{
    cel_source_schedule(w->dispatch);
}
