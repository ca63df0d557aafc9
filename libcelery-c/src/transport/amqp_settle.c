/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_settle.h"
#include "base/alloc.h"
#include "transport/amqp_consume.h"
#include "transport/amqp_hold.h"
#include "transport/amqp_move.h"

/* ---- records ---- */

static void unlink_record(struct cel_amqp_transport *a, struct cel_amqp_held *h)
{
    struct cel_amqp_settling *s = &a->settling;
    struct cel_amqp_held *prev = cel_hold_get(&a->hold, h->prev);
    struct cel_amqp_held *next = cel_hold_get(&a->hold, h->next);

    *(prev ? &prev->next : &s->first) = h->next;
    *(next ? &next->prev : &s->last) = h->prev;
    h->prev = h->next = 0;
}

static void append_record(struct cel_amqp_transport *a, struct cel_amqp_held *h,
                          uint64_t tag)
{
    struct cel_amqp_settling *s = &a->settling;
    struct cel_amqp_held *last = cel_hold_get(&a->hold, s->last);

    h->prev = s->last;
    h->next = 0;
    *(last ? &last->next : &s->first) = tag;
    s->last = tag;
}

struct cel_amqp_held *cel_amqp_hold_add(struct cel_amqp_transport *a, uint64_t broker_tag,
                                        uint64_t *ret_tag)
{
    struct cel_amqp_held *h = cel_hold_add(&a->hold, ret_tag);

    if (h) {
        h->broker_tag = broker_tag;
        h->since = cel_loop_now(a->base.loop);
        append_record(a, h, *ret_tag);
    }
    return h;
}

void cel_amqp_hold_retag(struct cel_amqp_transport *a, uint64_t tag, uint64_t broker_tag)
{
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);

    unlink_record(a, h);
    append_record(a, h, tag);
    h->broker_tag = broker_tag;
    h->since = cel_loop_now(a->base.loop);
}

void cel_amqp_hold_drop(struct cel_amqp_transport *a, uint64_t tag)
{
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);

    if (h) {
        unlink_record(a, h);
        cel_amqp_let_go(h);
        if (h->queue) {
            h->queue->held--;
        }
        cel_hold_remove(&a->hold, tag);
    }
}

void cel_amqp_tell_ack(struct cel_amqp_transport *a, uint64_t broker_tag, bool multiple)
{
    const struct cel_amqp_method m = {
        .id = CEL_AMQP_BASIC_ACK,
        .tag = broker_tag,
        .bits = multiple ? CEL_AMQP_MULTIPLE : 0u,
    };

    if (a->consuming.channel) {
        cel_amqp_tell(a->consuming.channel, &m);
    }
}

void cel_amqp_tell_reject(struct cel_amqp_transport *a, uint64_t broker_tag, bool requeue)
{
    const struct cel_amqp_method m = {
        .id = CEL_AMQP_BASIC_REJECT,
        .tag = broker_tag,
        .bits = requeue ? CEL_AMQP_REQUEUE : 0u,
    };

    if (a->consuming.channel) {
        cel_amqp_tell(a->consuming.channel, &m);
    }
}

/* ---- acknowledging ---- */

static bool grow(struct cel_amqp_settling *s)
{
    size_t cap = s->cap_acks ? s->cap_acks * 2 : 64;
    struct cel_amqp_ack *acks = cel_realloc(s->acks, cap, sizeof *acks);

    if (!acks) {
        return false;
    }
    s->acks = acks;
    s->cap_acks = cap;
    return true;
}

/*
 * The record, if it may be settled now.  NULL: done is called, now, or when a copy of the message
 * has become it and it was settled as what says.
 */
static struct cel_amqp_held *settleable(struct cel_amqp_transport *a,
                                        const struct cel_amqp_later *what,
                                        struct cel_done done)
{
    struct cel_amqp_held *h;

    if (cel_amqp_is_closed(a, done)) {
        return NULL;
    }
    h = cel_hold_get(&a->hold, what->tag);
    if (h && h->state == CEL_AMQP_HELD) {
        return h;
    }
    if (h && h->state == CEL_AMQP_NESTING) {
        cel_amqp_later(a, what, done);
    } else {
        cel_done(done, NULL, 0);
    }
    return NULL;
}

void cel_amqp_ack(struct cel_transport *t, uint64_t tag, struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_settling *s = &a->settling;
    const struct cel_amqp_later what = {.kind = CEL_AMQP_LATER_ACK, .tag = tag};
    struct cel_amqp_held *h = settleable(a, &what, done);

    if (!h) {
        return;
    }
    if (s->n_acks == s->cap_acks && !grow(s)) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    if (s->n_acks == 0) {
        cel_source_schedule(a->flush);
    }
    h->state = CEL_AMQP_ACKING;
    s->acks[s->n_acks++] = (struct cel_amqp_ack){tag, h->broker_tag, done};
}

/* One acknowledgement for all at the front of what is unsettled; its last tag. */
static uint64_t ack_front(struct cel_amqp_transport *a)
{
    uint64_t upto = 0;
    size_t n = 0;
    struct cel_amqp_held *h;

    while ((h = cel_hold_get(&a->hold, a->settling.first)) != NULL &&
           h->state == CEL_AMQP_ACKING) {
        upto = h->broker_tag;
        n++;
        cel_amqp_hold_drop(a, a->settling.first);
    }
    if (n > 0) {
        cel_amqp_tell_ack(a, upto, n > 1);
    }
    return upto;
}

/* The acks of this pass, and another array for those that come meanwhile. */
static struct cel_amqp_ack *take_acks(struct cel_amqp_settling *s, size_t *ret_n,
                                      size_t *ret_cap)
{
    struct cel_amqp_ack *acks = s->acks;

    *ret_n = s->n_acks;
    *ret_cap = s->cap_acks;
    s->acks = s->spare;
    s->cap_acks = s->cap_spare;
    s->n_acks = 0;
    s->spare = NULL;
    s->cap_spare = 0;
    return acks;
}

static void give_acks(struct cel_amqp_settling *s, struct cel_amqp_ack *acks, size_t cap)
{
    if (s->spare) {
        cel_free(acks);
    } else {
        s->spare = acks;
        s->cap_spare = cap;
    }
}

void cel_amqp_settle_flush(struct cel_amqp_transport *a)
{
    struct cel_amqp_ack *acks;
    size_t n, cap;
    uint64_t upto;

    if (a->settling.n_acks == 0) {
        return;
    }
    upto = ack_front(a);
    acks = take_acks(&a->settling, &n, &cap);
    for (size_t i = 0; i < n; i++) {
        if (acks[i].broker_tag > upto) {
            cel_amqp_tell_ack(a, acks[i].broker_tag, false);
            cel_amqp_hold_drop(a, acks[i].tag);
        }
    }
    for (size_t i = 0; i < n; i++) {
        cel_done(acks[i].done, NULL, 1);
    }
    give_acks(&a->settling, acks, cap);
}

/* ---- the others ---- */

/*
 * Back by way of a copy: to its end of the line, or with a header.  A quorum queue counts what
 * it gets back itself (x-delivery-count, x-delivery-limit), where a copy would begin at zero.
 */
static bool needs_copy(const struct cel_amqp_held *h, bool front, const char *header)
{
    return header || h->nested || h->orphan ||
           (!front && !cel_queue_is_quorum(&h->queue->def));
}

void cel_amqp_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                     const char *header, int64_t value, struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    const struct cel_amqp_later what = {.kind = CEL_AMQP_LATER_REJECT,
                                        .tag = tag,
                                        .requeue = requeue,
                                        .front = front,
                                        .header = header,
                                        .value = value};
    struct cel_amqp_held *h = settleable(a, &what, done);

    if (h && requeue && needs_copy(h, front, header)) {
        cel_amqp_move_back(a, tag, header, value, done);
    } else if (h && !requeue && h->nested) {
        cel_amqp_move_away(a, tag, done);
    } else if (h) {
        cel_amqp_tell_reject(a, h->broker_tag, requeue);
        cel_amqp_hold_drop(a, tag);
        cel_done(done, NULL, 1);
    }
}

void cel_amqp_defer(struct cel_transport *t, uint64_t tag, double until,
                    struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    const struct cel_amqp_later what = {
        .kind = CEL_AMQP_LATER_DEFER, .tag = tag, .until = until};

    if (settleable(a, &what, done)) {
        cel_amqp_move_delay(a, tag, until, done);
    }
}

void cel_amqp_park(struct cel_transport *t, uint64_t tag, const char *reason,
                   struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    const struct cel_amqp_later what = {
        .kind = CEL_AMQP_LATER_PARK, .tag = tag, .header = reason};

    if (settleable(a, &what, done)) {
        cel_amqp_move_dead(a, tag, reason, done);
    }
}

/* ---- the end ---- */

void cel_amqp_settle_void(struct cel_amqp_transport *a, bool tell)
{
    struct cel_amqp_ack *acks;
    size_t n, cap, at = 0;
    unsigned connects = a->connects;
    struct cel_amqp_held *h;
    uint64_t tag;

    acks = take_acks(&a->settling, &n, &cap);
    for (size_t i = 0; i < n; i++) {
        cel_amqp_hold_drop(a, acks[i].tag);
    }
    cel_amqp_hold_void(
        a); /* drops what copies are on their way for, or lets go of them */
    while ((h = cel_hold_next(&a->hold, &at, &tag)) != NULL) {
        bool held = h->state == CEL_AMQP_HELD;

        cel_amqp_hold_drop(a, tag);
        if (tell && held && a->base.events->taken && a->connects == connects) {
            a->base.events->taken(a->base.events_ctx, tag);
        }
    }
    for (size_t i = 0; i < n; i++) {
        cel_amqp_refuse(acks[i].done, CELERY_ECLOSED);
    }
    give_acks(&a->settling, acks, cap);
}

void cel_amqp_settle_fini(struct cel_amqp_transport *a)
{
    cel_free(a->settling.acks);
    cel_free(a->settling.spare);
    cel_hold_fini(&a->hold);
}
