/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lock and state in RabbitMQ: the durable queue "celery-c.beat.<name>", which one beat alone
 * consumes (exclusive), and in it one message, the state.  The leader holds that message
 * unacknowledged; writing is publishing the next one and acknowledging the one before.  When the
 * leader's connection goes the broker gives queue and message to the next in one step.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "beat/lock.h"
#include "client/uplink.h"
#include "transport/amqp_target.h"

#include <stdio.h>

struct amqp_lock {
    struct cel_beat_lock base;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_amqp_options set;
    struct cel_transport_login login;
    struct cel_uplink link;
    struct cel_amqp_conn *conn;
    struct cel_tls *tls;
    struct cel_amqp_channel *channel;
    struct cel_done on_connected;
    struct cel_source *timer; /* the next attempt, or the end of a connection */
    bool broken;              /* the connection is to be dropped by the timer */
    celery_error why;
    char *queue;
    struct cel_buf state; /* of the newest message */
    uint64_t tag;         /* of it; 0: none */
    struct cel_buf next;  /* what is being published */
    struct cel_envelope *envelope;
    struct cel_done saved;
};

static struct amqp_lock *self(struct cel_beat_lock *base)
{
    return (struct amqp_lock *)base;
}

static double retry_after(const struct amqp_lock *a)
{
    return a->base.ttl / 3 < 1 ? a->base.ttl / 3 : 1;
}

static void again(struct amqp_lock *a)
{
    cel_source_rearm(a->timer, cel_loop_now(a->base.loop) + retry_after(a));
}

static void not_leader(struct amqp_lock *a, const celery_error *why)
{
    cel_buf_clear(&a->state);
    a->tag = 0;
    cel_beat_lock_lose(&a->base, why);
}

/* ---- the channel ---- */

static void on_delivered(void *ctx, const struct cel_amqp_method *deliver,
                         struct cel_envelope *give_envelope,
                         const celery_error *malformed)
{
    struct amqp_lock *a = ctx;

    if (a->tag) {
        cel_amqp_tell(a->channel,
                      &(struct cel_amqp_method){.id = CEL_AMQP_BASIC_ACK, .tag = a->tag});
    }
    a->tag = deliver->tag;
    cel_buf_clear(&a->state);
    if (give_envelope) {
        cel_buf_add_slice(&a->state, give_envelope->body);
    }
    cel_envelope_free(give_envelope);
}

/* By the timer: a connection is not freed from inside its channel's events. */
static void break_off(struct amqp_lock *a, const celery_error *why)
{
    a->broken = true;
    a->why = *why;
    cel_source_rearm(a->timer, cel_loop_now(a->base.loop));
}

static void on_cancelled(void *ctx, struct cel_slice consumer_tag)
{
    celery_error err = {0};

    (void)consumer_tag;
    cel_error_set(&err, CELERY_ECLOSED, "its queue was deleted");
    break_off(ctx, &err);
}

static void on_channel_closed(void *ctx, const celery_error *why)
{
    struct amqp_lock *a = ctx;

    a->channel = cel_amqp_channel_free(a->channel);
    not_leader(a, why);
    again(a);
}

static const struct cel_amqp_channel_events channel_events = {
    .delivered = on_delivered, .cancelled = on_cancelled, .closed = on_channel_closed};

/* Its answer comes behind all that the queue had for us. */
static void on_counted(void *ctx, const celery_error *err, int64_t answer)
{
    struct amqp_lock *a = ctx;

    if (!err) {
        cel_beat_lock_gain(&a->base, cel_buf_slice(&a->state));
    }
}

static struct cel_amqp_method declare(const struct amqp_lock *a, unsigned bits)
{
    return (struct cel_amqp_method){
        .id = CEL_AMQP_QUEUE_DECLARE, .queue = cel_slice_of(a->queue), .bits = bits};
}

static void on_consuming(void *ctx, const celery_error *err, int64_t answer)
{
    struct amqp_lock *a = ctx;
    struct cel_amqp_method m = declare(a, CEL_AMQP_PASSIVE | CEL_AMQP_DURABLE);

    if (!err) {
        cel_amqp_call(a->channel, &m, (struct cel_done){on_counted, a});
    } else if (err->code == 403) {
        /* ACCESS_REFUSED: "queue ... in exclusive use", or no permission */
        bool taken = strstr(err->message, "exclusive") != NULL;

        cel_beat_lock_wait(&a->base, taken ? "another beat has it" : err->message);
    } else {
        cel_beat_lock_wait(&a->base, err->message);
    }
}

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct amqp_lock *a = ctx;
    struct cel_amqp_method m = {.id = CEL_AMQP_BASIC_CONSUME,
                                .queue = cel_slice_of(a->queue),
                                .consumer_tag = CEL_SLICE("celery-c.beat"),
                                .bits = CEL_AMQP_EXCLUSIVE};

    if (err) {
        cel_beat_lock_wait(&a->base, err->message);
    } else {
        cel_amqp_call(a->channel, &m, (struct cel_done){on_consuming, a});
    }
}

static void attempt(struct amqp_lock *a)
{
    struct cel_amqp_method m = declare(a, CEL_AMQP_DURABLE);
    celery_error err = {0};

    if (cel_amqp_channel_open(a->conn, &channel_events, a, &a->channel, &err) < 0) {
        cel_beat_lock_wait(&a->base, err.message);
        again(a);
        return;
    }
    cel_amqp_call(a->channel, &m, (struct cel_done){on_declared, a});
}

static void drop(struct amqp_lock *a)
{
    a->broken = false;
    a->conn = cel_amqp_conn_free(a->conn);
    a->channel = NULL;
    a->tls = cel_tls_free(a->tls);
    cel_source_disarm(a->timer);
}

static void on_timer(void *ctx)
{
    struct amqp_lock *a = ctx;

    if (a->broken) {
        drop(a);
        not_leader(a, &a->why);
        cel_uplink_lost(&a->link, &a->why);
    } else if (a->conn && !a->channel && a->link.state == CEL_UPLINK_UP) {
        attempt(a);
    }
}

/* ---- connection ---- */

static void on_opened(void *ctx)
{
    struct amqp_lock *a = ctx;
    struct cel_done done = a->on_connected;

    a->on_connected = (struct cel_done){0};
    cel_done(done, NULL, 0);
    cel_source_rearm(a->timer, cel_loop_now(a->base.loop));
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct amqp_lock *a = ctx;
    struct cel_done done = a->on_connected;
    celery_error copy = *why;

    a->on_connected = (struct cel_done){0};
    drop(a);
    not_leader(a, &copy);
    if (done.fn) {
        cel_done(done, &copy, 0);
    } else {
        cel_uplink_lost(&a->link, &copy);
    }
}

static const struct cel_amqp_conn_events conn_events = {.opened = on_opened,
                                                        .closed = on_closed};

static void connect_to(void *ctx, size_t index, struct cel_done done)
{
    struct amqp_lock *a = ctx;
    struct cel_amqp_target target;
    celery_error err = {0};
    celery_status status = cel_amqp_target_init(
        &target, a->urls[index], &a->set, &a->login,
        cel_config_double(a->base.config, "broker_connection_timeout", 4), &err);

    a->on_connected = done;
    if (status == CELERY_OK) {
        /* A dead leader is noticed within the lock's time, by both sides. */
        target.params.heartbeat = a->base.ttl > 1 ? a->base.ttl : 1;
        target.params.name = "celery-c beat";
        a->tls = target.tls;
        target.tls = NULL;
        status = cel_amqp_conn_open(a->base.loop, &target.params, &conn_events, a,
                                    &a->conn, &err);
    }
    cel_amqp_target_fini(&target);
    if (status < 0) {
        a->on_connected = (struct cel_done){0};
        a->conn = NULL;
        a->tls = cel_tls_free(a->tls);
        cel_done(done, &err, 0);
    }
}

static void on_failed(void *ctx)
{
    struct amqp_lock *a = ctx;

    cel_beat_lock_wait(&a->base, a->link.last.message);
}

/* ---- state ---- */

static void on_saved(void *ctx, const celery_error *err, int64_t answer)
{
    struct amqp_lock *a = ctx;
    struct cel_done done = a->saved;

    a->saved = (struct cel_done){0};
    a->envelope = cel_envelope_free(a->envelope);
    cel_done(done, err, 0);
}

static void amqp_save(struct cel_beat_lock *base, struct cel_slice text,
                      struct cel_done done)
{
    struct amqp_lock *a = self(base);
    celery_error err = {0};

    a->envelope = cel_envelope_new();
    cel_buf_clear(&a->next);
    if (!base->held || !a->channel || !a->envelope ||
        cel_buf_add_slice(&a->next, text) < 0) {
        a->envelope = cel_envelope_free(a->envelope);
        cel_error_set(&err, CELERY_ECLOSED, "not connected");
        cel_done(done, &err, 0);
        return;
    }
    a->saved = done;
    a->envelope->content_type = CEL_SLICE("application/json");
    a->envelope->content_encoding = CEL_SLICE("utf-8");
    a->envelope->delivery_mode = 2;
    a->envelope->body = cel_buf_slice(&a->next);
    cel_amqp_publish(a->channel, "", a->queue, true, a->envelope,
                     (struct cel_done){on_saved, a});
}

/* The next writing takes its place; there is nowhere to keep it. */
static void amqp_set_aside(struct cel_beat_lock *base, char *text, size_t size)
{
    (void)base;
    *text = '\0';
}

/* ---- life ---- */

static celery_status amqp_init(struct cel_beat_lock *base, celery_error *err)
{
    struct amqp_lock *a = self(base);
    const struct cel_config *c = base->config;
    struct cel_buf name = {0};
    char text[128];

    cel_buf_init(&a->state, (size_t)64 << 20);
    a->login = (struct cel_transport_login){
        .method = cel_config_text(c, "broker_login_method"),
        .checkrate = cel_config_double(c, "broker_heartbeat_checkrate", 0),
    };
    celery_status status =
        cel_transport_urls(c, "broker_write_url", &a->urls, &a->n_urls, err);

    if (status == CELERY_OK && (a->n_urls == 0 || !strstr(a->urls[0]->scheme, "amqp"))) {
        status = cel_error_set(err, CELERY_ECONFIG,
                               "beat_c_lock is amqp, but broker_url is not");
    }
    if (status == CELERY_OK) {
        status = cel_amqp_options_read(cel_config_doc(c, "broker_transport_options"),
                                       &a->set, err);
    }
    if (status < 0) {
        return status;
    }
    cel_buf_addf(&name, "celery-c.beat.%s", base->name);
    a->queue = cel_buf_steal(&name);
    cel_buf_fini(&name);
    cel_url_text(a->urls[0], text, sizeof text);
    snprintf(base->where, sizeof base->where, "%.90s queue %.50s", text,
             a->queue ? a->queue : "");
    return a->queue ? CELERY_OK : cel_error_nomem(err);
}

static celery_status amqp_start(struct cel_beat_lock *base, celery_error *err)
{
    struct amqp_lock *a = self(base);

    if (cel_loop_add_timer(base->loop, &a->timer, 0, on_timer, a) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(a->timer);
    a->link = (struct cel_uplink){
        .loop = base->loop,
        .n_urls = a->n_urls,
        .strategy = cel_config_text(base->config, "broker_failover_strategy"),
        .connect = connect_to,
        .failed = on_failed,
        .ctx = a,
    };
    return cel_uplink_start(&a->link, err);
}

static void amqp_fini(struct cel_beat_lock *base)
{
    struct amqp_lock *a = self(base);

    base->held = false;
    a->saved = (struct cel_done){0};
    if (a->link.loop) {
        cel_uplink_stop(&a->link);
    }
    a->conn = cel_amqp_conn_free(a->conn);
    cel_source_free(a->timer);
    cel_tls_free(a->tls);
    cel_envelope_free(a->envelope);
    cel_amqp_options_fini(&a->set);
    cel_url_free_list(a->urls, a->n_urls);
    cel_buf_fini(&a->state);
    cel_buf_fini(&a->next);
    cel_free(a->queue);
}

const struct cel_beat_lock_ops cel_beat_lock_amqp = {
    .name = "amqp",
    .size = sizeof(struct amqp_lock),
    .init = amqp_init,
    .start = amqp_start,
    .save = amqp_save,
    .set_aside = amqp_set_aside,
    .fini = amqp_fini,
};
