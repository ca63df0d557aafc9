/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/app/base.py send_task: a signature becomes a message on its queue. */
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"

/* A broker that confirms nothing for so long is given up, whatever its connection says. */
static const double CONFIRM_TIMEOUT = 30;

/* task_publish_retry_policy (kombu/utils/functional.py retry_over_time). */
struct policy {
    int64_t max_retries;
    double start;
    double step;
    double max;
};

static struct policy read_policy(const celery_client *client)
{
    const struct cel_node *map =
        cel_config_doc(client->config, "task_publish_retry_policy");
    struct policy p = {
        .max_retries = cel_node_int(cel_node_get(map, CEL_SLICE("max_retries")), 3),
        .start = cel_node_double(cel_node_get(map, CEL_SLICE("interval_start")), 0),
        .step = cel_node_double(cel_node_get(map, CEL_SLICE("interval_step")), 0.2),
        .max = cel_node_double(cel_node_get(map, CEL_SLICE("interval_max")), 1),
    };
    if (!cel_config_bool(client->config, "task_publish_retry")) {
        p.max_retries = 0;
    }
    return p;
}

/* ---- the message ---- */

/* What a registered task says of itself (celery/app/task.py extract_exec_options). */
static const struct cel_task_def *find_def(const celery_client *client,
                                           const celery_sig *sig)
{
    return client->app ? cel_app_find_task(client->app, cel_slice_of(sig->task)) : NULL;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a ? a : b && *b ? b : c && *c ? c : NULL;
}

static void set_times(struct cel_task_send *send, const celery_sig *sig,
                      const struct cel_task_def *def)
{
    int64_t now = cel_clock_wall_us();
    double expires = sig->has_expires ? sig->expires : -1;
    send->call.eta_us =
        sig->countdown >= 0 ? now + (int64_t)(sig->countdown * 1e6) : sig->eta_us;
    send->call.expires_us = sig->expires_us;
    if (expires < 0 && sig->expires_us == INT64_MIN && def) {
        expires = def->expires;
    }
    if (expires >= 0) {
        send->call.expires_us = now + (int64_t)(expires * 1e6);
        send->expiration_ms = (int64_t)(expires * 1e3);
    }
    send->call.time_limit =
        sig->time_limit >= 0 || !def ? sig->time_limit : def->time_limit;
    send->call.soft_time_limit =
        sig->soft_time_limit >= 0 || !def ? sig->soft_time_limit : def->soft_time_limit;
}

/* celery/app/amqp.py send_task_message: where exchange and key are not both given, a direct
 * queue is reached through the default exchange. */
static void set_route(struct cel_task_send *send, const celery_sig *sig,
                      const struct cel_route *route)
{
    send->exchange = route->exchange;
    send->routing_key = route->routing_key;
    bool direct = strcmp(route->queue->exchange_type, "direct") == 0;
    if ((sig->exchange && sig->routing_key) || !direct) {
        send->exchange = sig->exchange ? cel_slice_of(sig->exchange) : send->exchange;
        send->routing_key =
            sig->routing_key ? cel_slice_of(sig->routing_key) : send->routing_key;
    }
}

static int priority_of(const celery_client *client, const celery_sig *sig,
                       const struct cel_task_def *def, const struct cel_route *route)
{
    if (sig->priority >= 0) {
        return sig->priority;
    }
    if (route->priority >= 0) {
        return route->priority;
    }
    if (def && def->priority >= 0) {
        return def->priority;
    }
    return (int)cel_config_int(client->config, "task_default_priority", 0);
}

static void fill_send(const celery_client *client, const celery_sig *sig,
                      const struct cel_task_def *def, const struct cel_route *route,
                      const char *id, struct cel_task_send *ret_send)
{
    struct cel_task_send *send = ret_send;
    *send = (struct cel_task_send){0};
    cel_task_call_init(&send->call);
    send->call.id = cel_slice_of(id);
    send->call.task = cel_slice_of(sig->task);
    send->call.shadow = cel_slice_of(sig->shadow);
    send->call.args = sig->args;
    send->call.kwargs = sig->kwargs;
    send->call.ignore_result =
        sig->ignore_result != CEL_UNSET || !def ? sig->ignore_result : def->ignore_result;
    send->headers = sig->headers;
    send->reply_to = cel_slice_of(client->reply_to);
    send->priority = priority_of(client, sig, def, route);
    send->delivery_mode =
        (int)cel_config_int(client->config, "task_default_delivery_mode", 2);
    send->serializer = first_of(sig->serializer, def ? def->serializer : NULL,
                                cel_config_text(client->config, "task_serializer"));
    send->compression = first_of(sig->compression, def ? def->compression : NULL,
                                 cel_config_text(client->config, "task_compression"));
    set_times(send, sig, def);
    set_route(send, sig, route);
}

/* ---- delivery ---- */

/* Until the operation has ended; a broker that does not answer is dropped. */
static celery_status wait_done(celery_client *client, struct cel_waiting *w,
                               const char *what, celery_error *err)
{
    double deadline = cel_client_now(client) + CONFIRM_TIMEOUT;
    while (!w->done) {
        if (!cel_client_pass(client, deadline)) {
            celery_error why = {0};
            cel_error_set(&why, CELERY_EUNCERTAIN, "%s: no answer in %g s", what,
                          CONFIRM_TIMEOUT);
            client->transport->ops->close(client->transport);
            cel_map_fini(&client->declared);
            cel_uplink_lost(&client->broker, &why);
            w->err = why;
            break;
        }
    }
    if (w->err.status < 0) {
        return cel_error_set(err, w->err.status, "%s", w->err.message);
    }
    return CELERY_OK;
}

/* The queue is declared once for each connection, before its first message. */
static celery_status declare(celery_client *client, const struct cel_queue_def *def,
                             celery_error *err)
{
    struct cel_slice name = cel_slice_of(def->name);
    if (cel_map_get(&client->declared, name)) {
        return CELERY_OK;
    }
    const struct cel_queue queue = {
        .name = def->name,
        .exchange = def->exchange,
        .exchange_type = def->exchange_type,
        .routing_key = def->routing_key,
        .arguments = def->arguments,
        .durable = true,
    };
    struct cel_waiting w = {0};
    client->transport->ops->declare(client->transport, &queue,
                                    (struct cel_done){cel_waiting_done, &w});
    celery_status status = wait_done(client, &w, "declaring a queue", err);
    if (status == CELERY_EUNCERTAIN) {
        /* Declaring twice is harmless. */
        return cel_error_set(err, CELERY_ECLOSED, "%s", w.err.message);
    }
    if (status == CELERY_OK && cel_map_set(&client->declared, name, client, NULL) < 0) {
        return cel_error_nomem(err);
    }
    return status;
}

static celery_status attempt(celery_client *client, const struct cel_queue_def *queue,
                             const struct cel_task_send *send,
                             const struct cel_envelope *envelope, celery_error *err)
{
    double timeout = cel_config_double(client->config, "broker_connection_timeout", 4);
    double deadline = cel_client_now(client) + timeout * (double)client->n_broker_urls;
    celery_status status = cel_client_wait_uplink(client, &client->broker, deadline, err);
    if (status == CELERY_OK) {
        status = declare(client, queue, err);
    }
    if (status < 0) {
        return status;
    }
    struct cel_waiting w = {0};
    /* Both texts come from terminated ones: the signature's or the router's. */
    client->transport->ops->publish(client->transport, send->exchange.data,
                                    send->routing_key.data, envelope,
                                    (struct cel_done){cel_waiting_done, &w});
    return wait_done(client, &w, "publishing", err);
}

static void rest(celery_client *client, double seconds)
{
    double until = cel_client_now(client) + seconds;
    while (cel_client_now(client) < until && cel_client_pass(client, until)) {
    }
}

/* Only what surely did not happen is tried again. */
static celery_status publish(celery_client *client, const struct cel_queue_def *queue,
                             const struct cel_task_send *send,
                             const struct cel_envelope *envelope, celery_error *err)
{
    struct policy policy = read_policy(client);
    double interval = policy.start;
    for (int64_t retries = 0;; retries++) {
        celery_error why = {0};
        celery_status status = attempt(client, queue, send, envelope, &why);
        if (status == CELERY_OK) {
            return status;
        }
        if (!celery_error_retriable(&why) || retries >= policy.max_retries) {
            return cel_error_set(err, status, "%.*s: %s", (int)send->call.task.len,
                                 send->call.task.data, why.message);
        }
        rest(client, interval < policy.max ? interval : policy.max);
        interval += policy.step;
    }
}

celery_result *celery_send_sig(celery_client *client, const celery_sig *sig,
                               celery_error *err)
{
    if (!client || !sig) {
        return NULL;
    }
    if (sig->failed.status < 0) {
        cel_error_set(err, sig->failed.status, "%s", sig->failed.message);
        return NULL;
    }
    char id[CEL_UUID_SIZE];
    cel_uuid4(id);
    const char *use_id = sig->id ? sig->id : id;
    const struct cel_task_def *def = find_def(client, sig);
    const char *queue = first_of(sig->queue, def ? def->queue : NULL, NULL);
    struct cel_route route;
    struct cel_task_send send;
    struct cel_envelope *envelope = NULL;
    celery_result *result = NULL;
    celery_status status =
        cel_router_route(client->router, cel_slice_of(sig->task), queue, &route, err);
    if (status == CELERY_OK) {
        fill_send(client, sig, def, &route, use_id, &send);
        status = cel_task_send_envelope(&send, &envelope, err);
    }
    if (status == CELERY_OK) {
        /* Before sending: afterwards there must be nothing left that can fail. */
        result = cel_result_new(client, cel_slice_of(use_id),
                                send.call.ignore_result == CEL_YES, err);
        status =
            result ? publish(client, route.queue, &send, envelope, err) : CELERY_ENOMEM;
    }
    cel_envelope_free(envelope);
    if (status == CELERY_EUNCERTAIN) {
        cel_error_prefix(err, status, "task id %s: ", use_id);
    }
    if (status < 0) {
        celery_result_free(result);
        return NULL;
    }
    return result;
}

celery_result *celery_send(celery_client *client, const char *task, celery_error *err,
                           const char *fmt, ...)
{
    /* Without a client too: values given by "o" are taken. */
    celery_error nowhere = {0};
    va_list args_list;
    va_start(args_list, fmt);
    celery_sig *sig = cel_sig_newv(task, client ? err : &nowhere, fmt, args_list);
    va_end(args_list);
    celery_result *result = celery_send_sig(client, sig, err);
    celery_sig_free(sig);
    return result;
}
