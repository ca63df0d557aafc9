/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker makes exist at its broker. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "message/delayed.h"
#include "worker/link_state.h"

/* ---- purging ---- */

static void start_delayed(struct cel_link *l);

static void on_purged(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_link *l = ctx;

    if (!err) {
        cel_log(CELERY_LOG_WARNING, "purge: Erased %lld message%s from the queues.",
                (long long)answer, answer == 1 ? "" : "s");
    } else if (l->transport) {
        cel_log(CELERY_LOG_ERROR, "purge: %s", err->message);
    }
    if (l->state == LINK_DECLARING && !(err && err->status == CELERY_ECLOSED) &&
        --l->declaring == 0) {
        start_delayed(l);
    }
}

/* What is sent to a worker that says it is ready stays: its queues are empty before. */
static void purge_all(struct cel_link *l)
{
    size_t n = cel_router_count(l->router);

    l->purge = false;
    l->declaring = n;
    for (size_t i = 0; i < n; i++) {
        l->transport->ops->purge(l->transport, cel_router_at(l->router, i)->name,
                                 (struct cel_done){on_purged, l});
    }
}

/* ---- native delayed delivery (celery/worker/consumer/delayed_delivery.py) ---- */

/* Tries on one connection, MAX_RETRIES and RETRY_INTERVAL there. */
enum { DELAYED_TRIES = 4 };

static bool can_delay(const struct cel_link *l)
{
    return l->transport->ops->declare_delayed && cel_router_delays(l->router);
}

static void on_delayed(void *ctx, const celery_error *err, int64_t answer);

static void declare_delayed(void *ctx)
{
    struct cel_link *l = ctx;

    l->transport->ops->declare_delayed(l->transport, l->delayed_type, l->to_delay,
                                       l->n_to_delay, (struct cel_done){on_delayed, l});
}

static void delayed_failed(struct cel_link *l, const celery_error *why)
{
    bool again = celery_error_retriable(why) || why->status == CELERY_EUNCERTAIN;

    cel_log(CELERY_LOG_WARNING, "Failed to setup delayed delivery for %s: %s", l->name,
            why->message);
    if (again && ++l->delayed_tries < DELAYED_TRIES) {
        cel_source_rearm(l->again,
                         cel_loop_now(l->loop) + 2 * (double)l->delayed_tries - 1);
    } else {
        cel_log(
            CELERY_LOG_CRITICAL,
            "Native delayed delivery is not available: tasks with an ETA may not come "
            "to their queues.");
    }
}

/* Tasks run without it, too. */
static void on_delayed(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_link *l = ctx;

    if (err && (l->state == LINK_IDLE || l->state == LINK_CLOSED ||
                err->status == CELERY_ECLOSED)) {
        return; /* lost() follows, or came */
    }
    if (err) {
        delayed_failed(l, err);
    } else {
        for (size_t i = 0; i < l->n_to_delay; i++) {
            cel_map_set(&l->delayed, cel_slice_of(l->to_delay[i].name), l, NULL);
        }
    }
    if (l->state == LINK_DECLARING) {
        cel_link_consume_all(l);
    }
}

static void start_delayed(struct cel_link *l)
{
    if (can_delay(l)) {
        l->delayed_tries = 0;
        declare_delayed(l);
    } else {
        cel_link_consume_all(l);
    }
}

/* Queues of direct exchanges cannot take part, which their owner should know. */
static void choose_delayed(struct cel_link *l)
{
    for (size_t i = 0; i < cel_router_count(l->router); i++) {
        const struct cel_queue *q = cel_router_at(l->router, i);
        if (strcmp(q->exchange_type, "direct") != 0) {
            l->to_delay[l->n_to_delay++] = *q;
            continue;
        }
        char text[300];
        cel_delayed_direct_text(q->exchange, text, sizeof text);
        cel_log(CELERY_LOG_WARNING, "%s", text);
    }
}

celery_status cel_link_declare_init(struct cel_link *l, const struct cel_config *config,
                                    celery_error *err)
{
    const char *type =
        cel_config_text(config, "broker_native_delayed_delivery_queue_type");

    l->delayed_type = type && *type ? type : "quorum";
    if (!can_delay(l)) {
        return CELERY_OK;
    }
    l->to_delay = cel_calloc(cel_router_count(l->router) + 1, sizeof *l->to_delay);
    if (!l->to_delay) {
        return cel_error_nomem(err);
    }
    choose_delayed(l);
    celery_status status = cel_loop_add_timer(l->loop, &l->again, 0, declare_delayed, l);
    if (status < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(l->again);
    return CELERY_OK;
}

void cel_link_declare_fini(struct cel_link *l)
{
    cel_link_declare_void(l);
    cel_source_free(l->again);
    cel_free(l->to_delay);
}

void cel_link_declare_void(struct cel_link *l)
{
    cel_map_fini(&l->declared);
    cel_map_fini(&l->delayed);
    if (l->again) {
        cel_source_disarm(l->again);
    }
}

/* ---- queues ---- */

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_link *l = ctx;

    if (l->state != LINK_DECLARING) {
        return;
    }
    if (err) {
        celery_error why = *err;
        l->state = LINK_IDLE; /* the answers to the others do not matter */
        l->transport->ops->close(l->transport);
        cel_link_connect_later(l, &why);
        return;
    }
    if (--l->declaring == 0) {
        if (l->purge && l->transport->ops->purge) {
            purge_all(l);
        } else {
            start_delayed(l);
        }
    }
}

static void declare(struct cel_link *l, const struct cel_queue *q, struct cel_done done)
{
    cel_map_set(&l->declared, cel_slice_of(q->name), l, NULL);
    l->transport->ops->declare(l->transport, q, done);
}

/* Tasks run without it: what is wrong with it is said and no more. */
static void on_subscribed(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_subscription *s = ctx;
    struct cel_transport *t = s->link->transport;
    celery_error why = {0};

    if (err && err->status != CELERY_ECLOSED) {
        cel_log(CELERY_LOG_ERROR, "%s: %s", s->what, err->message);
    } else if (!err && t->ops->consume(t, s->queue->name, &why) < 0) {
        cel_log(CELERY_LOG_ERROR, "%s: %s", s->what, why.message);
    }
}

void cel_link_open(struct cel_subscription *s)
{
    struct cel_transport *t = s->link->transport;

    t->ops->declare(t, s->queue, (struct cel_done){on_subscribed, s});
}

void cel_link_declare_all(struct cel_link *l)
{
    size_t n = cel_router_count(l->router);
    struct cel_list *it, *tmp;

    l->state = LINK_DECLARING;
    l->declaring = n;
    cel_link_declare_void(l);
    cel_list_foreach(it, tmp, &l->subscriptions) {
        struct cel_subscription *s = cel_container_of(it, struct cel_subscription, node);

        if (!s->on_demand) {
            cel_link_open(s);
        }
    }
    for (size_t i = 0; i < n && l->state == LINK_DECLARING; i++) {
        declare(l, cel_router_at(l->router, i), (struct cel_done){on_declared, l});
    }
}

static void on_queue_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_link *l = ctx;

    if (err) {
        cel_log(CELERY_LOG_ERROR, "A queue could not be declared: %s", err->message);
        cel_map_fini(&l->declared); /* the next message tries again */
    }
}

static void on_queue_delayed(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_link *l = ctx;

    if (err && err->status != CELERY_ECLOSED) {
        cel_log(CELERY_LOG_ERROR, "Failed to setup delayed delivery: %s", err->message);
        cel_map_fini(&l->delayed);
    }
}

/*
 * Once for each connection, before the first message; the broker keeps their order.  What is
 * delayed would be dropped at the end of its wait if nothing was bound for it: upstream
 * leaves that to the workers of the queue.
 */
void cel_link_declare_for(struct cel_link *l, const struct cel_publish *p)
{
    const struct cel_queue *queue = p->queue;

    if (!queue) {
        return;
    }
    if (!cel_map_get(&l->declared, cel_slice_of(queue->name))) {
        declare(l, queue, (struct cel_done){on_queue_declared, l});
    }
    if (strcmp(p->exchange, CEL_DELAYED_ENTRY) == 0 && can_delay(l) &&
        !cel_map_get(&l->delayed, cel_slice_of(queue->name))) {
        cel_map_set(&l->delayed, cel_slice_of(queue->name), l, NULL);
        l->transport->ops->declare_delayed(l->transport, l->delayed_type, queue, 1,
                                           (struct cel_done){on_queue_delayed, l});
    }
}

/* ---- one more queue while the worker runs ---- */

struct addition {
    struct cel_link *link;
    const struct cel_queue *queue;
};

static void on_added(void *ctx, const celery_error *err, int64_t answer)
{
    struct addition *a = ctx;
    struct cel_link *l = a->link;
    celery_error why = {0};

    if (!err && l->state == LINK_CONSUMING &&
        l->transport->ops->consume(l->transport, a->queue->name, &why) < 0) {
        err = &why;
    }
    if (err && err->status != CELERY_ECLOSED) {
        cel_log(CELERY_LOG_ERROR, "Queue %s cannot be consumed: %s",
                cel_log_safe(cel_slice_of(a->queue->name)), err->message);
    }
    cel_free(a);
}

void cel_link_consume(struct cel_link *l, const struct cel_queue *queue)
{
    struct addition *a = cel_alloc(sizeof *a);

    if (l->state == LINK_DECLARING) {
        l->declaring++;
        declare(l, queue, (struct cel_done){on_declared, l});
    } else if (a && l->state == LINK_CONSUMING) {
        *a = (struct addition){l, queue};
        declare(l, queue, (struct cel_done){on_added, a});
        return;
    }
    cel_free(a);
}
