/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_settle.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/redis_op.h"
#include "transport/redis_score.h"
#include "transport/redis_starts.h"
#include "transport/redis_value.h"
#include "transport/redis_wait.h"
#include <stdio.h>

/* One operation on its way. */
struct sent {
    struct cel_redis_transport *r;
    struct cel_redis_settle_op op;
};

/* ---- records ---- */

static void release_room(struct cel_redis_transport *r, struct cel_redis_held *h)
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
        release_room(r, h);
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

static void fail_op(struct cel_done done, celery_status status, const char *text)
{
    celery_error err = {0};

    cel_error_set(&err, status, "%s", text);
    cel_done(done, &err, 0);
}

static struct cel_redis_settle_op *new_op(struct cel_redis_transport *r)
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
            fail_op(done, CELERY_ECLOSED, "not connected to the broker");
        }
        return;
    }
    if (h->state == CEL_REDIS_PARKED) { /* in the dead-letter list since it was claimed */
        cel_free(give_text);
        cel_redis_hold_drop(r, tag);
        cel_done(done, NULL, 1);
        return;
    }
    op = new_op(r);
    if (!op) {
        cel_free(give_text);
        fail_op(done, CELERY_ENOMEM, "out of memory");
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
        release_room(r, h);
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
            fail_op(done, CELERY_ENOMEM, "out of memory");
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
        fail_op(done, CELERY_ENOMEM, "out of memory");
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

/* ---- putting back, and parking ---- */

/* The text to be delivered again.  A message that cannot be read goes back as it is. */
static celery_status rewrite(struct cel_slice value, const struct cel_redis_settle_op *op,
                             struct cel_buf *out)
{
    struct cel_slice raw, exchange, routing_key;
    struct cel_envelope *env = NULL;
    celery_status status;

    if (!cel_redis_value_split(value, &raw, &exchange, &routing_key)) {
        return CELERY_EPROTO;
    }
    status = cel_envelope_read(raw, &env, NULL);
    if (status == 0) {
        status = cel_envelope_write_redelivered(out, env, op->text, op->value);
    } else if (status == CELERY_EMESSAGE) {
        status = cel_buf_add_slice(out, raw);
    }
    cel_envelope_free(env);
    return status;
}

/* Ends an operation on its own; answer 1: it was ours. */
static void finish(struct sent *s, const celery_error *err, int64_t answer)
{
    struct cel_done done = s->op.done;

    if (err) {
        cel_redis_hold_again(s->r, s->op.tag);
    } else {
        cel_redis_hold_drop(s->r, s->op.tag);
    }
    cel_free(s->op.text);
    cel_free(s);
    cel_done(done, err, answer);
}

static void on_fetched(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct sent *s = ctx;
    struct cel_redis_settle_op *op = NULL;
    struct cel_buf text = {0};
    celery_error why = {0};

    if (cel_redis_check(s->r, reply, err, "putting a message back", &why) < 0) {
        finish(s, &why, 0);
        return;
    }
    if (cel_resp_kind(reply) != CEL_RESP_STRING) {
        finish(s, NULL, 0);
        return;
    }
    if (rewrite(cel_resp_text(reply), &s->op, &text) == 0) {
        op = new_op(s->r);
    }
    if (!op) {
        cel_buf_fini(&text);
        cel_error_set(&why, CELERY_ENOMEM, "putting a message back: out of memory");
        finish(s, &why, 0);
        return;
    }
    *op = s->op;
    cel_free(op->text);
    op->kind = CEL_REDIS_OP_MOVE;
    op->len = text.len;
    op->text = cel_buf_steal(&text);
    cel_free(s);
}

static void on_finished(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct sent *s = ctx;
    celery_error why = {0};
    bool failed = cel_redis_check(s->r, reply, err, "settling a message", &why) < 0;

    finish(s, failed ? &why : NULL, cel_resp_int(reply));
}

/* Sends anything but an acknowledgement. */
static void send_one(struct cel_redis_transport *r, const struct cel_redis_settle_op *op)
{
    struct cel_redis_held *h = cel_hold_get(&r->hold, op->tag);
    struct cel_redis_args *a = &r->args;
    struct sent *s = cel_alloc(sizeof *s);
    celery_status status = CELERY_ENOMEM;

    cel_redis_args_clear(a);
    if (s) {
        *s = (struct sent){r, *op};
        if (op->kind == CEL_REDIS_OP_FETCH) {
            cel_redis_args_adds(a, "HGET");
            cel_redis_args_adds(a, r->keys.unacked);
            cel_redis_args_adds(a, cel_redis_field(h));
            status = cel_redis_send(r, on_fetched, s);
        } else {
            cel_redis_starts_forget(r, h, op->kind != CEL_REDIS_OP_PARK);
            cel_redis_args_adds(a, r->keys.unacked);
            cel_redis_args_adds(a, r->keys.unacked_index);
            if (op->kind == CEL_REDIS_OP_PARK) {
                cel_redis_args_adds(a, h->queue->dead_key);
            }
            cel_redis_args_adds(a, cel_redis_field(h));
            cel_redis_args_adds(a, h->score->text);
            if (op->kind == CEL_REDIS_OP_PARK) {
                cel_redis_args_add_int(a, (int64_t)h->raw_len);
                cel_redis_args_adds(a, op->text);
                cel_redis_args_adds(a, h->queue->name);
                cel_redis_args_add_int(a, (int64_t)r->base.max_dead);
                status = cel_redis_send_script(r, &r->scripts.park, 3, on_finished, s);
            } else if (op->kind == CEL_REDIS_OP_DEFER) {
                char timeout[32];

                snprintf(timeout, sizeof timeout, "%.6f", r->set.visibility_timeout);
                cel_redis_args_add_int(a, op->value);
                cel_redis_args_adds(a, timeout);
                status = cel_redis_send_script(r, &r->scripts.defer, 2, on_finished, s);
            } else {
                cel_redis_args_adds(a, op->front ? "RPUSH" : "LPUSH");
                cel_redis_args_add(a, cel_slice(op->text, op->len));
                cel_redis_args_adds(a, h->queue->keys[h->step]);
                status = cel_redis_send_script(r, &r->scripts.move, 2, on_finished, s);
                release_room(r, h);
                cel_redis_wait_own(r);
            }
            h->state = CEL_REDIS_SENT;
        }
    }
    if (status < 0) {
        cel_free(s);
        cel_free(op->text);
        cel_redis_hold_again(r, op->tag);
        fail_op(op->done, status, "settling a message: out of memory");
        cel_redis_abandon_text(r, status, "settling a message");
    }
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
            send_one(r, &op);
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
        fail_op(ops[i].done, CELERY_ECLOSED, "connection closed");
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
