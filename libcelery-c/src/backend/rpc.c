/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rpc://: a result is a message to the queue that the task's sender named in reply_to
 * (celery/backends/rpc.py).  Speaks to the broker by a connection of its own, over whatever
 * transport the broker's URL asks for.
 */
#include "backend/rpc.h"
#include "backend/builtin.h"
#include "base/alloc.h"
#include "base/error.h"

void cel_rpc_refuse(struct cel_done done, celery_status status, const char *text)
{
    celery_error err = {0};

    cel_error_set(&err, status, "result backend: %s", text);
    cel_done(done, &err, 0);
}

/* ---- the reply queue ---- */

/* RPCBackend.binding: expires=result_expires, by kombu x-expires in milliseconds. */
static celery_status make_arguments(struct cel_rpc *b)
{
    struct cel_arena *a = &b->arena;

    if (b->expires_ms <= 0) {
        return CELERY_OK;
    }
    b->arguments = cel_node_new(a, CELERY_KIND_OBJECT);
    return b->arguments ? cel_node_put(a, b->arguments, CEL_SLICE("x-expires"),
                                       cel_node_new_int(a, b->expires_ms))
                        : CELERY_ENOMEM;
}

/* ---- connecting ---- */

static void try_next(struct cel_rpc *b);

static void connected(struct cel_rpc *b, const celery_error *err)
{
    struct cel_done done = b->on_connected;
    celery_error copy = err ? *err : (celery_error){0};

    b->on_connected = (struct cel_done){0};
    b->state = err ? CEL_RPC_OFF : CEL_RPC_OPEN;
    if (err && b->transport) {
        b->transport->ops->close(b->transport);
    }
    cel_done(done, err ? &copy : NULL, 0);
}

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_rpc *b = ctx;
    celery_error why = {0};

    if (b->state != CEL_RPC_DECLARING) {
        return;
    }
    if (!err && b->transport->ops->consume(b->transport, b->base.reply_to, &why) < 0) {
        err = &why;
    }
    connected(b, err);
}

/*
 * Celery 5.7 declares it durable, because RabbitMQ 4.3 knows no other queues that are not
 * exclusive; versions before it do not.  Only its owner declares it, so they do not meet.
 */
static void declare(struct cel_rpc *b)
{
    const struct cel_queue queue = {
        .name = b->base.reply_to,
        .exchange = "",
        .exchange_type = "direct",
        .routing_key = b->base.reply_to,
        .arguments = b->arguments,
        .durable = true,
        .auto_delete = true,
        .no_ack = true,
    };
    b->state = CEL_RPC_DECLARING;
    b->transport->ops->declare(b->transport, &queue, (struct cel_done){on_declared, b});
}

static void on_link(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_rpc *b = ctx;

    if (b->state != CEL_RPC_CONNECTING) {
        return;
    }
    if (err) {
        if (cel_failover_next(&b->failover)) {
            connected(b, err);
        } else {
            try_next(b);
        }
        return;
    }
    cel_failover_works(&b->failover);
    if (b->base.reply_to) {
        declare(b);
    } else {
        connected(b, NULL);
    }
}

static void try_next(struct cel_rpc *b)
{
    b->transport->ops->connect(b->transport, b->failover.at,
                               (struct cel_done){on_link, b});
}

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    cel_rpc_replied(ctx, give_delivery->envelope);
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct cel_rpc *b = ctx;
    bool was_open = b->state == CEL_RPC_OPEN;

    cel_rpc_unwatch_all(b);
    if (was_open) {
        b->state = CEL_RPC_OFF;
        b->base.events->lost(b->base.events_ctx, why);
    } else if (b->state != CEL_RPC_OFF) {
        connected(b, why);
    }
}

static const struct cel_transport_events transport_events = {.delivered = on_delivered,
                                                             .lost = on_lost};

/*
 * Each connect() begins with a new transport: replies that the old one had taken and could
 * not settle are the broker's again, and come once more.
 */
static celery_status new_transport(struct cel_rpc *b, celery_error *err)
{
    b->transport = cel_transport_free(b->transport);
    celery_status status =
        cel_transport_new(b->base.loop, b->urls, b->n_urls,
                          cel_config_doc(b->config, "broker_transport_options"),
                          &transport_events, b, &b->transport, err);
    if (status == CELERY_OK) {
        cel_transport_set_up(b->transport, b->config);
    }
    return status;
}

static void rpc_close(struct cel_backend *base)
{
    struct cel_rpc *b = cel_rpc(base);
    struct cel_done done = b->on_connected;

    b->on_connected = (struct cel_done){0};
    b->state = CEL_RPC_OFF;
    if (b->transport) {
        b->transport->ops->close(b->transport);
    }
    cel_rpc_unwatch_all(b);
    if (done.fn) {
        cel_rpc_refuse(done, CELERY_ECLOSED, "connection closed");
    }
}

static void rpc_connect(struct cel_backend *base, size_t url_index, struct cel_done done)
{
    struct cel_rpc *b = cel_rpc(base);
    celery_error err = {0};

    rpc_close(base);
    if (new_transport(b, &err) < 0) {
        cel_done(done, &err, 0);
        return;
    }
    b->on_connected = done;
    b->state = CEL_RPC_CONNECTING;
    cel_failover_works(&b->failover);
    try_next(b);
}

/* ---- life ---- */

static celery_status rpc_init(struct cel_backend *base, struct cel_url *const *urls,
                              size_t n, const struct cel_config *c, celery_error *err)
{
    struct cel_rpc *b = cel_rpc(base);
    celery_status status = cel_rpc_replies_init(b);

    if (status < 0) {
        return cel_error_nomem(err);
    }
    if (!c) {
        return cel_error_set(err, CELERY_ECONFIG, "rpc:// needs the broker's URL");
    }
    b->config = c;
    b->delivery_mode = cel_config_bool(c, "result_persistent") ? 2 : 1;
    b->expires_ms = (int64_t)(cel_config_double(c, "result_expires", 0) * 1000);
    b->limits.max_body =
        (size_t)cel_config_int(c, "worker_max_message_bytes", CEL_TRANSPORT_MAX_MESSAGE);
    b->limits.accept = cel_config_list(c, cel_config_is_set(c, "result_accept_content")
                                              ? "result_accept_content"
                                              : "accept_content");
    status = cel_transport_urls(c, "broker_write_url", &b->urls, &b->n_urls, err);
    cel_failover_init(&b->failover, b->n_urls,
                      cel_config_text(c, "broker_failover_strategy"));
    if (status == CELERY_OK) {
        status = new_transport(b, err); /* says what is wrong with URLs and options */
    }
    if (status == CELERY_OK && make_arguments(b) < 0) {
        status = cel_error_nomem(err);
    }
    return status;
}

static void rpc_fini(struct cel_backend *base)
{
    struct cel_rpc *b = cel_rpc(base);

    b->transport = cel_transport_free(b->transport);
    cel_rpc_replies_fini(b);
    cel_url_free_list(b->urls, b->n_urls);
    cel_buf_fini(&b->doc);
    cel_arena_fini(&b->arena);
}

/* ---- groups: nothing that others could read is kept anywhere ---- */

static void rpc_note(struct cel_backend *base, const struct cel_group_note *note,
                     struct cel_done done)
{
    cel_rpc_refuse(done, CELERY_ENOTSUP, "save_group is not supported by rpc://");
}

static void rpc_load_group(struct cel_backend *base, struct cel_slice group_id,
                           struct cel_done done)
{
    cel_rpc_refuse(done, CELERY_ENOTSUP, "restore_group is not supported by rpc://");
}

static void rpc_forget_group(struct cel_backend *base, struct cel_slice group_id,
                             struct cel_done done)
{
    cel_rpc_refuse(done, CELERY_ENOTSUP, "delete_group is not supported by rpc://");
}

static const char *const schemes[] = {"rpc", NULL};

const struct cel_backend_ops cel_backend_rpc = {
    .name = "rpc",
    .schemes = schemes,
    .flags = CEL_BACKEND_PUSHES | CEL_BACKEND_REPLIES,
    .size = sizeof(struct cel_rpc),
    .no_chords = "the \"rpc\" result backend does not support chords (nor a group that a "
                 "task follows, which is one); redis:// does",
    .init = rpc_init,
    .fini = rpc_fini,
    .connect = rpc_connect,
    .close = rpc_close,
    .store = cel_rpc_store,
    .load = cel_rpc_load,
    .watch = cel_rpc_watch,
    .unwatch = cel_rpc_unwatch,
    .forget = cel_rpc_forget,
    .note = rpc_note,
    .load_group = rpc_load_group,
    .forget_group = rpc_forget_group,
};
