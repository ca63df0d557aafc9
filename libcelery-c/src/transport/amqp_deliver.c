/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_deliver.h"
#include "transport/amqp_copy.h"
#include "transport/amqp_hold.h"
#include "transport/amqp_settle.h"
#include "transport/amqp_share.h"
#include <stdio.h>

/* The tag of what is settled already: the hold never gives it. */
#define SETTLED UINT64_MAX

static void broadcast(struct cel_amqp_transport *a, struct cel_envelope *give_envelope,
                      const celery_error *malformed)
{
    char exchange[256];

    if (malformed) {
        cel_envelope_free(give_envelope); /* a broadcast is nobody's to keep */
        return;
    }
    snprintf(exchange, sizeof exchange, "%.*s", (int)give_envelope->exchange.len,
             give_envelope->exchange.data);
    a->base.events->broadcast(a->base.events_ctx, exchange, give_envelope->routing_key,
                              give_envelope);
}

static int64_t header(const struct cel_envelope *env, const char *name)
{
    return cel_node_int(cel_envelope_header(env, cel_slice_of(name)), 0);
}

/*
 * How often a message of a quorum queue came back.  Senders can write these headers, too, but
 * the broker's is the broker's when it says that it delivers again.
 */
static int64_t deliveries(const struct cel_envelope *env, bool again)
{
    int64_t before = header(env, CEL_AMQP_DELIVERIES);
    int64_t count = again ? header(env, CEL_AMQP_DELIVERY_COUNT) : 0;

    return before < 0 || before > INT32_MAX || count < 0 || count > INT32_MAX
               ? 0
               : before + count;
}

/* Ours to settle.  False: no memory to remember it. */
static bool hold(struct cel_amqp_consumer *c, const struct cel_amqp_method *deliver,
                 const celery_error *malformed, struct cel_delivery *d)
{
    struct cel_envelope *env = d->envelope;
    struct cel_amqp_held *h = cel_amqp_hold_add(c->a, deliver->tag, &d->tag);

    if (!h) {
        return false;
    }
    h->queue = c->queue;
    h->consumer = c;
    c->queue->held++;
    if (++c->held >= c->count) {
        cel_amqp_share_needed(c->a);
    }
    h->envelope = env;
    h->redelivered = d->redelivered;
    h->cut = malformed && malformed->status == CELERY_ELIMIT;
    h->starts = d->redelivered ? header(env, CEL_AMQP_STARTS) : 0;
    if (d->redelivered && cel_queue_is_quorum(&c->queue->def)) {
        h->deliveries = deliveries(env, deliver->bits & CEL_AMQP_REDELIVERED);
    }
    return true;
}

void cel_amqp_deliver(void *ctx, const struct cel_amqp_method *deliver,
                      struct cel_envelope *give_envelope, const celery_error *malformed)
{
    struct cel_amqp_transport *a = ctx;
    struct cel_amqp_consumer *c = cel_amqp_find_consumer(a, deliver->consumer_tag);
    struct cel_delivery d = {.envelope = give_envelope, .tag = SETTLED};

    if (!c || (c->silent && !c->no_ack)) {
        cel_envelope_free(give_envelope);
        cel_amqp_tell_reject(a, deliver->tag, true);
        return;
    }
    if (c->nest) {
        cel_amqp_nest_arrived(a, deliver->tag, give_envelope);
        return;
    }
    if (c->broadcasts) {
        broadcast(a, give_envelope, malformed);
        return;
    }
    d.redelivered =
        (deliver->bits & CEL_AMQP_REDELIVERED) ||
        cel_node_bool(cel_envelope_header(give_envelope, CEL_SLICE("redelivered")),
                      false);
    give_envelope->redelivered = d.redelivered;
    if (!c->no_ack && !hold(c, deliver, malformed, &d)) {
        cel_envelope_free(give_envelope);
        cel_amqp_tell_reject(a, deliver->tag, true);
        return;
    }
    d.queue = c->queue->name;
    if (malformed) {
        d.malformed = true;
        snprintf(d.why, sizeof d.why, "%.119s", malformed->message);
    }
    a->base.events->delivered(a->base.events_ctx, &d);
}
