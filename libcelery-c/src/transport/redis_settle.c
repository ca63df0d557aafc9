/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_settle.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "transport/redis_op.h"
#include "transport/redis_score.h"

/* ---- records ---- */

void cel_redis_release_room(struct cel_redis_transport *r, struct cel_redis_held *h)
{
    if (h->counted) {
        h->counted = false;
        r->claiming.n_held--;
        cel_source_schedule(r->flush);
    }
}

void cel_redis_hold_drop(struct cel_redis_transport *r, uint64_t tag)
{
    struct cel_redis_held *h = cel_hold_get(&r->hold, tag);

    if (h) {
        cel_redis_release_room(r, h);
        if (h->score) {
            cel_redis_score_release(r, h->score);
        }
        cel_free(h->long_field);
        cel_hold_remove(&r->hold, tag);
    }
}

void cel_redis_hold_again(struct cel_redis_transport *r, uint64_t tag)
{
    struct cel_redis_held *h = cel_hold_get(&r->hold, tag);

    if (!h) {
        return;
    }
    h->uncertain = h->uncertain || h->state == CEL_REDIS_SENT;
    h->state = CEL_REDIS_HELD;
    if (!h->counted) {
        h->counted = true;
        r->claiming.n_held++;
    }
}

/* ---- asking ---- */

void cel_redis_fail_op(struct cel_done done, celery_status status, const char *text)
{
    celery_error err = {0};

    cel_error_set(&err, status, "%s", text);
    cel_done(done, &err, 0);
}

struct cel_redis_settle_op *cel_redis_new_op(struct cel_redis_transport *r)
{
    struct cel_redis_settling *s = &r->settling;

    if (s->n_ops == s->cap_ops) {
        size_t cap = s->cap_ops ? s->cap_ops * 2 : 64;
        struct cel_redis_settle_op *ops = cel_realloc(s->ops, cap, sizeof *ops);

        if (!ops) {
            return NULL;
        }
        s->ops = ops;
        s->cap_ops = cap;
    }
    cel_source_schedule(r->flush);
    return &s->ops[s->n_ops++];
}

/* Queues an operation on a delivery.  give_text may be NULL. */
static void settle(struct cel_redis_transport *r, uint64_t tag,
                   enum cel_redis_op_kind kind, bool front, char *give_text,
                   int64_t value, struct cel_done done)
{
    struct cel_redis_held *h = r->connected ? cel_hold_get(&r->hold, tag) : NULL;
    struct cel_redis_settle_op *op;

    if (!h || h->state == CEL_REDIS_SETTLING || h->state == CEL_REDIS_SENT) {
        cel_free(give_text);
        if (r->connected) {
            cel_done(done, NULL, 0);
        } else {
            cel_redis_fail_op(done, CELERY_ECLOSED, "not connected to the broker");
        }
        return;
    }
    if (h->state == CEL_REDIS_PARKED) { /* in the dead-letter list since it was claimed */
        cel_free(give_text);
        cel_redis_hold_drop(r, tag);
        cel_done(done, NULL, 1);
        return;
    }
    op = cel_redis_new_op(r);
    if (!op) {
        cel_free(give_text);
        cel_redis_fail_op(done, CELERY_ENOMEM, "out of memory");
        return;
    }
    *op = (struct cel_redis_settle_op){
        .tag = tag,
        .kind = kind,
        .front = front,
        .done = done,
        .text = give_text,
        .len = give_text ? strlen(give_text) : 0,
        .value = value,
    };
    h->state = CEL_REDIS_SETTLING;
    if (kind !=
        CEL_REDIS_OP_FETCH) { /* what goes back must be there before its room is used */
        cel_redis_release_room(r, h);
    }
}

void cel_redis_ack(struct cel_transport *t, uint64_t tag, struct cel_done done)
{
    settle(cel_redis_transport(t), tag, CEL_REDIS_OP_ACK, false, NULL, 0, done);
}

/* Without requeue kombu's reject removes the message as ack does. */
void cel_redis_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                      const char *header, int64_t value, struct cel_done done)
{
    char *copy = NULL;

    if (requeue && header) {
        copy = cel_strdup(header);
        if (!copy) {
            cel_redis_fail_op(done, CELERY_ENOMEM, "out of memory");
            return;
        }
    }
    settle(cel_redis_transport(t), tag, requeue ? CEL_REDIS_OP_FETCH : CEL_REDIS_OP_ACK,
           front, copy, value, done);
}

void cel_redis_park(struct cel_transport *t, uint64_t tag, const char *reason,
                    struct cel_done done)
{
    char *copy = cel_strdup(reason ? reason : "");

    if (!copy) {
        cel_redis_fail_op(done, CELERY_ENOMEM, "out of memory");
        return;
    }
    settle(cel_redis_transport(t), tag, CEL_REDIS_OP_PARK, false, copy, 0, done);
}

/* So long before its time a message is back: sweeps come every ten seconds. */
#define LEAD 15.0

void cel_redis_defer(struct cel_transport *t, uint64_t tag, double until,
                     struct cel_done done)
{
    double wait = until - cel_clock_wall() - LEAD;

    settle(cel_redis_transport(t), tag, CEL_REDIS_OP_DEFER, false, NULL,
           wait < 1      ? 1
           : wait > 1e12 ? 1000000000000
                         : (int64_t)wait,
           done);
}

void cel_redis_settle_flush(struct cel_redis_transport *r)
{
    struct cel_redis_settling *s = &r->settling;
    struct cel_redis_settle_op *ops = s->ops;
    size_t n = s->n_ops, cap = s->cap_ops, acks = 0;

    if (!r->connected || s->renewing || r->failure.status < 0) {
        return;
    }
    if (n == 0 && r->claiming.n_order == 0) {
        cel_redis_score_let_go(r);
    }
    if (n == 0 && s->n_finished == 0) {
        return;
    }
    s->ops = NULL; /* done() may ask for more */
    s->n_ops = s->cap_ops = 0;
    for (size_t i = 0; i < n; i++) {
        struct cel_redis_settle_op op = ops[i];

        if (op.kind != CEL_REDIS_OP_ACK) {
            cel_redis_send_one(r, &op);
            continue;
        }
        ops[acks++] = op;
        if (acks == CEL_REDIS_MAX_ACKS) {
            cel_redis_send_acks(r, ops, acks);
            acks = 0;
        }
    }
    if (acks > 0) {
        cel_redis_send_acks(r, ops, acks);
    }
    if (s->n_finished > 0) {
        cel_redis_send_acks(r, NULL, 0);
    }
    if (s->ops) {
        cel_free(ops);
    } else {
        s->ops = ops;
        s->cap_ops = cap;
    }
}

void cel_redis_settle_reset(struct cel_redis_transport *r)
{
    struct cel_redis_settling *s = &r->settling;
    struct cel_redis_settle_op *ops = s->ops;
    size_t n = s->n_ops;

    s->ops = NULL;
    s->n_ops = s->cap_ops = 0;
    s->renewing = 0;
    for (size_t i = 0; i < n; i++) {
        cel_free(ops[i].text);
        cel_redis_hold_again(r, ops[i].tag);
        cel_redis_fail_op(ops[i].done, CELERY_ECLOSED, "connection closed");
    }
    cel_free(ops);
}

void cel_redis_settle_farewell(struct cel_redis_transport *r)
{
    if (r->connected) {
        cel_redis_score_part(r);
    }
    if (r->settling.let_go) {
        cel_redis_settle_flush(r);
        cel_redis_flush(r->main);
    }
}

void cel_redis_settle_fini(struct cel_redis_transport *r)
{
    struct cel_list *first;

    cel_free(r->settling.ops);
    for (first = cel_list_first(&r->settling.scores); first;
         first = cel_list_first(&r->settling.scores)) {
        cel_redis_score_free(cel_container_of(first, struct cel_redis_score, live));
    }
}
