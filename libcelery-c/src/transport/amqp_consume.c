/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_consume.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "net/backoff.h"
#include "transport/amqp_declare.h"
#include "transport/amqp_deliver.h"
#include "transport/amqp_hold.h"
#include "transport/amqp_settle.h"
#include "transport/amqp_share.h"
#include <stdio.h>

enum { MAX_TRIES = 8 };

/* Seconds without trouble that forgive what went before. */
#define STABLE 10.0

/* ---- consumers ---- */

/* Another one of its queue takes its place, if there is one. */
static void step_back(struct cel_amqp_transport *a, struct cel_amqp_consumer *c)
{
    struct cel_amqp_queue *q = c->queue;
    struct cel_list *it, *tmp;

    if (q->consumer != c) {
        return;
    }
    q->consumer = NULL;
    cel_list_foreach(it, tmp, &a->consuming.consumers) {
        struct cel_amqp_consumer *other =
            cel_container_of(it, struct cel_amqp_consumer, node);

        if (other != c && other->queue == q && !other->nest && !other->cancelling &&
            !other->silent) {
            q->consumer = other;
        }
    }
}

static void free_consumer(struct cel_amqp_transport *a, struct cel_amqp_consumer *c)
{
    if (a->consuming.latest == c) {
        a->consuming.latest = NULL;
    }
    step_back(a, c);
    cel_list_remove(&c->node);
    c->ended = true;
    if (c->held == 0) {
        cel_free(c);
    }
}

void cel_amqp_let_go(struct cel_amqp_held *h)
{
    struct cel_amqp_consumer *c = h->consumer;

    h->consumer = NULL;
    if (c && --c->held == 0 && c->ended) {
        cel_free(c);
    }
}

struct cel_amqp_consumer *cel_amqp_find_consumer(struct cel_amqp_transport *a,
                                                 struct cel_slice tag)
{
    struct cel_amqp_consumer *latest = a->consuming.latest;
    struct cel_list *it, *tmp;

    if (latest && cel_slice_is(tag, latest->tag)) {
        return latest;
    }
    cel_list_foreach(it, tmp, &a->consuming.consumers) {
        struct cel_amqp_consumer *c =
            cel_container_of(it, struct cel_amqp_consumer, node);

        if (cel_slice_is(tag, c->tag)) {
            a->consuming.latest = c;
            return c;
        }
    }
    return NULL;
}

static struct cel_amqp_consumer *new_consumer(struct cel_amqp_transport *a,
                                              struct cel_amqp_queue *q)
{
    struct cel_amqp_consumer *c = cel_calloc(1, sizeof *c);

    if (c) {
        c->a = a;
        c->queue = q;
        snprintf(c->tag, sizeof c->tag, "celery-c-%u", ++a->consuming.numbers);
        cel_list_append(&a->consuming.consumers, &c->node);
    }
    return c;
}

static void on_cancelled_by_us(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_amqp_consumer *c = ctx;

    struct cel_amqp_transport *a = c->a;

    if (!err) {
        free_consumer(a, c);
        cel_amqp_share_later(a);
    }
}

void cel_amqp_end_consumer(struct cel_amqp_transport *a, struct cel_amqp_consumer *c)
{
    const struct cel_amqp_method m = {
        .id = CEL_AMQP_BASIC_CANCEL,
        .consumer_tag = cel_slice_of(c->tag),
    };

    step_back(a, c);
    c->cancelling = true;
    cel_amqp_call(a->consuming.channel, &m, (struct cel_done){on_cancelled_by_us, c});
}

static void on_consumed(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_amqp_consumer *c = ctx;
    struct cel_amqp_transport *a = c->a;
    struct cel_amqp_queue *q = c->queue;

    c->starting = false;
    if (c->nest) {
        celery_error why = err ? *err : (celery_error){0};

        if (err) {
            free_consumer(a, c);
        }
        cel_amqp_nest_opened(a, q, err ? &why : NULL);
        return;
    }
    if (err) { /* the channel was closed because of it: on_channel_closed() follows */
        a->consuming.failure = *err;
        return;
    }
    if (a->base.events->listening) {
        a->base.events->listening(a->base.events_ctx, q->name);
    }
}

static void send_consume(struct cel_amqp_transport *a, struct cel_amqp_consumer *c,
                         const char *queue)
{
    const struct cel_amqp_method qos = {.id = CEL_AMQP_BASIC_QOS, .count = c->count};
    const struct cel_amqp_method consume = {
        .id = CEL_AMQP_BASIC_CONSUME,
        .queue = cel_slice_of(queue),
        .consumer_tag = cel_slice_of(c->tag),
        .bits = c->no_ack ? CEL_AMQP_NO_ACK : 0u,
        .table = c->nest ? NULL : c->queue->def.consumer_arguments,
    };

    c->starting = true;
    cel_amqp_call(a->consuming.channel, &qos, (struct cel_done){0});
    cel_amqp_call(a->consuming.channel, &consume, (struct cel_done){on_consumed, c});
}

bool cel_amqp_start_consumer(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                             unsigned count)
{
    struct cel_amqp_consumer *c = new_consumer(a, q);

    if (!c) {
        return false;
    }
    c->count = count;
    c->broadcasts = q->fanout && q->def.no_ack && a->base.events->broadcast;
    c->no_ack = q->def.no_ack;
    q->consumer = c;
    send_consume(a, c, q->name);
    return true;
}

static bool begin(struct cel_amqp_transport *a, struct cel_amqp_queue *q)
{
    return a->consuming.channel &&
           cel_amqp_start_consumer(a, q, cel_amqp_first_share(a, q));
}

void cel_amqp_consume_nest(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                           const char *name)
{
    struct cel_amqp_consumer *c = a->consuming.channel ? new_consumer(a, q) : NULL;
    celery_error err = {0};

    if (!c) {
        cel_error_set(&err, CELERY_ECLOSED, "no channel for it");
        cel_amqp_nest_opened(a, q, &err);
        return;
    }
    c->nest = true;
    send_consume(a, c, name);
}

celery_status cel_amqp_set_prefetch(struct cel_transport *t, unsigned count)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);

    a->consuming.prefetch = count;
    cel_amqp_share_later(a);
    return CELERY_OK;
}

/* ---- consuming again ---- */

static void give_up(struct cel_amqp_transport *a, const celery_error *why)
{
    celery_error copy = *why;

    if (copy.status == CELERY_OK) {
        cel_error_set(&copy, CELERY_ECLOSED, "consumers could not be started again");
    }
    cel_amqp_abandon(a, &copy);
}

static void consume_later(struct cel_amqp_transport *a)
{
    double now = cel_loop_now(a->base.loop), wait;

    if (now - a->consuming.tried_at > STABLE) {
        a->consuming.tries = 0;
    }
    a->consuming.tried_at = now;
    if (a->consuming.tries >= MAX_TRIES) {
        give_up(a, &a->consuming.failure);
        return;
    }
    wait = a->consuming.tries == 0
               ? 0
               : cel_random_double() * 0.05 * (double)(1u << a->consuming.tries);
    a->consuming.tries++;
    a->consuming.retrying = true;
    cel_source_rearm(a->consuming.retry, now + wait);
}

struct restoring {
    struct cel_amqp_transport *a;
    struct cel_amqp_queue *queue;
};

static void on_restored(void *ctx, const celery_error *err, int64_t answer)
{
    struct restoring r = *(struct restoring *)ctx;

    cel_free(ctx);
    r.queue->restoring = false;
    if (!r.a->connected || !r.queue->wanted || r.queue->consumer) {
        return;
    }
    if (err) {
        r.a->consuming.failure = *err;
        consume_later(r.a);
    } else if (!begin(r.a, r.queue)) {
        consume_later(r.a);
    }
}

static void restore(struct cel_amqp_transport *a, struct cel_amqp_queue *q)
{
    struct restoring *r = cel_alloc(sizeof *r);

    if (!r) {
        consume_later(a);
        return;
    }
    *r = (struct restoring){a, q};
    q->restoring = true;
    cel_amqp_redeclare(a, q, (struct cel_done){on_restored, r});
}

static celery_status open_channel(struct cel_amqp_transport *a, celery_error *err);

static void consume_again(struct cel_amqp_transport *a)
{
    struct cel_list *it, *tmp;
    celery_error err = {0};

    if (!a->connected) {
        return;
    }
    if (!a->consuming.channel && open_channel(a, &err) < 0) {
        give_up(a, &err);
        return;
    }
    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        if (q->wanted && !q->consumer && !q->restoring) {
            restore(a, q);
        }
    }
}

static void on_retry(void *ctx)
{
    struct cel_amqp_transport *a = ctx;

    a->consuming.retrying = false;
    consume_again(a);
}

/* ---- events of the channel ---- */

static void drop_consumers(struct cel_amqp_transport *a)
{
    struct cel_list *first;

    while ((first = cel_list_first(&a->consuming.consumers)) != NULL) {
        free_consumer(a, cel_container_of(first, struct cel_amqp_consumer, node));
    }
}

/* "... on channel 2 timed out. Timeout value used: 4000 ms.": what nobody had told us. */
static void learn_timeout(struct cel_amqp_transport *a, const celery_error *why)
{
    static const char before[] = "Timeout value used: ";
    const char *at = strstr(why->message, before);
    size_t len = at ? strspn(at + sizeof before - 1, "0123456789") : 0;
    int64_t ms;

    if (len > 0 && cel_slice_to_int(cel_slice(at + sizeof before - 1, len), &ms) &&
        ms > 0) {
        a->set.consumer_timeout = (double)ms / 1000;
        cel_amqp_hold_start(a); /* look at it soon */
    }
}

static void on_channel_closed(void *ctx, const celery_error *why)
{
    struct cel_amqp_transport *a = ctx;
    unsigned connects = a->connects;

    cel_log(CELERY_LOG_WARNING,
            "consumer: the broker closed the channel: %s.  Messages that were "
            "unacknowledged go back to their queues, and consuming begins again",
            why->message);
    learn_timeout(a, why);
    a->consuming.failure = *why;
    a->consuming.channel = cel_amqp_channel_free(a->consuming.channel);
    drop_consumers(a);
    cel_amqp_settle_void(a, true);
    if (a->connects == connects && a->connected) {
        consume_later(a);
    }
}

/* What came from there is settled with nobody, but what goes back needs a queue. */
static void mark_orphans(struct cel_amqp_transport *a, const struct cel_amqp_queue *q)
{
    struct cel_amqp_held *h;
    uint64_t tag;

    for (size_t at = 0; (h = cel_hold_next(&a->hold, &at, &tag)) != NULL;) {
        h->orphan = h->orphan || (h->queue == q && !h->nested);
    }
}

static void on_cancelled(void *ctx, struct cel_slice consumer_tag)
{
    struct cel_amqp_transport *a = ctx;
    struct cel_amqp_consumer *c = cel_amqp_find_consumer(a, consumer_tag);
    struct cel_amqp_queue *q;
    bool nest;

    if (!c || c->cancelling) {
        return;
    }
    q = c->queue;
    nest = c->nest;
    free_consumer(a, c);
    if (nest) {
        q->nest = CEL_AMQP_NEST_NONE;
        return;
    }
    cel_log(CELERY_LOG_WARNING,
            "consumer: queue %s was deleted, or is not available: it is declared and "
            "consumed from again",
            q->name);
    while (q->consumer) {
        cel_amqp_end_consumer(a, q->consumer);
    }
    mark_orphans(a, q);
    cel_amqp_forget_declared(q);
    if (q->wanted) {
        cel_error_set(&a->consuming.failure, CELERY_ECLOSED,
                      "the broker ends the consumer of %s", q->name);
        consume_later(a);
    }
}

static const struct cel_amqp_channel_events events = {
    .delivered = cel_amqp_deliver,
    .cancelled = on_cancelled,
    .closed = on_channel_closed,
};

static celery_status open_channel(struct cel_amqp_transport *a, celery_error *err)
{
    struct cel_loop *loop = a->base.loop;

    if (!a->consuming.change) {
        if (cel_loop_add_timer(loop, &a->consuming.change, 0, cel_amqp_share, a) < 0) {
            return cel_error_nomem(err);
        }
        cel_source_disarm(a->consuming.change);
    }
    if (!a->consuming.retry) {
        if (cel_loop_add_timer(loop, &a->consuming.retry, 0, on_retry, a) < 0) {
            return cel_error_nomem(err);
        }
        cel_source_disarm(a->consuming.retry);
    }
    return cel_amqp_channel_open(a->conn, &events, a, &a->consuming.channel, err);
}

/* ---- the interface ---- */

static void check_notices(struct cel_amqp_transport *a)
{
    const struct cel_amqp_server *s = cel_amqp_conn_server(a->conn);

    if (!s->cancel_notify && !a->consuming.warned) {
        a->consuming.warned = true;
        cel_log(
            CELERY_LOG_WARNING,
            "The broker (%s %s) has no consumer_cancel_notify: when a queue is deleted "
            "nothing more comes from it until the worker connects again",
            s->product, s->version);
    }
}

celery_status cel_amqp_consume(struct cel_transport *t, const char *queue,
                               celery_error *err)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_queue *q;

    if (!a->connected) {
        return cel_error_set(err, CELERY_ECLOSED, "not connected to the broker");
    }
    q = cel_amqp_find_queue(a, queue);
    if (!q) {
        return cel_error_nomem(err);
    }
    q->wanted = true;
    check_notices(a);
    if (!a->consuming.channel && !a->consuming.retrying) {
        celery_status status = open_channel(a, err);

        if (status < 0) {
            return status;
        }
    }
    a->consuming.asked = true;
    cel_source_schedule(a->flush);
    return CELERY_OK;
}

void cel_amqp_consume_flush(struct cel_amqp_transport *a)
{
    struct cel_list *it, *tmp;

    if (!a->consuming.asked) {
        return;
    }
    a->consuming.asked = false;
    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        if (q->wanted && !q->consumer && !q->restoring && a->consuming.channel &&
            !begin(a, q)) {
            consume_later(a);
            return;
        }
    }
}

celery_status cel_amqp_cancel(struct cel_transport *t, const char *queue,
                              celery_error *err)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_queue *q = cel_amqp_known_queue(a, cel_slice_of(queue));
    struct cel_list *it, *tmp;

    if (!q || !q->wanted) {
        return CELERY_OK;
    }
    q->wanted = false;
    cel_list_foreach(it, tmp, &a->consuming.consumers) {
        struct cel_amqp_consumer *c =
            cel_container_of(it, struct cel_amqp_consumer, node);

        if (c->queue == q && !c->nest) {
            c->silent = true;
            if (!c->cancelling) {
                cel_amqp_end_consumer(a, c);
            }
        }
    }
    return CELERY_OK;
}

void cel_amqp_consume_reset(struct cel_amqp_transport *a)
{
    struct cel_list *it, *tmp;

    a->consuming.channel = NULL;
    a->consuming.tries = 0;
    a->consuming.retrying = false;
    a->consuming.changed_at = 0;
    if (a->consuming.change) {
        cel_source_disarm(a->consuming.change);
    }
    if (a->consuming.retry) {
        cel_source_disarm(a->consuming.retry);
    }
    drop_consumers(a);
    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        q->wanted = q->restoring = false;
        cel_amqp_forget_declared(q);
    }
}

void cel_amqp_consume_fini(struct cel_amqp_transport *a)
{
    a->consuming.change = cel_source_free(a->consuming.change);
    a->consuming.retry = cel_source_free(a->consuming.retry);
}
