/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages that are on their way to the broker: acks, nacks, returns, deadlines. */
#include "transport/amqp_conn_priv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"

#define FIRST_RING 64

static struct cel_amqp_confirm *at_tag(struct cel_amqp_channel *ch, uint64_t tag)
{
    return &ch->ring[(ch->head + (size_t)(tag - ch->first_tag)) & (ch->ring_size - 1)];
}

static uint64_t end_tag(const struct cel_amqp_channel *ch)
{
    return ch->first_tag + ch->count;
}

celery_status cel_amqp_confirm_reserve(struct cel_amqp_channel *ch, celery_error *err)
{
    if (ch->count < ch->ring_size) {
        return CELERY_OK;
    }
    size_t size = ch->ring_size ? 2 * ch->ring_size : FIRST_RING;
    struct cel_amqp_confirm *ring = cel_alloc(size * sizeof *ring);
    if (!ring) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < ch->count; i++) {
        ring[i] = *at_tag(ch, ch->first_tag + i);
    }
    cel_free(ch->ring);
    ch->ring = ring;
    ch->ring_size = size;
    ch->head = 0;
    return CELERY_OK;
}

static uint64_t mark_of(uint64_t exchange, struct cel_slice key,
                        struct cel_slice correlation_id, uint64_t body_size)
{
    uint64_t mark = exchange * 3 + cel_hash(key) * 5 + cel_hash(correlation_id) * 7;

    return mark + body_size ? mark + body_size : 1;
}

void cel_amqp_confirm_push(struct cel_amqp_channel *ch, const char *exchange,
                           const char *key, bool mandatory,
                           const struct cel_envelope *env, struct cel_done done)
{
    struct cel_amqp_conn *c = ch->conn;
    uint64_t hash = cel_hash(cel_slice_of(exchange));

    ch->count++;
    ch->untold++;
    struct cel_amqp_confirm *p = at_tag(ch, end_tag(ch) - 1);
    *p = (struct cel_amqp_confirm){
        .done = done,
        .end = c->put,
        .at = cel_loop_now(c->loop),
        .exchange = hash,
        .size = env->body.len,
    };
    if (mandatory) {
        p->mark = mark_of(hash, cel_slice_of(key), env->correlation_id, env->body.len);
    }
    if (c->due <= 0 || p->at + c->confirm_timeout < c->due) {
        cel_amqp_due(c, p->at + c->confirm_timeout);
    }
}

static void pop_settled(struct cel_amqp_channel *ch)
{
    while (ch->count > 0 && ch->ring[ch->head].settled) {
        ch->head = (ch->head + 1) & (ch->ring_size - 1);
        ch->first_tag++;
        ch->count--;
    }
    if (ch->return_from < ch->first_tag) {
        ch->return_from = ch->first_tag;
    }
    if (ch->check_from < ch->first_tag) {
        ch->check_from = ch->first_tag;
    }
}

static void say(struct cel_amqp_channel *ch, struct cel_amqp_confirm *p,
                const celery_error *err)
{
    struct cel_done done = p->done;

    if (!p->told) {
        p->told = true;
        ch->untold--;
        cel_done(done, err, 0); /* the ring may be another one now */
    }
}

/* ---- ack, nack ---- */

void cel_amqp_confirm(struct cel_amqp_channel *ch, const struct cel_amqp_method *m)
{
    bool multiple = m->bits & CEL_AMQP_MULTIPLE;
    uint64_t last = multiple && m->tag == 0 ? end_tag(ch) - 1 : m->tag;
    uint64_t tag = multiple ? ch->first_tag : last;
    celery_error nacked = {0};

    if (last >= end_tag(ch) || last < ch->first_tag || at_tag(ch, last)->settled) {
        cel_amqp_fail(ch->conn, CELERY_EPROTO,
                      "a confirm for message %llu: it waits for none",
                      (unsigned long long)m->tag);
        return;
    }
    if (m->id == CEL_AMQP_BASIC_NACK) {
        cel_error_set(&nacked, CELERY_ELIMIT,
                      "the broker refused the message: its queue is full or failed");
    }
    for (; !ch->over && tag <= last; tag++) {
        struct cel_amqp_confirm *p = at_tag(ch, tag);
        p->settled = true;
        say(ch, p, nacked.status < 0 ? &nacked : NULL);
    }
    if (!ch->over) {
        pop_settled(ch);
        cel_amqp_pump(ch);
    }
}

/* ---- returns ---- */

/*
 * basic.return names no message.  RabbitMQ returns in the order of publishing
 * (rabbit_channel.erl deliver_to_queues), each before its confirm.
 */
static struct cel_amqp_confirm *find_returned(struct cel_amqp_channel *ch, uint64_t mark)
{
    for (uint64_t tag = ch->return_from; tag < end_tag(ch); tag++) {
        struct cel_amqp_confirm *p = at_tag(ch, tag);
        if (p->mark == mark && !p->settled) {
            ch->return_from = tag + 1;
            return p;
        }
    }
    return NULL;
}

void cel_amqp_returned(struct cel_amqp_channel *ch, const struct cel_amqp_method *m,
                       const struct cel_envelope *env, uint64_t body_size)
{
    celery_error err = {0};
    struct cel_amqp_confirm *p =
        find_returned(ch, mark_of(cel_hash(m->exchange), m->routing_key,
                                  env->correlation_id, body_size));

    if (!p) {
        cel_amqp_fail(ch->conn, CELERY_EPROTO,
                      "a message came back that was not sent from here (%s)",
                      cel_log_safe(m->routing_key));
        return;
    }
    cel_error_set(&err, CELERY_ENOTSUP,
                  "no queue takes the message (exchange '%s', routing key '%s'): %u %s",
                  cel_log_safe(m->exchange), cel_log_safe(m->routing_key), m->code,
                  cel_log_safe(m->text));
    err.code = m->code;
    say(ch, p, &err);
}

/* ---- the end, and deadlines ---- */

void cel_amqp_confirms_end(struct cel_amqp_channel *ch, uint64_t sent,
                           const celery_error *why, const struct cel_amqp_method *close)
{
    bool behind = false; /* what comes behind the one that is complained of was ignored */

    for (; ch->count > 0; ch->count--) {
        struct cel_amqp_confirm *p = &ch->ring[ch->head];
        celery_error err = *why;
        ch->head = (ch->head + 1) & (ch->ring_size - 1);
        ch->first_tag++;
        if (behind) {
            err.status = CELERY_ECLOSED;
        } else if (close && cel_amqp_complains_of(close, p->exchange, p->size)) {
            behind = true;
        } else {
            err.status = cel_amqp_outcome(p->end, sent);
        }
        say(ch, p, &err);
    }
}

/* A dead connection if nothing at all came since; otherwise a queue that does not answer. */
static void give_up_on(struct cel_amqp_channel *ch, struct cel_amqp_confirm *p)
{
    struct cel_amqp_conn *c = ch->conn;
    celery_error err = {0};

    if (cel_conn_last_read(c->conn) < p->at) {
        cel_amqp_fail(c, CELERY_ETIMEOUT,
                      "no confirm within %g s, and nothing else from the broker",
                      c->confirm_timeout);
        return;
    }
    cel_error_set(&err, CELERY_EUNCERTAIN, "%s: no confirm within %g s", c->text,
                  c->confirm_timeout);
    say(ch, p, &err);
}

bool cel_amqp_confirms_check(struct cel_amqp_channel *ch, double now, bool act)
{
    struct cel_amqp_conn *c = ch->conn;
    bool late = false;

    for (; !ch->over && ch->check_from < end_tag(ch); ch->check_from++) {
        struct cel_amqp_confirm *p = at_tag(ch, ch->check_from);
        double at = p->at > c->unblocked_at ? p->at : c->unblocked_at;
        if (p->told) {
            continue;
        }
        if (now < at + c->confirm_timeout) {
            cel_amqp_due(c, at + c->confirm_timeout);
            return late;
        }
        late = true;
        if (!act) {
            return true;
        }
        give_up_on(ch, p);
    }
    return late;
}
