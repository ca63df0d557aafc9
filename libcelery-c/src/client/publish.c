/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/app/base.py send_task: a signature becomes a message on its queue. */
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"

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

celery_status cel_send_apply(celery_client *client, const celery_sig *sig, const char *id,
                             struct cel_effects *effects, bool *ret_ignored,
                             celery_error *err)
{
    const struct cel_task_def *def = find_def(client, sig);
    const char *queue = first_of(sig->queue, def ? def->queue : NULL, NULL);
    struct cel_route route;
    struct cel_task_send send;
    struct cel_envelope *envelope = NULL;
    celery_status status =
        cel_router_route(client->router, cel_slice_of(sig->task), queue, &route, err);
    if (status == CELERY_OK) {
        fill_send(client, sig, def, &route, id, &send);
        *ret_ignored = send.call.ignore_result == CEL_YES;
        status = cel_task_send_envelope(&send, &envelope, err);
    }
    if (status == CELERY_OK) {
        status = cel_effects_publish(effects, cel_slice_of(id), envelope,
                                     cel_slice_of(route.queue->name), send.exchange,
                                     send.routing_key);
        if (status < 0) {
            cel_error_nomem(err);
        }
    }
    cel_envelope_free(envelope);
    return status;
}
