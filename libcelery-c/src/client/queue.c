/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting, purging and listing by a client's connection. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/bindings_amqp.h"
#include <celery/queue.h>

/* Beside broker_connection_timeout: an answer of the broker. */
static const double ANSWER_TIMEOUT = 10;

celery_status celery_client_queues(celery_client *client, celery_queue_fn fn, void *ctx,
                                   celery_error *err)
{
    if (!client) {
        return CELERY_EINVAL;
    }
    for (size_t i = 0; i < cel_router_count(client->router); i++) {
        fn(ctx, cel_router_at(client->router, i)->name);
    }
    return CELERY_OK;
}

/* ---- one question ---- */

static celery_status up(celery_client *client, double *ret_deadline, celery_error *err)
{
    double now = cel_client_now(client);
    double connecting = cel_config_double(client->config, "broker_connection_timeout", 4);

    *ret_deadline = now + connecting + ANSWER_TIMEOUT;
    return cel_client_wait_uplink(client, &client->broker, now + connecting + 0.5, err);
}

typedef void (*ask_fn)(struct cel_transport *t, const char *queue, struct cel_done done);

static celery_status ask(celery_client *client, ask_fn fn, const char *queue,
                         size_t *ret_answer, celery_error *err)
{
    struct cel_waiting w = {0};
    double deadline;
    celery_status status;

    if (!queue || !*queue) {
        return cel_error_set(err, CELERY_EINVAL, "a queue without a name");
    }
    if (!fn) {
        return cel_error_set(err, CELERY_ENOTSUP, "%s cannot do this",
                             client->transport->ops->name);
    }
    status = up(client, &deadline, err);
    if (status < 0) {
        return status;
    }
    fn(client->transport, queue, (struct cel_done){cel_waiting_done, &w});
    status = cel_client_wait_answer(client, &w, deadline, err);
    if (status == CELERY_OK && ret_answer) {
        *ret_answer = w.answer > 0 ? (size_t)w.answer : 0;
    }
    return status;
}

celery_status celery_client_count(celery_client *client, const char *queue,
                                  size_t *ret_count, celery_error *err)
{
    return client ? ask(client, client->transport->ops->count, queue, ret_count, err)
                  : CELERY_EINVAL;
}

celery_status celery_client_purge(celery_client *client, const char *queue,
                                  size_t *ret_count, celery_error *err)
{
    return client ? ask(client, client->transport->ops->purge, queue, ret_count, err)
                  : CELERY_EINVAL;
}

/* ---- bindings ---- */

struct binding_ctx {
    celery_binding_fn fn;
    void *ctx;
    const char *exchange;
    bool failed;
};

static void on_binding(void *ctx, struct cel_slice queue, struct cel_slice routing_key)
{
    struct binding_ctx *b = ctx;
    char *q = cel_strndup(queue.data, queue.len);
    char *key = cel_strndup(routing_key.data, routing_key.len);
    celery_binding binding = {q, b->exchange, key};

    if (q && key) {
        b->fn(b->ctx, &binding);
    } else {
        b->failed = true;
    }
    cel_free(q);
    cel_free(key);
}

/* Declares a queue as whoever consumes it does, and lists the bindings of its exchange. */
static celery_status list_one(celery_client *client, const struct cel_queue *q, bool list,
                              struct binding_ctx *b, celery_error *err)
{
    const struct cel_transport_ops *ops = client->transport->ops;
    struct cel_waiting declared = {0}, listed = {0};
    double deadline;
    celery_status status = up(client, &deadline, err);

    if (status < 0) {
        return status;
    }
    ops->declare(client->transport, q, (struct cel_done){cel_waiting_done, &declared});
    status = cel_client_wait_answer(client, &declared, deadline, err);
    if (status < 0 || !list) {
        return status;
    }
    b->exchange = q->exchange;
    ops->bindings(client->transport, q->exchange, on_binding, b,
                  (struct cel_done){cel_waiting_done, &listed});
    return cel_client_wait_answer(client, &listed, deadline, err);
}

/* Is it the last of the queues with this exchange?  Then all of them are declared. */
static bool is_last_of(const struct cel_router *router, size_t at)
{
    const char *exchange = cel_router_at(router, at)->exchange;

    for (size_t i = at + 1; i < cel_router_count(router); i++) {
        if (strcmp(cel_router_at(router, i)->exchange, exchange) == 0) {
            return false;
        }
    }
    return *exchange != 0;
}

celery_status celery_client_bindings(celery_client *client, celery_binding_fn fn,
                                     void *ctx, celery_error *err)
{
    struct binding_ctx b = {.fn = fn, .ctx = ctx};
    celery_status status = CELERY_OK;

    if (!client) {
        return CELERY_EINVAL;
    }
    bool amqp = strcmp(client->transport->ops->name, "amqp") == 0;
    if (!client->transport->ops->bindings && !amqp) {
        return cel_error_set(err, CELERY_ENOTSUP, "Your transport cannot list bindings.");
    }
    for (size_t i = 0; i < cel_router_count(client->router) && status == CELERY_OK; i++) {
        status = list_one(client, cel_router_at(client->router, i),
                          !amqp && is_last_of(client->router, i), &b, err);
    }
    if (status == CELERY_OK && amqp) {
        return cel_client_bindings_amqp(client, fn, ctx, err);
    }
    return status == CELERY_OK && b.failed ? cel_error_nomem(err) : status;
}
