/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that are answered, of one channel. */
#include "transport/amqp_conn_priv.h"

#include "base/alloc.h"
#include "base/error.h"

celery_status cel_amqp_outcome(uint64_t end, uint64_t sent)
{
    return end > sent ? CELERY_ECLOSED : CELERY_EUNCERTAIN;
}

void cel_amqp_op_end(struct cel_amqp_op *op, const celery_error *err, int64_t answer)
{
    struct cel_done done = op->done;
    struct cel_amqp_got got = op->got;
    bool get = op->id == CEL_AMQP_BASIC_GET;

    cel_list_remove(&op->link);
    cel_free(op);
    if (!get) {
        cel_done(done, err, answer);
    } else if (got.fn) {
        got.fn(got.ctx, err, NULL, NULL);
    }
}

/* The method that the broker complains about is the first of its kind: it goes in order. */
void cel_amqp_ops_end(struct cel_amqp_channel *ch, uint64_t sent, const celery_error *why,
                      uint32_t culprit)
{
    struct cel_list *first;
    bool behind = false; /* what comes behind it was ignored */

    while ((first = cel_list_first(&ch->ops)) != NULL) {
        struct cel_amqp_op *op = cel_container_of(first, struct cel_amqp_op, link);
        celery_error err = *why;
        if (culprit != 0 && op->id == culprit && !behind) {
            behind = true;
        } else {
            err.status = behind ? CELERY_ECLOSED : cel_amqp_outcome(op->end, sent);
        }
        cel_amqp_op_end(op, &err, 0);
    }
}

bool cel_amqp_ops_check(struct cel_amqp_channel *ch, double now, bool act)
{
    struct cel_amqp_conn *c = ch->conn;
    struct cel_list *first = cel_list_first(&ch->ops);

    if (!first) {
        return false;
    }
    const struct cel_amqp_op *op = cel_container_of(first, struct cel_amqp_op, link);
    double at = op->at > c->unblocked_at ? op->at : c->unblocked_at;
    if (now < at + c->rpc_timeout) {
        cel_amqp_due(c, at + c->rpc_timeout);
        return false;
    }
    if (act) {
        cel_amqp_fail(c, CELERY_ETIMEOUT, "no answer to %s within %g s",
                      cel_amqp_method_name(op->id), c->rpc_timeout);
    }
    return true;
}

static struct cel_amqp_op *op_new(struct cel_amqp_channel *ch,
                                  const struct cel_amqp_method *m)
{
    struct cel_amqp_op *op = cel_calloc(1, sizeof *op + m->consumer_tag.len);

    if (op) {
        op->id = m->id;
        op->at = cel_loop_now(ch->conn->loop);
        op->tag_len = m->consumer_tag.len;
        if (op->tag_len > 0) {
            memcpy(op->tag, m->consumer_tag.data, op->tag_len);
        }
        cel_list_init(&op->link);
    }
    return op;
}

/* Writes it and waits; the operation is given, and ends at once when that fails. */
static void start(struct cel_amqp_channel *ch, struct cel_amqp_op *give_op,
                  const struct cel_amqp_method *m)
{
    struct cel_amqp_conn *c = ch->conn;
    celery_error err = {0};
    celery_status status = CELERY_ECLOSED;

    if (ch->over) {
        cel_error_set(&err, status, "%s: the channel is closed", c->text);
    } else {
        status = cel_amqp_send(c, ch->number, m, &err);
    }
    if (status < 0) {
        cel_amqp_op_end(give_op, &err, 0);
        return;
    }
    give_op->end = cel_amqp_position(c);
    cel_list_append(&ch->ops, &give_op->link);
    cel_amqp_due(c, give_op->at + c->rpc_timeout);
}

static bool wants_no_answer(const struct cel_amqp_method *m)
{
    return m->id == CEL_AMQP_BASIC_CANCEL && (m->bits & CEL_AMQP_CANCEL_OK);
}

void cel_amqp_call(struct cel_amqp_channel *ch, const struct cel_amqp_method *m,
                   struct cel_done done)
{
    struct cel_amqp_conn *c = ch->conn;
    celery_error err = {0};

    cel_amqp_enter(c);
    if (wants_no_answer(m)) {
        cel_amqp_tell(ch, m);
        cel_done(done, NULL, 0);
    } else {
        struct cel_amqp_op *op = op_new(ch, m);
        if (op) {
            op->done = done;
            start(ch, op, m);
        } else {
            cel_error_nomem(&err);
            cel_done(done, &err, 0);
        }
    }
    cel_amqp_leave(c);
}

void cel_amqp_tell(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    if (!ch->over) {
        cel_amqp_send(ch->conn, ch->number, m, NULL);
    }
}

void cel_amqp_get(struct cel_amqp_channel *ch, struct cel_slice queue, bool no_ack,
                  struct cel_amqp_got got)
{
    struct cel_amqp_conn *c = ch->conn;
    const struct cel_amqp_method m = {
        .id = CEL_AMQP_BASIC_GET,
        .queue = queue,
        .bits = no_ack ? CEL_AMQP_NO_ACK : 0,
    };
    celery_error err = {0};

    cel_amqp_enter(c);
    struct cel_amqp_op *op = op_new(ch, &m);
    if (op) {
        op->got = got;
        start(ch, op, &m);
    } else {
        cel_error_nomem(&err);
        got.fn(got.ctx, &err, NULL, NULL);
    }
    cel_amqp_leave(c);
}

static bool answers(const struct cel_amqp_op *op, const struct cel_amqp_method *m)
{
    if (op->id == CEL_AMQP_BASIC_GET) {
        return m->id == CEL_AMQP_BASIC_GET_OK || m->id == CEL_AMQP_BASIC_GET_EMPTY;
    }
    if (m->id != op->id + 1) {
        return false; /* each -ok is one behind its method */
    }
    return op->tag_len == 0 ||
           cel_slice_eq(m->consumer_tag, cel_slice(op->tag, op->tag_len));
}

/*
 * Mostly the oldest.  But the queue's process answers consume and cancel, through the
 * channel's mailbox, in which later methods may stand already (rabbit_channel.erl
 * prioritise_cast): those answers can be overtaken.
 */
struct cel_amqp_op *cel_amqp_op_for(struct cel_amqp_channel *ch,
                                    const struct cel_amqp_method *answer)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &ch->ops) {
        struct cel_amqp_op *op = cel_container_of(it, struct cel_amqp_op, link);
        if (answers(op, answer)) {
            return op;
        }
    }
    return NULL;
}

void cel_amqp_answer(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    struct cel_amqp_op *op = cel_amqp_op_for(ch, m);

    if (op) {
        cel_amqp_op_end(op, NULL, m->count);
    } else {
        cel_amqp_fail(ch->conn, CELERY_EPROTO, "%s on channel %u, which nobody asked for",
                      cel_amqp_method_name(m->id), ch->number);
    }
}
