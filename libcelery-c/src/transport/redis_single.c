/* SPDX-License-Identifier: BSD-3-Clause */
/* Settlements that go one by one: putting back, parking, deferring. */
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/redis_claim.h"
#include "transport/redis_dead.h"
#include "transport/redis_op.h"
#include "transport/redis_settle.h"
#include "transport/redis_starts.h"
#include "transport/redis_take.h"
#include "transport/redis_value.h"
#include "transport/redis_wait.h"
#include <stdio.h>

/*
 * A message of more bytes is fetched to be parked: the server's Lua hashes each text that it
 * makes byte by byte, and would make three of it.
 */
enum { LARGE = 256 * 1024, ROOM_FOR_ENTRY = 512 };

/* One operation on its way. */
struct sent {
    struct cel_redis_transport *r;
    struct cel_redis_settle_op op;
};

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

/* The reason and the entry of the dead letters for a value of unacked. */
static celery_status write_dead(const struct cel_redis_transport *r,
                                struct cel_slice value,
                                const struct cel_redis_settle_op *op, struct cel_buf *out)
{
    const struct cel_redis_held *h = cel_hold_get(&r->hold, op->tag);

    if (!h || value.len < 1 + h->raw_len) {
        return CELERY_EPROTO;
    }
    cel_buf_reserve(out, 2 * strlen(op->text) + h->raw_len + ROOM_FOR_ENTRY, NULL);
    cel_buf_add(out, op->text, strlen(op->text) + 1);
    return cel_redis_dead_write(out, cel_slice_of(op->text), cel_slice_of(h->queue->name),
                                cel_slice(value.data + 1, h->raw_len));
}

static void on_fetched(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct sent *s = ctx;
    bool parks = s->op.kind == CEL_REDIS_OP_PARK;
    struct cel_redis_settle_op *op = NULL;
    struct cel_buf text = {0};
    celery_error why = {0};

    if (cel_redis_check(s->r, reply, err, "fetching what is held", &why) < 0) {
        finish(s, &why, 0);
        return;
    }
    if (cel_resp_kind(reply) != CEL_RESP_STRING) {
        finish(s, NULL, 0);
        return;
    }
    if ((parks ? write_dead(s->r, cel_resp_text(reply), &s->op, &text)
               : rewrite(cel_resp_text(reply), &s->op, &text)) == 0) {
        op = cel_redis_new_op(s->r);
    }
    if (!op) {
        cel_buf_fini(&text);
        cel_error_set(&why, CELERY_ENOMEM, "settling a message: out of memory");
        finish(s, &why, 0);
        return;
    }
    *op = s->op;
    cel_free(op->text);
    op->kind = parks ? CEL_REDIS_OP_LAY : CEL_REDIS_OP_MOVE;
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

/* A park that leaves everything to the server. */
static celery_status send_park(struct cel_redis_transport *r,
                               const struct cel_redis_held *h,
                               const struct cel_redis_settle_op *op, struct sent *s)
{
    struct cel_redis_args *a = &r->args;

    cel_redis_args_adds(a, h->queue->dead_key);
    cel_redis_args_adds(a, cel_redis_field(h));
    cel_redis_args_adds(a, h->score->text);
    cel_redis_args_add_int(a, (int64_t)h->raw_len);
    cel_redis_args_adds(a, op->text);
    cel_redis_args_adds(a, h->queue->name);
    cel_redis_args_add_int(a, (int64_t)r->base.max_dead);
    return cel_redis_send_script(r, &r->scripts.park, 3, on_finished, s);
}

/* A server without memory refuses LPUSH, and with it all: its own script takes away first. */
static bool leave_to_server(const struct sent *s)
{
    struct cel_redis_settle_op *op = cel_redis_new_op(s->r);

    if (!op) {
        return false;
    }
    *op = s->op;
    op->kind = CEL_REDIS_OP_LEAVE;
    return true;
}

/* What EXEC answers: the replies to LPUSH and to the script; or that it was not carried out. */
static void on_laid(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct sent *s = ctx;

    if (!err && cel_resp_kind(reply) == CEL_RESP_ERROR && leave_to_server(s)) {
        cel_free(s);
        return;
    }
    on_finished(s, cel_resp_size(reply) == 2 ? cel_resp_at(reply, 1) : reply, err);
}

/* The script as text: a server that does not know it would leave half of the transaction. */
static void release_words(struct cel_redis_transport *r, const struct cel_redis_held *h)
{
    struct cel_redis_args *a = &r->args;

    cel_redis_args_clear(a);
    cel_redis_args_adds(a, "EVAL");
    cel_redis_args_adds(a, r->scripts.lay.text);
    cel_redis_args_add_int(a, 3);
    cel_redis_args_adds(a, r->keys.unacked);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, h->queue->dead_key);
    cel_redis_args_adds(a, cel_redis_field(h));
    cel_redis_args_adds(a, h->score->text);
    cel_redis_args_add_int(a, (int64_t)r->base.max_dead);
}

/* Half a transaction is never carried out: on an error the connection is given up. */
static celery_status send_lay(struct cel_redis_transport *r,
                              const struct cel_redis_held *h,
                              const struct cel_redis_settle_op *op, struct sent *s)
{
    struct cel_redis_args *a = &r->args;
    size_t skip = strlen(op->text) + 1;
    celery_status status = cel_redis_send_multi(r);

    if (status < 0) {
        return status;
    }
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, "LPUSH");
    cel_redis_args_adds(a, h->queue->dead_key);
    cel_redis_args_add(a, cel_slice(op->text + skip, op->len - skip));
    status = cel_redis_send(r, NULL, NULL);
    if (status == CELERY_OK) {
        release_words(r, h);
        status = cel_redis_send(r, NULL, NULL);
    }
    return status == CELERY_OK ? cel_redis_send_word(r, "EXEC", on_laid, s) : status;
}

static celery_status send_defer(struct cel_redis_transport *r,
                                const struct cel_redis_held *h,
                                const struct cel_redis_settle_op *op, struct sent *s)
{
    struct cel_redis_args *a = &r->args;
    char timeout[32];

    snprintf(timeout, sizeof timeout, "%.6f", r->set.visibility_timeout);
    cel_redis_args_adds(a, cel_redis_field(h));
    cel_redis_args_adds(a, h->score->text);
    cel_redis_args_add_int(a, op->value);
    cel_redis_args_adds(a, timeout);
    return cel_redis_send_script(r, &r->scripts.defer, 2, on_finished, s);
}

static celery_status send_move(struct cel_redis_transport *r, struct cel_redis_held *h,
                               const struct cel_redis_settle_op *op, struct sent *s)
{
    struct cel_redis_args *a = &r->args;
    celery_status status;

    cel_redis_args_adds(a, cel_redis_field(h));
    cel_redis_args_adds(a, h->score->text);
    cel_redis_args_adds(a, op->front ? "RPUSH" : "LPUSH");
    cel_redis_args_add(a, cel_slice(op->text, op->len));
    cel_redis_args_adds(a, h->queue->keys[h->step]);
    status = cel_redis_send_script(r, &r->scripts.move, 2, on_finished, s);
    cel_redis_release_room(r, h);
    cel_redis_wait_own(r);
    return status;
}

static celery_status send_fetch(struct cel_redis_transport *r,
                                const struct cel_redis_held *h, struct sent *s)
{
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "HGET");
    cel_redis_args_adds(&r->args, r->keys.unacked);
    cel_redis_args_adds(&r->args, cel_redis_field(h));
    return cel_redis_send(r, on_fetched, s);
}

static celery_status send_op(struct cel_redis_transport *r,
                             const struct cel_redis_settle_op *op, struct sent *s)
{
    struct cel_redis_held *h = cel_hold_get(&r->hold, op->tag);
    enum cel_redis_op_kind kind = op->kind;
    bool large = h->raw_len > LARGE && !r->claiming.take_forbidden;

    if (kind == CEL_REDIS_OP_PARK && large) {
        cel_redis_claim_flush(r); /* what is good need not wait for all these bytes */
        return send_fetch(r, h, s);
    }
    if (kind == CEL_REDIS_OP_FETCH) {
        return send_fetch(r, h, s);
    }
    cel_redis_starts_forget(r, h,
                            kind == CEL_REDIS_OP_MOVE || kind == CEL_REDIS_OP_DEFER);
    h->state = CEL_REDIS_SENT;
    if (kind == CEL_REDIS_OP_LAY) {
        return send_lay(r, h, op, s);
    }
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, r->keys.unacked);
    cel_redis_args_adds(&r->args, r->keys.unacked_index);
    return kind == CEL_REDIS_OP_MOVE    ? send_move(r, h, op, s)
           : kind == CEL_REDIS_OP_DEFER ? send_defer(r, h, op, s)
                                        : send_park(r, h, op, s);
}

void cel_redis_send_one(struct cel_redis_transport *r,
                        const struct cel_redis_settle_op *op)
{
    struct sent *s = cel_alloc(sizeof *s);
    celery_status status = CELERY_ENOMEM;

    if (s) {
        *s = (struct sent){r, *op};
        status = send_op(r, op, s);
    }
    if (status < 0) {
        cel_free(s);
        cel_free(op->text);
        cel_redis_hold_again(r, op->tag);
        cel_redis_fail_op(op->done, status, "settling a message: out of memory");
        cel_redis_abandon_text(r, status, "settling a message");
    }
}
