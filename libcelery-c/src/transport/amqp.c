/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection with three channels: consumers and settlements, publishes with confirms,
 * declarations.  What the broker does not like costs a channel, and the others go on.
 */
#include "transport/amqp.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/amqp_ask.h"
#include "transport/amqp_consume.h"
#include "transport/amqp_declare.h"
#include "transport/amqp_hold.h"
#include "transport/amqp_move.h"
#include "transport/amqp_post.h"
#include "transport/amqp_settle.h"
#include "transport/amqp_target.h"

/* ---- what all parts use ---- */

void cel_amqp_refuse(struct cel_done done, celery_status status)
{
    celery_error err = {0};

    cel_error_set(&err, status, "%s",
                  status == CELERY_ECLOSED ? "not connected to the broker"
                                           : celery_status_text(status));
    cel_done(done, &err, 0);
}

bool cel_amqp_is_closed(struct cel_amqp_transport *a, struct cel_done done)
{
    if (!a->connected) {
        cel_amqp_refuse(done, CELERY_ECLOSED);
    }
    return !a->connected;
}

struct cel_amqp_queue *cel_amqp_known_queue(struct cel_amqp_transport *a,
                                            struct cel_slice name)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        if (cel_slice_is(name, q->name)) {
            return q;
        }
    }
    return NULL;
}

struct cel_amqp_queue *cel_amqp_find_queue(struct cel_amqp_transport *a, const char *name)
{
    struct cel_amqp_queue *q = cel_amqp_known_queue(a, cel_slice_of(name));

    if (q) {
        return q;
    }
    q = cel_calloc(1, sizeof *q);
    if (!q) {
        return NULL;
    }
    q->name = cel_strdup(name);
    if (!q->name) {
        cel_free(q);
        return NULL;
    }
    cel_list_append(&a->queues, &q->node);
    return q;
}

/* ---- the end of a connection ---- */

/* Pending operations end in here. */
static void drop(struct cel_amqp_transport *a)
{
    struct cel_amqp_conn *conn = a->conn;

    a->connected = false;
    a->native_delay = false;
    a->conn = NULL;
    a->connects++;
    a->consuming.channel = a->publishing.channel = a->asking.channel = NULL;
    cel_source_disarm(a->fail);
    if (a->holding.tick) {
        cel_source_disarm(a->holding.tick);
    }
    cel_amqp_conn_free(conn);
    cel_amqp_post_reset(a);
    cel_amqp_ask_reset(a);
    cel_amqp_post_reset(a); /* what was to follow a declaration */
    cel_amqp_settle_void(a, false);
    cel_amqp_consume_reset(a);
    a->tls = cel_tls_free(a->tls);
}

static void connection_failed(struct cel_amqp_transport *a, const celery_error *why)
{
    struct cel_done done = a->on_connected;
    bool was_connected = a->connected;
    celery_error copy = *why;

    a->on_connected = (struct cel_done){0};
    drop(a);
    if (was_connected) {
        a->base.events->lost(a->base.events_ctx, &copy);
    } else {
        cel_done(done, &copy, 0);
    }
}

static void on_fail(void *ctx)
{
    struct cel_amqp_transport *a = ctx;

    if (a->conn) {
        connection_failed(a, &a->failure);
    }
}

void cel_amqp_abandon(struct cel_amqp_transport *a, const celery_error *why)
{
    if (a->conn && a->failure.status == CELERY_OK) {
        a->failure = *why;
        cel_source_rearm(a->fail, cel_loop_now(a->base.loop));
    }
}

/* ---- events of the connection ---- */

/* What nothing can be sent without: that it is there, or was refused, has to be told. */
static celery_status check_features(const struct cel_amqp_server *s, celery_error *err)
{
    const char *lacks = !s->confirms ? "publisher_confirms"
                        : !s->nack   ? "basic.nack"
                                     : NULL;

    return lacks
               ? cel_error_set(err, CELERY_ENOTSUP,
                               "the broker (%s %s) has no %s: whether a message arrived "
                               "could not be known.  Use RabbitMQ 3.10 or newer",
                               s->product, s->version, lacks)
               : CELERY_OK;
}

static void on_opened(void *ctx)
{
    struct cel_amqp_transport *a = ctx;
    struct cel_done done = a->on_connected;
    celery_error err = {0};
    celery_status status = check_features(cel_amqp_conn_server(a->conn), &err);

    if (status == CELERY_OK && cel_amqp_hold_start(a) < 0) {
        status = cel_error_nomem(&err);
    }
    if (status < 0) {
        connection_failed(a, &err);
        return;
    }
    a->connected = true;
    a->on_connected = (struct cel_done){0};
    cel_done(done, NULL, 0);
}

static void on_blocked(void *ctx, bool blocked, struct cel_slice reason)
{
    if (blocked) {
        cel_log(CELERY_LOG_WARNING,
                "The broker takes no messages for now (%s): they wait here",
                cel_log_safe(reason));
    } else {
        cel_log(CELERY_LOG_WARNING, "The broker takes messages again");
    }
}

static void on_closed(void *ctx, const celery_error *why)
{
    connection_failed(ctx, why);
}

static const struct cel_amqp_conn_events conn_events = {
    .opened = on_opened,
    .blocked = on_blocked,
    .closed = on_closed,
};

/* ---- connecting ---- */

static void on_flush(void *ctx)
{
    struct cel_amqp_transport *a = ctx;

    if (a->connected) {
        cel_amqp_settle_flush(a);
    }
    if (a->connected) {
        cel_amqp_consume_flush(a);
    }
    if (a->connected) {
        cel_amqp_ask_flush(a);
    }
    if (a->connected) {
        cel_amqp_post_flush(a);
    }
}

static celery_status add_sources(struct cel_amqp_transport *a)
{
    struct cel_loop *loop = a->base.loop;

    if (!a->flush && cel_loop_add_hook(loop, &a->flush, on_flush, a) < 0) {
        return CELERY_ENOMEM;
    }
    if (!a->fail) {
        if (cel_loop_add_timer(loop, &a->fail, cel_loop_now(loop), on_fail, a) < 0) {
            return CELERY_ENOMEM;
        }
        cel_source_disarm(a->fail);
    }
    return CELERY_OK;
}

static celery_status open_connection(struct cel_amqp_transport *a,
                                     const struct cel_url *url, celery_error *err)
{
    struct cel_amqp_target target;
    celery_status status = cel_amqp_target_init(&target, url, &a->set, &a->base.login,
                                                a->base.connect_timeout, err);

    if (status == 0) {
        target.params.max_message = a->base.max_message;
        status = cel_amqp_conn_open(a->base.loop, &target.params, &conn_events, a,
                                    &a->conn, err);
        a->tls = target.tls;
        target.tls = NULL;
    }
    cel_amqp_target_fini(&target);
    return status;
}

static void amqp_close(struct cel_transport *t);

static void amqp_connect(struct cel_transport *t, size_t url_index, struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    celery_error err = {0};

    amqp_close(t);
    a->failure = (celery_error){0};
    if (add_sources(a) < 0) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    if (open_connection(a, a->urls[url_index % a->n_urls], &err) < 0) {
        a->tls = cel_tls_free(a->tls);
        cel_done(done, &err, 0);
        return;
    }
    a->on_connected = done;
}

static void amqp_close(struct cel_transport *t)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_done done = a->on_connected;
    celery_error err = {0};

    if (!a->conn) {
        return;
    }
    a->on_connected = (struct cel_done){0};
    if (a->connected) {
        unsigned connects = a->connects;

        cel_amqp_settle_flush(a); /* into the last bytes of the connection */
        if (a->connects != connects) {
            return; /* closed by who heard of it */
        }
    }
    drop(a);
    cel_error_set(&err, CELERY_ECLOSED, "connection closed");
    cel_done(done, &err, 0);
}

static double amqp_silence(const struct cel_transport *t)
{
    const struct cel_amqp_transport *a = (const struct cel_amqp_transport *)t;

    return a->conn ? cel_amqp_conn_silence(a->conn) : 0;
}

/* ---- life ---- */

static celery_status amqp_init(struct cel_transport *t, struct cel_url *const *urls,
                               size_t n, const struct cel_node *options,
                               celery_error *err)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    celery_status status;

    a->urls = urls;
    a->n_urls = n;
    cel_list_init(&a->queues);
    cel_list_init(&a->consuming.consumers);
    cel_list_init(&a->asking.waiting);
    cel_list_init(&a->publishing.waiting);
    cel_list_init(&a->publishing.uncertain);
    cel_list_init(&a->holding.moves);
    cel_list_init(&a->holding.later);
    cel_hold_init(&a->hold, sizeof(struct cel_amqp_held));
    cel_uuid4(a->holding.id);
    status = cel_amqp_options_read(options, &a->set, err);
    for (size_t i = 0; i < n && status == 0; i++) {
        struct cel_amqp_options set = {0};

        status = cel_amqp_options_url(urls[i], &set, err);
        cel_amqp_options_fini(&set);
    }
    return status;
}

static void amqp_fini(struct cel_transport *t)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_list *first;

    while ((first = cel_list_first(&a->queues)) != NULL) {
        struct cel_amqp_queue *q = cel_container_of(first, struct cel_amqp_queue, node);

        cel_list_remove(first);
        cel_arena_fini(&q->arena);
        cel_free(q->name);
        cel_free(q);
    }
    a->flush = cel_source_free(a->flush);
    a->fail = cel_source_free(a->fail);
    a->holding.tick = cel_source_free(a->holding.tick);
    cel_amqp_consume_fini(a);
    cel_amqp_settle_fini(a);
    cel_amqp_options_fini(&a->set);
}

static const char *const amqp_schemes[] = {"amqp", "pyamqp", "amqps", NULL};

const struct cel_transport_ops cel_transport_amqp = {
    .name = "amqp",
    .schemes = amqp_schemes,
    .flags = CEL_TRANSPORT_CONFIRMS | CEL_TRANSPORT_FANOUT | CEL_TRANSPORT_PRIORITIES |
             CEL_TRANSPORT_DELAYS | CEL_TRANSPORT_REDELIVERS | CEL_TRANSPORT_TOPICS,
    .size = sizeof(struct cel_amqp_transport),
    .init = amqp_init,
    .fini = amqp_fini,
    .connect = amqp_connect,
    .close = amqp_close,
    .declare = cel_amqp_declare,
    .publish = cel_amqp_post,
    .declare_delayed = cel_amqp_declare_delayed,
    .consume = cel_amqp_consume,
    .cancel = cel_amqp_cancel,
    .set_prefetch = cel_amqp_set_prefetch,
    .ack = cel_amqp_ack,
    .reject = cel_amqp_reject,
    .defer = cel_amqp_defer,
    .park = cel_amqp_park,
    .count_start = cel_amqp_count_start,
    .bury = cel_amqp_bury,
    .purge = cel_amqp_purge,
    .delete_queue = cel_amqp_delete_queue,
    .count = cel_amqp_count,
    .silence = amqp_silence,
};
