/* SPDX-License-Identifier: BSD-3-Clause */
/* What is consumed from, and the second connection, which tells of it. */
#include "transport/redis_listen.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/redis_claim.h"
#include "transport/redis_lease.h"
#include "transport/redis_wait.h"

static void listen_to(struct cel_redis_transport *r, const struct cel_redis_queue *q,
                      bool on)
{
    char *channel = cel_redis_channel(&r->keys, cel_slice_of(q->exchange),
                                      cel_slice_of(q->routing_key), true);

    if (!channel) {
        cel_redis_abandon_text(r, CELERY_ENOMEM, "subscribing");
    } else if (on) {
        cel_redis_subscribe(r->sub, cel_slice_of(channel), true);
    } else {
        cel_redis_unsubscribe(r->sub, cel_slice_of(channel), true);
    }
    cel_free(channel);
}

static void on_sub_opened(void *ctx)
{
    struct cel_redis_transport *r = ctx;
    struct cel_list *it, *tmp;

    r->sub_open = true;
    cel_redis_subscribe(r->sub, CEL_SLICE("__redis__:invalidate"), false);
    cel_list_foreach(it, tmp, &r->queues) {
        struct cel_redis_queue *q = cel_container_of(it, struct cel_redis_queue, node);

        if (q->consuming && q->type == CEL_EXCHANGE_FANOUT) {
            listen_to(r, q, true);
        }
    }
    cel_redis_wait_ready(r);
}

static void on_subscribed(void *ctx, struct cel_slice channel)
{
    struct cel_redis_transport *r = ctx;
    unsigned connects = r->connects;
    struct cel_list *it, *tmp;

    if (!r->base.events->listening) {
        return;
    }
    cel_list_foreach(it, tmp, &r->queues) {
        struct cel_redis_queue *q = cel_container_of(it, struct cel_redis_queue, node);
        bool fanout = q->consuming && q->type == CEL_EXCHANGE_FANOUT;
        char *own = fanout ? cel_redis_channel(&r->keys, cel_slice_of(q->exchange),
                                               cel_slice_of(q->routing_key), true)
                           : NULL;
        bool same = own && cel_slice_is(channel, own);

        cel_free(own);
        if (same) {
            r->base.events->listening(r->base.events_ctx, q->name);
        }
        if (r->connects != connects) {
            return;
        }
    }
}

static void on_message(void *ctx, struct cel_slice channel, struct cel_slice payload)
{
    struct cel_redis_transport *r = ctx;
    struct cel_slice exchange, routing_key;
    struct cel_envelope *env = NULL;
    char name[256];

    if (!r->base.events->broadcast || payload.len > r->base.max_message ||
        !cel_redis_channel_split(&r->keys, channel, &exchange, &routing_key) ||
        exchange.len >= sizeof name) {
        return;
    }
    memcpy(name, exchange.data, exchange.len);
    name[exchange.len] = 0;
    if (cel_envelope_read(payload, &env, NULL) < 0) {
        cel_envelope_free(env); /* a broadcast is nobody's to keep */
        return;
    }
    r->base.events->broadcast(r->base.events_ctx, name, routing_key, env);
}

static void on_invalidated(void *ctx, const struct cel_resp *keys)
{
    cel_redis_wait_report(ctx, keys);
}

static const struct cel_redis_events sub_events = {
    .opened = on_sub_opened,
    .closed = cel_redis_on_closed,
    .message = on_message,
    .subscribed = on_subscribed,
    .invalidated = on_invalidated,
};

/* ---- consuming ---- */

celery_status cel_redis_consume(struct cel_transport *t, const char *queue,
                                celery_error *err)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q;
    celery_status status;

    if (!r->connected) {
        return cel_error_set(err, CELERY_ECLOSED, "not connected to the broker");
    }
    q = cel_redis_find_queue(r, queue);
    if (!q) {
        return cel_error_nomem(err);
    }
    if (q->consuming) {
        return CELERY_OK;
    }
    if (!r->sub) {
        r->sub_open = false;
        status = cel_redis_open_connection(r, &sub_events, &r->sub, err);
        if (status < 0) {
            return status;
        }
    }
    q->consuming = true;
    if (q->type == CEL_EXCHANGE_FANOUT) {
        if (r->sub_open) {
            listen_to(r, q, true);
        }
        return CELERY_OK;
    }
    if (cel_redis_claim_add_queue(r, q) < 0 || cel_redis_wait_start(r, err) < 0 ||
        cel_redis_lease_start(r, err) < 0) {
        return cel_error_nomem(err);
    }
    cel_redis_wait_changed(r);
    return CELERY_OK;
}

celery_status cel_redis_cancel(struct cel_transport *t, const char *queue,
                               celery_error *err)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q = cel_redis_find_queue(r, queue);

    if (!q) {
        return cel_error_nomem(err);
    }
    if (!q->consuming) {
        return CELERY_OK;
    }
    if (q->type != CEL_EXCHANGE_FANOUT) {
        cel_redis_claim_remove_queue(r, q);
        cel_redis_wait_changed(r);
    } else if (r->sub_open) {
        listen_to(r, q, false);
    }
    q->consuming = false;
    return CELERY_OK;
}
