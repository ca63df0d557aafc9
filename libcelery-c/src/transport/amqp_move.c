/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_move.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/amqp_copy.h"
#include "transport/amqp_dead.h"
#include "transport/amqp_declare.h"
#include "transport/amqp_delay.h"
#include "transport/amqp_post.h"
#include "transport/amqp_settle.h"
#include <stdio.h>

enum move_kind { MOVE_BACK, MOVE_AWAY, MOVE_DELAY, MOVE_DEAD };

struct move {
    struct cel_amqp_transport *a;
    struct cel_amqp_queue *queue;
    struct cel_envelope *copy;
    uint64_t tag;
    enum move_kind kind;
    unsigned level; /* of a delay */
    double until;
    bool cut;
    struct cel_done done;
};

static void end(struct move *give_move, const celery_error *err, int64_t answer)
{
    struct cel_done done = give_move->done;
    celery_error copy = err ? *err : (celery_error){0};

    cel_envelope_free(give_move->copy);
    cel_free(give_move);
    cel_done(done, err ? &copy : NULL, answer);
}

/* NULL: done was called.  The record is MOVING. */
static struct move *new_move(struct cel_amqp_transport *a, uint64_t tag,
                             enum move_kind kind, struct cel_done done)
{
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);
    struct move *m = cel_calloc(1, sizeof *m);

    if (m) {
        m->copy = cel_amqp_copy(h->envelope);
    }
    if (!m || !m->copy) {
        cel_free(m);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return NULL;
    }
    m->a = a;
    m->queue = h->queue;
    m->tag = tag;
    m->kind = kind;
    m->cut = h->cut;
    m->done = done;
    h->state = CEL_AMQP_MOVING;
    return m;
}

/* What the broker does with the original when the copy was refused. */
static void settle_without_copy(struct move *m, struct cel_amqp_held *h)
{
    bool back = m->kind == MOVE_BACK || m->kind == MOVE_DELAY;

    if (h->nested && !back) {
        cel_amqp_tell_ack(m->a, h->broker_tag, false);
    } else {
        /* Out of our own queue "away" is back to where it came from. */
        cel_amqp_tell_reject(m->a, h->broker_tag, back && !h->nested);
    }
}

static void on_copied(void *ctx, const celery_error *err, int64_t answer)
{
    struct move *m = ctx;
    struct cel_amqp_held *h = cel_hold_get(&m->a->hold, m->tag);

    if (!h) {
        celery_error gone = {CELERY_ECLOSED, 0, "the channel of the message was closed"};

        end(m, err ? err : &gone, 0);
        return;
    }
    if (err && (err->status == CELERY_ECLOSED || err->status == CELERY_EUNCERTAIN)) {
        h->state = CEL_AMQP_HELD;
        end(m, err, 0);
        return;
    }
    if (err) {
        cel_log(CELERY_LOG_ERROR, "A message of queue %s could not be %s: %s",
                m->queue->name,
                m->kind == MOVE_DEAD    ? "parked, and is rejected"
                : m->kind == MOVE_DELAY ? "put off, and goes back at once"
                : m->kind == MOVE_BACK  ? "put at the end, and goes to its head"
                                        : "dead-lettered",
                err->message);
        cel_amqp_forget_declared(m->queue); /* one of our own may have been deleted */
        settle_without_copy(m, h);
    } else if (m->cut && !h->nested) {
        cel_amqp_tell_reject(m->a, h->broker_tag, false); /* a DLX gets all of it */
    } else {
        cel_amqp_tell_ack(m->a, h->broker_tag, false);
    }
    cel_amqp_hold_drop(m->a, m->tag);
    end(m, NULL, 1);
}

static void no_memory(struct move *m)
{
    struct cel_amqp_held *h = cel_hold_get(&m->a->hold, m->tag);
    celery_error err = {0};

    if (h) {
        h->state = CEL_AMQP_HELD;
    }
    cel_error_nomem(&err);
    end(m, &err, 0);
}

/* ---- to the end of the line ---- */

void cel_amqp_move_back(struct cel_amqp_transport *a, uint64_t tag, const char *header,
                        int64_t value, struct cel_done done)
{
    struct move *m = new_move(a, tag, MOVE_BACK, done);
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);
    bool ok;

    if (!m) {
        return;
    }
    ok = cel_amqp_copy_redelivered(m->copy);
    /* What was started here has ended: its count begins anew. */
    if (ok && h->started && h->starts > 0) {
        ok = cel_amqp_copy_int(m->copy, CEL_AMQP_STARTS, 0);
    }
    if (ok && header) {
        ok = cel_amqp_copy_int(m->copy, header, value);
    }
    ok = ok && cel_amqp_copy_deliveries(m->copy, h, 1);
    if (!ok) {
        no_memory(m);
        return;
    }
    cel_amqp_post_to(a, m->queue->name, m->copy, (struct cel_done){on_copied, m});
}

/* ---- away ---- */

static struct cel_slice argument(const struct cel_amqp_queue *q, const char *name)
{
    return cel_node_text(cel_node_get(q->def.arguments, cel_slice_of(name)));
}

/* The broker would send it back from our own queue: we do what it does at the other. */
void cel_amqp_move_away(struct cel_amqp_transport *a, uint64_t tag, struct cel_done done)
{
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);
    const struct cel_node *arguments = h->queue->def.arguments;
    const struct cel_node *exchange =
        cel_node_get(arguments, CEL_SLICE("x-dead-letter-exchange"));
    struct cel_slice key = argument(h->queue, "x-dead-letter-routing-key");
    struct cel_slice name = cel_node_text(exchange);
    struct move *m;

    if (!cel_node_is_string(exchange) || name.len > 255 || key.len > 255) {
        cel_amqp_tell_ack(a, h->broker_tag, false);
        cel_amqp_hold_drop(a, tag);
        cel_done(done, NULL, 1);
        return;
    }
    m = new_move(a, tag, MOVE_AWAY, done);
    if (m) {
        char exchange_name[256], key_text[256];

        key = key.len > 0 ? key : m->copy->routing_key;
        snprintf(exchange_name, sizeof exchange_name, "%.*s", (int)name.len, name.data);
        snprintf(key_text, sizeof key_text, "%.*s", (int)key.len, key.data);
        m->copy->optional = true; /* an exchange that leads nowhere drops it */
        cel_amqp_post(&a->base, exchange_name, key_text, m->copy,
                      (struct cel_done){on_copied, m});
    }
}

/* ---- later ---- */

/* The levels may have been deleted: from now on our own queues. */
static void on_native(void *ctx, const celery_error *err, int64_t answer)
{
    struct move *m = ctx;

    if (err && err->status != CELERY_ECLOSED) {
        m->a->native_delay = false;
    }
    on_copied(m, err, answer);
}

static void on_native_ready(void *ctx, const celery_error *err, int64_t answer)
{
    struct move *m = ctx;

    if (err) {
        on_native(m, err, 0);
    } else {
        cel_amqp_delay_native(m->a, m->queue, m->copy, m->until,
                              (struct cel_done){on_native, m});
    }
}

static void on_delay_ready(void *ctx, const celery_error *err, int64_t answer)
{
    struct move *m = ctx;
    char name[256];

    if (err) {
        on_copied(m, err, 0);
        return;
    }
    cel_amqp_delay_name(m->queue, m->level, name, sizeof name);
    cel_amqp_post_to(m->a, name, m->copy, (struct cel_done){on_copied, m});
}

void cel_amqp_move_delay(struct cel_amqp_transport *a, uint64_t tag, double until,
                         struct cel_done done)
{
    struct move *m = new_move(a, tag, MOVE_DELAY, done);
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);

    if (!m) {
        return;
    }
    if ((h->redelivered && !cel_amqp_copy_redelivered(m->copy)) ||
        !cel_amqp_copy_deliveries(m->copy, h, 0)) {
        no_memory(m);
        return;
    }
    m->until = until;
    if (cel_amqp_delay_is_native(a, m->queue)) {
        cel_amqp_delay_bind(a, m->queue, (struct cel_done){on_native_ready, m});
        return;
    }
    m->level = cel_amqp_delay_level(until);
    cel_amqp_delay_declare(a, m->queue, m->level, (struct cel_done){on_delay_ready, m});
}

/* ---- the dead ---- */

static void on_dead_ready(void *ctx, const celery_error *err, int64_t answer)
{
    struct move *m = ctx;
    char name[256];

    if (err) {
        on_copied(m, err, 0);
        return;
    }
    cel_amqp_dead_name(m->queue->name, name, sizeof name);
    cel_amqp_post_to(m->a, name, m->copy, (struct cel_done){on_copied, m});
}

void cel_amqp_move_dead(struct cel_amqp_transport *a, uint64_t tag, const char *reason,
                        struct cel_done done)
{
    struct move *m = new_move(a, tag, MOVE_DEAD, done);

    if (!m) {
        return;
    }
    if (!cel_amqp_dead_mark(m->copy, m->queue->name, reason)) {
        no_memory(m);
        return;
    }
    cel_amqp_dead_declare(a, m->queue, (struct cel_done){on_dead_ready, m});
}

/* Nothing is held for what was settled before. */
static void on_buried(void *ctx, const celery_error *err, int64_t answer)
{
    end(ctx, err, 0);
}

static void on_grave_ready(void *ctx, const celery_error *err, int64_t answer)
{
    struct move *m = ctx;
    char name[256];

    if (err) {
        end(m, err, 0);
        return;
    }
    cel_amqp_dead_name(m->queue->name, name, sizeof name);
    cel_amqp_post_to(m->a, name, m->copy, (struct cel_done){on_buried, m});
}

void cel_amqp_bury(struct cel_transport *t, const char *queue,
                   const struct cel_envelope *envelope, const char *reason,
                   struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_queue *q = cel_amqp_find_queue(a, queue);
    struct move *m;

    if (cel_amqp_is_closed(a, done)) {
        return;
    }
    m = cel_calloc(1, sizeof *m);
    if (m) {
        m->copy = cel_amqp_copy(envelope);
    }
    if (!q || !m || !m->copy || !cel_amqp_dead_mark(m->copy, queue, reason)) {
        if (m) {
            cel_envelope_free(m->copy);
        }
        cel_free(m);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    m->a = a;
    m->queue = q;
    m->kind = MOVE_DEAD;
    m->done = done;
    cel_amqp_dead_declare(a, q, (struct cel_done){on_grave_ready, m});
}
