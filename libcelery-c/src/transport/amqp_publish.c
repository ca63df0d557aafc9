/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages out: written at once, or kept while the broker does not take any. */
#include "transport/amqp_conn_priv.h"

#include "base/alloc.h"
#include "base/error.h"

/* Whether the broker, the buffer and the list of unconfirmed ones take another message. */
static bool may_write(const struct cel_amqp_channel *ch)
{
    const struct cel_amqp_conn *c = ch->conn;

    return c->phase == CEL_AMQP_UP && !c->blocked && !ch->stopped &&
           ch->count < CEL_AMQP_MAX_WAITING &&
           c->put - cel_conn_sent(c->conn) < c->out_high_water;
}

static celery_status put_message(struct cel_amqp_channel *ch, const char *exchange,
                                 const char *key, bool mandatory,
                                 const struct cel_envelope *env, celery_error *err)
{
    struct cel_amqp_conn *c = ch->conn;
    struct cel_buf *out = cel_conn_out(c->conn);
    size_t before = out->len;
    const struct cel_amqp_method m = {
        .id = CEL_AMQP_BASIC_PUBLISH,
        .exchange = cel_slice_of(exchange),
        .routing_key = cel_slice_of(key),
        .bits = mandatory ? CEL_AMQP_MANDATORY : 0,
    };

    celery_status status = cel_amqp_method_put(out, ch->number, &m, err);
    if (status == CELERY_OK) {
        status =
            cel_amqp_header_put(out, ch->number, env, env->body.len, c->frame_max, err);
    }
    if (status == CELERY_OK &&
        cel_amqp_put_body(out, ch->number, env->body, c->frame_max) < 0) {
        status = cel_error_nomem(err);
    }
    if (status < 0) {
        cel_amqp_unwrite(out, before);
        return status;
    }
    cel_amqp_wrote(c, out, before);
    return CELERY_OK;
}

/* The broker's answer, if any, comes with an error of the channel: nobody waits for it. */
static void select_confirms(struct cel_amqp_channel *ch)
{
    if (!ch->confirming) {
        ch->confirming = true;
        cel_amqp_call(ch, &(struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT},
                      (struct cel_done){0});
    }
}

static void write_message(struct cel_amqp_channel *ch, const char *exchange,
                          const char *key, bool mandatory, const struct cel_envelope *env,
                          struct cel_done done)
{
    celery_error err = {0};
    celery_status status = CELERY_OK;

    select_confirms(ch);
    if (env->body.len > CEL_AMQP_MAX_BODY) {
        status = cel_error_set(&err, CELERY_ELIMIT,
                               "a message of %zu bytes: more than %zu are not sent",
                               env->body.len, CEL_AMQP_MAX_BODY);
    }
    if (status == CELERY_OK) {
        status = cel_amqp_confirm_reserve(ch, &err);
    }
    if (status == CELERY_OK) {
        status = put_message(ch, exchange, key, mandatory, env, &err);
    }
    if (status < 0) {
        cel_done(done, &err, 0);
        return;
    }
    cel_amqp_confirm_push(ch, exchange, key, mandatory, env, done);
}

/* ---- the list of those that wait ---- */

static celery_status wait_in_line(struct cel_amqp_channel *ch, const char *exchange,
                                  const char *key, bool mandatory,
                                  const struct cel_envelope *env, struct cel_done done,
                                  celery_error *err)
{
    size_t exchange_size = strlen(exchange) + 1;
    size_t key_size = strlen(key) + 1;

    if (ch->n_waiting >= CEL_AMQP_MAX_WAITING) {
        return cel_error_set(err, CELERY_ELIMIT, "%s: more than %d messages wait%s",
                             ch->conn->text, CEL_AMQP_MAX_WAITING,
                             ch->conn->blocked ? ": the broker takes none" : "");
    }
    struct cel_amqp_waiting *w = cel_alloc(sizeof *w + exchange_size + key_size);
    if (!w) {
        return cel_error_nomem(err);
    }
    *w = (struct cel_amqp_waiting){
        .done = done,
        .envelope = env,
        .at = cel_loop_now(ch->conn->loop),
        .mandatory = mandatory,
        .key = w->exchange + exchange_size,
    };
    memcpy(w->exchange, exchange, exchange_size);
    memcpy(w->exchange + exchange_size, key, key_size);
    cel_list_append(&ch->waiting, &w->link);
    ch->n_waiting++;
    cel_amqp_due(ch->conn, w->at + ch->conn->confirm_timeout);
    return CELERY_OK;
}

static struct cel_amqp_waiting *take_first(struct cel_amqp_channel *ch)
{
    struct cel_amqp_waiting *w =
        cel_container_of(cel_list_first(&ch->waiting), struct cel_amqp_waiting, link);

    cel_list_remove(&w->link);
    ch->n_waiting--;
    return w;
}

void cel_amqp_pump(struct cel_amqp_channel *ch)
{
    while (!ch->over && !cel_list_empty(&ch->waiting) && may_write(ch)) {
        struct cel_amqp_waiting *w = take_first(ch);
        write_message(ch, w->exchange, w->key, w->mandatory, w->envelope, w->done);
        cel_free(w);
    }
}

void cel_amqp_pump_all(struct cel_amqp_conn *c)
{
    for (size_t i = 1; i < c->n_channels; i++) {
        if (c->channels[i]) {
            cel_amqp_pump(c->channels[i]);
        }
    }
}

static void end_first(struct cel_amqp_channel *ch, const celery_error *err)
{
    struct cel_amqp_waiting *w = take_first(ch);
    struct cel_done done = w->done;

    cel_free(w);
    cel_done(done, err, 0);
}

void cel_amqp_waiting_end(struct cel_amqp_channel *ch, const celery_error *why)
{
    celery_error err = *why;

    err.status = CELERY_ECLOSED;
    while (!cel_list_empty(&ch->waiting)) {
        end_first(ch, &err);
    }
}

bool cel_amqp_waiting_check(struct cel_amqp_channel *ch, double now, bool act)
{
    struct cel_amqp_conn *c = ch->conn;
    celery_error err = {0};
    bool late = false;

    cel_error_set(&err, CELERY_ETIMEOUT,
                  "%s: not sent within %g s: the broker is too slow", c->text,
                  c->confirm_timeout);
    while (!cel_list_empty(&ch->waiting)) {
        const struct cel_amqp_waiting *w =
            cel_container_of(ch->waiting.next, struct cel_amqp_waiting, link);
        double at = w->at > c->unblocked_at ? w->at : c->unblocked_at;
        if (now < at + c->confirm_timeout) {
            cel_amqp_due(c, at + c->confirm_timeout);
            return late;
        }
        late = true;
        if (!act) {
            return true;
        }
        end_first(ch, &err);
    }
    return late;
}

void cel_amqp_publish(struct cel_amqp_channel *ch, const char *exchange, const char *key,
                      bool mandatory, const struct cel_envelope *env,
                      struct cel_done done)
{
    struct cel_amqp_conn *c = ch->conn;
    celery_error err = {0};
    celery_status status = CELERY_OK;

    cel_amqp_enter(c);
    if (ch->over) {
        status =
            cel_error_set(&err, CELERY_ECLOSED, "%s: the channel is closed", c->text);
    } else if (cel_list_empty(&ch->waiting) && may_write(ch)) {
        write_message(ch, exchange, key, mandatory, env, done);
    } else {
        status = wait_in_line(ch, exchange, key, mandatory, env, done, &err);
    }
    if (status < 0) {
        cel_done(done, &err, 0);
    }
    cel_amqp_leave(c);
}

size_t cel_amqp_unconfirmed(const struct cel_amqp_channel *ch)
{
    return ch->untold + ch->n_waiting;
}
