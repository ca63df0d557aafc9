/* SPDX-License-Identifier: BSD-3-Clause */
/* The link of a receiver: connect, declare, consume, ask for heartbeats; and again. */
#include "client/events.h"
#include "codec/codec.h"

static void tell(struct celery_events *ev, const celery_error *why)
{
    double wait = why ? ev->link.next - cel_loop_now(ev->loop) : 0;

    if (ev->link_fn) {
        ev->link_fn(ev->ctx, why, wait > 0 ? wait : 0);
    }
}

static void down(struct celery_events *ev)
{
    ev->to_declare = 0;
    ev->heard = 0;
    ev->listening = false;
}

/* An exclusive queue outlives its connection until the broker has noticed (AMQP). */
enum { RESOURCE_LOCKED = 405 };

/* The queue is refused: that may last longer than a broken connection. */
static void give_up(struct celery_events *ev, const celery_error *why)
{
    celery_error copy = *why;

    down(ev);
    ev->transport->ops->close(ev->transport);
    cel_uplink_lost(&ev->link, &copy);
    if (copy.code == RESOURCE_LOCKED) {
        cel_events_rename(ev);
    } else {
        cel_uplink_postpone(&ev->link, cel_backoff_next(&ev->refused));
        ev->link.rounds++;
    }
    tell(ev, &copy);
}

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct celery_events *ev = ctx;
    struct cel_transport *t = ev->transport;
    celery_error why = {0};

    if (ev->to_declare == 0) {
        return; /* of a connection that was given up */
    }
    if (!err && --ev->to_declare > 0) {
        return;
    }
    for (size_t i = 0; i < ev->n_queues && !err; i++) {
        if (t->ops->consume(t, ev->queues[i].name, &why) < 0) {
            err = &why;
        }
    }
    if (err && err->status != CELERY_ECLOSED) {
        give_up(ev, err);
    }
}

static void on_up(void *ctx)
{
    struct celery_events *ev = ctx;
    struct cel_transport *t = ev->transport;

    down(ev);
    ev->to_declare = ev->n_queues;
    for (size_t i = 0; i < ev->n_queues && ev->to_declare > 0; i++) {
        t->ops->declare(t, &ev->queues[i], (struct cel_done){on_declared, ev});
    }
}

static void on_failed(void *ctx)
{
    struct celery_events *ev = ctx;

    tell(ev, &ev->link.last);
}

static void connect_transport(void *ctx, size_t url_index, struct cel_done done)
{
    struct celery_events *ev = ctx;

    ev->transport->ops->connect(ev->transport, url_index, done);
}

celery_status cel_events_link_start(struct celery_events *ev, celery_error *err)
{
    ev->link.loop = ev->loop;
    ev->link.n_urls = ev->n_urls;
    ev->link.strategy = cel_config_text(ev->config, "broker_failover_strategy");
    ev->link.connect = connect_transport;
    ev->link.up = on_up;
    ev->link.failed = on_failed;
    ev->link.ctx = ev;
    return cel_uplink_start(&ev->link, err);
}

/* ---- events of the transport ---- */

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct celery_events *ev = ctx;

    if (give_delivery->malformed) {
        give_delivery->envelope->body = CEL_SLICE_NULL; /* what is there is no body */
    }
    cel_events_receive(ev, give_delivery->envelope);
}

static void on_broadcast(void *ctx, const char *exchange, struct cel_slice routing_key,
                         struct cel_envelope *give_envelope)
{
    cel_events_receive(ctx, give_envelope);
}

static void on_listening(void *ctx, const char *queue)
{
    struct celery_events *ev = ctx;

    for (size_t i = 0; i < ev->n_queues; i++) {
        if (strcmp(ev->queues[i].name, queue) == 0) {
            ev->heard |= 1u << i;
        }
    }
    if (ev->listening || ev->heard != (1u << ev->n_queues) - 1) {
        return;
    }
    ev->listening = true;
    ev->counts.links++;
    cel_backoff_reset(&ev->refused);
    if (!ev->no_wakeup) {
        cel_events_wake_up(ev, NULL); /* without it they come at their next heartbeat */
    }
    tell(ev, NULL);
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct celery_events *ev = ctx;
    celery_error copy = *why;

    down(ev);
    cel_uplink_lost(&ev->link, &copy);
    tell(ev, &copy);
}

const struct cel_transport_events cel_events_transport_events = {
    .delivered = on_delivered,
    .lost = on_lost,
    .broadcast = on_broadcast,
    .listening = on_listening,
};

/* ---- waking workers up ---- */

static void on_sent(void *ctx, const celery_error *err, int64_t answer)
{
    cel_envelope_free(ctx);
}

celery_status cel_events_wake_up(struct celery_events *ev, celery_error *err)
{
    /* Control.broadcast() has a timeout of one second. */
    const struct cel_command_draft draft = {
        .method = "heartbeat", .clock = ++ev->clock, .timeout = 1};
    const char *serializer = cel_config_text(ev->config, "task_serializer");
    const struct cel_codec *codec = cel_codec_find(cel_slice_of(serializer));
    const char *exchange = ev->mailbox.exchange;
    const struct cel_queue queue = {.name = exchange,
                                    .exchange = exchange,
                                    .exchange_type = "fanout",
                                    .routing_key = "",
                                    .exchange_transient = true,
                                    .exchange_only = true};
    struct cel_transport *t = ev->transport;
    struct cel_envelope *env = NULL;
    celery_status status = cel_command_write(&ev->mailbox, &draft,
                                             codec ? codec : &cel_codec_json, &env, err);

    if (status == CELERY_OK) {
        t->ops->declare(t, &queue, (struct cel_done){0});
        t->ops->publish(t, exchange, "", env, (struct cel_done){on_sent, env});
    }
    return status;
}
