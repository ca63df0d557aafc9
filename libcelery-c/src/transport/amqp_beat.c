/* SPDX-License-Identifier: BSD-3-Clause */
/* Heartbeats, and everything else that has a deadline; one timer for all. */
#include "transport/amqp_conn_priv.h"

#include "base/error.h"

#define GRACE \
    0.5 /* seconds between noticing that something is overdue and acting on it */

void cel_amqp_due(struct cel_amqp_conn *c, double at)
{
    if (c->timer && (c->due <= 0 || at < c->due)) {
        c->due = at;
        cel_source_rearm(c->timer, at);
    }
}

void cel_amqp_start_beat(struct cel_amqp_conn *c)
{
    if (c->heartbeat > 0) {
        c->beat_at = cel_loop_now(c->loop) + c->heartbeat / c->checkrate;
        cel_amqp_due(c, c->beat_at);
    }
}

/* Bytes of any kind tell the broker that we live; it is only told when there were none. */
static void send_beat(struct cel_amqp_conn *c)
{
    struct cel_buf *out = cel_conn_out(c->conn);
    size_t before = out->len;

    if (before == 0 && cel_conn_sent(c->conn) == c->beat_sent) {
        cel_amqp_put_heartbeat(out);
        c->put += out->len - before;
        cel_conn_flush(c->conn);
    }
    c->beat_sent = cel_conn_sent(c->conn);
}

/* Two silent intervals, as amqp/connection.py Connection.heartbeat_tick has it. */
static bool check_beat(struct cel_amqp_conn *c, double now, bool act)
{
    double dead = cel_conn_last_read(c->conn) + 2 * c->heartbeat;

    if (c->heartbeat <= 0) {
        return false;
    }
    if (now >= c->beat_at) {
        send_beat(c);
        c->beat_at = now + c->heartbeat / c->checkrate;
    }
    if (now >= dead && act) {
        cel_amqp_fail(c, CELERY_ETIMEOUT,
                      "nothing came from the broker for two heartbeats (%g s)",
                      2 * c->heartbeat);
        return true;
    }
    cel_amqp_due(c, now < dead && dead < c->beat_at ? dead : c->beat_at);
    return now >= dead;
}

static bool check_handshake(struct cel_amqp_conn *c, double now, bool act)
{
    if (c->phase < CEL_AMQP_GREETING || c->phase >= CEL_AMQP_UP) {
        return false;
    }
    if (now < c->deadline) {
        cel_amqp_due(c, c->deadline);
        return false;
    }
    if (act) {
        cel_amqp_fail(c, CELERY_ETIMEOUT,
                      c->phase == CEL_AMQP_GREETING
                          ? "no AMQP greeting within %g s: is it the right port?"
                          : "the login was not finished within %g s",
                      c->connect_timeout);
    }
    return true;
}

/* A blocked broker does not read: nothing is overdue until it does. */
static bool check_channels(struct cel_amqp_conn *c, double now, bool act)
{
    bool late = false;

    if (c->phase != CEL_AMQP_UP || c->blocked) {
        return false;
    }
    for (size_t i = 1; i < c->n_channels && c->phase == CEL_AMQP_UP; i++) {
        struct cel_amqp_channel *ch = c->channels[i];
        if (ch && cel_amqp_ops_check(ch, now, act)) {
            late = true;
        }
        if (ch && c->phase == CEL_AMQP_UP && cel_amqp_confirms_check(ch, now, act)) {
            late = true;
        }
        if (ch && c->phase == CEL_AMQP_UP && cel_amqp_waiting_check(ch, now, act)) {
            late = true;
        }
    }
    return late;
}

/*
 * What is overdue gets a period of grace: when it was us who did not run, the answer is in
 * the socket by now and is read before the timer fires again.
 */
static void on_timer(void *ctx)
{
    struct cel_amqp_conn *c = ctx;
    double now = cel_loop_now(c->loop);

    cel_amqp_enter(c);
    c->due = 0;
    bool act = c->late_since > 0 && now >= c->late_since + GRACE;
    bool late = check_handshake(c, now, act);
    if (c->phase > CEL_AMQP_LOGIN && c->phase != CEL_AMQP_OVER) {
        late = check_beat(c, now, act) || late;
        late = check_channels(c, now, act) || late;
    }
    if (!late || act) {
        c->late_since = 0;
    } else if (c->late_since <= 0) {
        c->late_since = now;
    }
    if (late && c->phase != CEL_AMQP_OVER) {
        cel_amqp_due(c, c->late_since > 0 ? c->late_since + GRACE : now);
    }
    cel_amqp_leave(c);
}

celery_status cel_amqp_timer(struct cel_amqp_conn *c, celery_error *err)
{
    if (cel_loop_add_timer(c->loop, &c->timer, 0, on_timer, c) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(c->timer);
    return CELERY_OK;
}
