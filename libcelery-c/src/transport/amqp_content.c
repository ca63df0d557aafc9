/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages in: method, header and body frames of one channel become one envelope. */
#include "transport/amqp_conn_priv.h"

#include "base/error.h"

/* Nodes and copied texts of a header take about so much more than its bytes. */
#define HEADER_GROWTH 4

/* Moves a text of the method to *at, which moves on. */
static void keep(struct cel_slice *text, char **at)
{
    if (text->len > 0) {
        memcpy(*at, text->data, text->len);
    }
    text->data = *at;
    *at += text->len;
}

static void keep_names(struct cel_amqp_method *m, char *at)
{
    keep(&m->exchange, &at);
    keep(&m->routing_key, &at);
    keep(m->id == CEL_AMQP_BASIC_RETURN ? &m->text : &m->consumer_tag, &at);
}

static size_t names_size(const struct cel_amqp_method *m)
{
    return m->exchange.len + m->routing_key.len +
           (m->id == CEL_AMQP_BASIC_RETURN ? m->text.len : m->consumer_tag.len);
}

void cel_amqp_content_drop(struct cel_amqp_channel *ch)
{
    struct cel_amqp_content *t = &ch->content;

    t->envelope = cel_envelope_free(t->envelope);
    t->method.id = 0;
    t->op = NULL;
}

void cel_amqp_content_begin(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    struct cel_amqp_content *t = &ch->content;

    if (names_size(m) > sizeof t->names) {
        cel_amqp_fail(ch->conn, CELERY_EPROTO, "%s with longer names than there are",
                      cel_amqp_method_name(m->id));
        return;
    }
    t->op = NULL;
    if (m->id == CEL_AMQP_BASIC_GET_OK) {
        t->op = cel_amqp_op_for(ch, m);
        if (!t->op) {
            cel_amqp_fail(ch->conn, CELERY_EPROTO,
                          "basic.get-ok, which nobody asked for");
            return;
        }
    }
    t->method = *m;
    t->method.table = NULL;
    t->malformed = (celery_error){0};
    keep_names(&t->method, t->names);
}

/* ---- whole ---- */

static void deliver(struct cel_amqp_channel *ch, const struct cel_amqp_method *m,
                    struct cel_envelope *give_envelope, const celery_error *malformed)
{
    if (ch->events->delivered) {
        ch->events->delivered(ch->ctx, m, give_envelope,
                              malformed->status < 0 ? malformed : NULL);
    } else {
        cel_envelope_free(give_envelope);
    }
}

static void hand_over_got(struct cel_amqp_op *op, const struct cel_amqp_method *m,
                          struct cel_envelope *give_envelope,
                          const celery_error *malformed)
{
    struct cel_amqp_got got = op->got;

    op->got.fn = NULL;
    cel_amqp_op_end(op, NULL, 0);
    got.fn(got.ctx, malformed->status < 0 ? malformed : NULL, m, give_envelope);
}

static void finish(struct cel_amqp_channel *ch)
{
    struct cel_amqp_content *t = &ch->content;
    struct cel_envelope *env = t->envelope;
    struct cel_amqp_op *op = t->op;
    struct cel_amqp_method m = t->method;
    celery_error malformed = t->malformed;

    t->envelope = NULL;
    t->op = NULL;
    t->method.id = 0;
    if (m.id == CEL_AMQP_BASIC_RETURN) {
        cel_amqp_returned(ch, &m, env, t->size);
        cel_envelope_free(env);
    } else if (op) {
        hand_over_got(op, &m, env, &malformed);
    } else {
        deliver(ch, &m, env, &malformed);
    }
}

/* ---- header ---- */

static celery_status peek_body_size(struct cel_slice payload, uint64_t *ret_size)
{
    uint64_t size = 0;

    /* class, weight, body size (specification 4.2.6.1) */
    if (payload.len < 12) {
        return CELERY_EPROTO;
    }
    for (size_t i = 4; i < 12; i++) {
        size = size << 8 | (unsigned char)payload.data[i];
    }
    *ret_size = size;
    return CELERY_OK;
}

/* One allocation for the envelope, its header and its body. */
static celery_status make_envelope(struct cel_amqp_channel *ch, struct cel_slice payload,
                                   uint64_t body_size)
{
    struct cel_amqp_content *t = &ch->content;
    size_t room = names_size(&t->method) + HEADER_GROWTH * payload.len + 256;
    bool body =
        body_size <= ch->conn->max_message && t->method.id != CEL_AMQP_BASIC_RETURN;

    t->fill = NULL;
    t->envelope = cel_envelope_new_sized(room + (body ? (size_t)body_size : 0));
    if (!t->envelope) {
        return CELERY_ENOMEM;
    }
    struct cel_arena *a = &t->envelope->arena;
    char *names = cel_arena_alloc(a, names_size(&t->method));
    if (body) {
        t->fill = cel_arena_alloc(a, (size_t)body_size);
    }
    if (!names || (body && !t->fill)) {
        return CELERY_ENOMEM;
    }
    keep_names(&t->method, names);
    return CELERY_OK;
}

static void fill_in(struct cel_amqp_channel *ch, uint64_t body_size)
{
    struct cel_amqp_content *t = &ch->content;
    struct cel_envelope *env = t->envelope;

    env->exchange = t->method.exchange;
    env->routing_key = t->method.routing_key;
    env->redelivered = (t->method.bits & CEL_AMQP_REDELIVERED) != 0;
    if (t->fill) {
        env->body = cel_slice(t->fill, (size_t)body_size);
    } else if (t->method.id != CEL_AMQP_BASIC_RETURN) {
        cel_error_set(&t->malformed, CELERY_ELIMIT,
                      "a message of %llu bytes: more than %zu are not read",
                      (unsigned long long)body_size, ch->conn->max_message);
    }
}

void cel_amqp_content_header(struct cel_amqp_channel *ch, struct cel_slice payload)
{
    struct cel_amqp_conn *c = ch->conn;
    struct cel_amqp_content *t = &ch->content;
    uint64_t size = 0;
    uint64_t body_size = 0;

    if (!ch->held) {
        return; /* it is being closed */
    }
    if (t->method.id == 0 || t->envelope) {
        cel_amqp_fail(c, CELERY_EPROTO, "a content header without a message");
        return;
    }
    if (peek_body_size(payload, &size) < 0) {
        cel_amqp_fail(c, CELERY_EPROTO, "a content header of %zu bytes", payload.len);
        return;
    }
    if (make_envelope(ch, payload, size) < 0) {
        cel_amqp_fail(c, CELERY_ENOMEM, "no memory for a message of %llu bytes",
                      (unsigned long long)size);
        return;
    }
    celery_status status =
        cel_amqp_header_read(payload, t->envelope, &body_size, &t->malformed);
    if (status < 0 && status != CELERY_EMESSAGE) {
        celery_error err = t->malformed;
        cel_amqp_fail(c, status, "%s", err.message);
        return;
    }
    fill_in(ch, size);
    t->size = size;
    t->left = size;
    if (t->left == 0) {
        finish(ch);
    }
}

void cel_amqp_content_body(struct cel_amqp_channel *ch, struct cel_slice payload)
{
    struct cel_amqp_content *t = &ch->content;

    if (!ch->held) {
        return;
    }
    if (t->method.id == 0 || !t->envelope) {
        cel_amqp_fail(ch->conn, CELERY_EPROTO, "a body without a header");
        return;
    }
    if (payload.len > t->left) {
        cel_amqp_fail(ch->conn, CELERY_EPROTO,
                      "a body with more bytes than its header says");
        return;
    }
    if (t->fill && payload.len > 0) {
        memcpy(t->fill, payload.data, payload.len);
        t->fill += payload.len;
    }
    t->left -= payload.len;
    if (t->left == 0) {
        finish(ch);
    }
}
