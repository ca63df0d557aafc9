/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_conn_priv.h"

#include "base/alloc.h"
#include "base/error.h"

#define FIRST_SLOTS 8

struct cel_amqp_channel *cel_amqp_channel_at(struct cel_amqp_conn *c, uint16_t number)
{
    return number < c->n_channels ? c->channels[number] : NULL;
}

/* ---- numbers ---- */

static celery_status grow_slots(struct cel_amqp_conn *c, celery_error *err)
{
    size_t n = c->n_channels ? 2 * c->n_channels : FIRST_SLOTS;

    if (n > (size_t)c->channel_max + 1) {
        n = (size_t)c->channel_max + 1;
    }
    if (n <= c->n_channels) {
        return cel_error_set(err, CELERY_ELIMIT,
                             "%s: more than %u channels on one connection", c->text,
                             c->channel_max);
    }
    struct cel_amqp_channel **slots = cel_realloc(c->channels, n, sizeof(*slots));
    if (!slots) {
        return cel_error_nomem(err);
    }
    memset(slots + c->n_channels, 0, (n - c->n_channels) * sizeof(*slots));
    c->channels = slots;
    c->n_channels = n;
    return CELERY_OK;
}

static celery_status take_number(struct cel_amqp_channel *ch, celery_error *err)
{
    struct cel_amqp_conn *c = ch->conn;
    size_t n = 1;

    while (n < c->n_channels && c->channels[n]) {
        n++;
    }
    if (n >= c->n_channels) {
        n = c->n_channels ? c->n_channels : 1;
        celery_status status = grow_slots(c, err);
        if (status < 0) {
            return status;
        }
    }
    c->channels[n] = ch;
    ch->number = (uint16_t)n;
    ch->numbered = true;
    return CELERY_OK;
}

/* Both sides are done with the number. */
static void give_number_back(struct cel_amqp_channel *ch)
{
    if (ch->numbered) {
        ch->conn->channels[ch->number] = NULL;
        ch->numbered = false;
        ch->conn->sweep = true;
    }
}

/* ---- open, free ---- */

celery_status cel_amqp_channel_open(struct cel_amqp_conn *c,
                                    const struct cel_amqp_channel_events *events,
                                    void *ctx, struct cel_amqp_channel **ret_channel,
                                    celery_error *err)
{
    if (c->phase == CEL_AMQP_OVER) {
        return cel_error_set(err, CELERY_ECLOSED, "%s: the connection is closed",
                             c->text);
    }
    struct cel_amqp_channel *ch = cel_calloc(1, sizeof *ch);
    if (!ch) {
        return cel_error_nomem(err);
    }
    ch->conn = c;
    ch->events = events;
    ch->ctx = ctx;
    ch->first_tag = 1;
    ch->return_from = 1;
    ch->check_from = 1;
    cel_list_init(&ch->ops);
    cel_list_init(&ch->waiting);
    celery_status status = take_number(ch, err);
    if (status < 0) {
        cel_free(ch);
        return status;
    }
    ch->held = true;
    cel_list_append(&c->all, &ch->link);
    cel_amqp_call(ch, &(struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN},
                  (struct cel_done){0});
    *ret_channel = ch;
    return CELERY_OK;
}

void cel_amqp_channel_destroy(struct cel_amqp_channel *ch)
{
    cel_list_remove(&ch->link);
    cel_amqp_content_drop(ch);
    cel_free(ch->ring);
    cel_free(ch);
}

void cel_amqp_channel_end(struct cel_amqp_channel *ch, uint64_t sent,
                          const celery_error *why, const struct cel_amqp_method *close)
{
    uint32_t culprit = close ? (uint32_t)close->class_id << 16 | close->method_id : 0;

    ch->over = true;
    cel_amqp_content_drop(ch);
    cel_amqp_ops_end(ch, sent, why, culprit);
    cel_amqp_confirms_end(ch, sent, why, close);
    cel_amqp_waiting_end(ch, why);
}

struct cel_amqp_channel *cel_amqp_channel_free(struct cel_amqp_channel *ch)
{
    const struct cel_amqp_method bye = {
        .id = CEL_AMQP_CHANNEL_CLOSE,
        .code = 200,
        .text = CEL_SLICE("bye"),
    };
    celery_error err = {0};

    if (!ch || !ch->held) {
        return NULL;
    }
    struct cel_amqp_conn *c = ch->conn;
    cel_amqp_enter(c);
    ch->held = false;
    c->sweep = true;
    if (!ch->over) {
        cel_error_set(&err, CELERY_ECLOSED, "%s: channel given up", c->text);
        /* What is in the buffer still goes out. */
        cel_amqp_channel_end(ch, UINT64_MAX, &err, NULL);
        if (c->phase != CEL_AMQP_OVER) {
            ch->over = false; /* for this one */
            cel_amqp_call(ch, &bye, (struct cel_done){0});
            ch->over = true;
        }
    }
    cel_amqp_leave(c);
    return NULL;
}

/* ---- what the broker says on a channel ---- */

static void tell(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    celery_error err = {0};

    if (cel_amqp_send(ch->conn, ch->number, m, &err) < 0) {
        cel_amqp_fail(ch->conn, err.status, "%s", err.message);
    }
}

/* Crossing with our own channel.close: close-ok to that is still to come. */
static void on_close(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    struct cel_amqp_conn *c = ch->conn;
    celery_error err = {0};

    tell(ch, &(struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_CLOSE_OK});
    if (!ch->held || c->phase == CEL_AMQP_OVER) {
        return;
    }
    cel_amqp_explain_channel(m, &err);
    give_number_back(ch);
    cel_amqp_channel_end(ch, UINT64_MAX, &err, m);
    if (ch->held && c->phase != CEL_AMQP_OVER) {
        ch->events->closed(ch->ctx, &err);
    }
}

static void on_cancel(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    if (!(m->bits & CEL_AMQP_CANCEL_OK)) {
        tell(ch, &(struct cel_amqp_method){.id = CEL_AMQP_BASIC_CANCEL_OK,
                                           .consumer_tag = m->consumer_tag});
    }
    if (ch->conn->phase != CEL_AMQP_OVER && ch->events->cancelled) {
        ch->events->cancelled(ch->ctx, m->consumer_tag);
    }
}

static void on_flow(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    unsigned active = m->bits & CEL_AMQP_CANCEL_OK;

    ch->stopped = active == 0;
    tell(ch, &(struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_FLOW_OK, .bits = active});
    cel_amqp_pump(ch);
}

/* Our channel.close is out: only its answer counts, or the broker's own. */
static void closing_method(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    if (m->id == CEL_AMQP_CHANNEL_CLOSE) {
        on_close(ch, m);
    } else if (m->id == CEL_AMQP_CHANNEL_CLOSE_OK) {
        cel_amqp_answer(ch, m);
        give_number_back(ch);
    }
}

void cel_amqp_channel_method(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    if (!ch->held) {
        closing_method(ch, m);
        return;
    }
    if (ch->content.method.id != 0 && m->id != CEL_AMQP_CHANNEL_CLOSE) {
        cel_amqp_fail(ch->conn, CELERY_EPROTO, "%s in the middle of a message",
                      cel_amqp_method_name(m->id));
        return;
    }
    switch (m->id) {
    case CEL_AMQP_BASIC_DELIVER:
    case CEL_AMQP_BASIC_RETURN:
    case CEL_AMQP_BASIC_GET_OK:
        cel_amqp_content_begin(ch, m);
        break;
    case CEL_AMQP_BASIC_ACK:
    case CEL_AMQP_BASIC_NACK:
        cel_amqp_confirm(ch, m);
        break;
    case CEL_AMQP_BASIC_CANCEL:
        on_cancel(ch, m);
        break;
    case CEL_AMQP_CHANNEL_FLOW:
        on_flow(ch, m);
        break;
    case CEL_AMQP_CHANNEL_CLOSE:
        on_close(ch, m);
        break;
    default:
        cel_amqp_answer(ch, m);
    }
}
