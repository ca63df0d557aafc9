/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message of a retry (celery/app/task.py Task.signature_from_request,
 * Context.as_execution_options): same id, retries + 1, and what the request carried.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "message/delayed.h"
#include "message/task_fields.h"
#include "pool/task.h"

/* Context._get_custom_headers, X_DEATH_HEADERS; and what this library adds. */
static const char *const own_headers[] = {
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "stamps",
    "ignore_result",
    "compression",
    "redelivered",
    "replaced_task_nesting",
    "x-death",
    "stamped_headers",
    CEL_HEADER_CRASHES,
};

static bool is_own(struct cel_slice name)
{
    for (size_t i = 0; i < sizeof own_headers / sizeof own_headers[0]; i++) {
        if (cel_slice_is(name, own_headers[i])) {
            return true;
        }
    }
    return cel_slice_starts(name, CEL_SLICE("x-first-death-")) ||
           cel_slice_starts(name, CEL_SLICE("x-celery-c-")) ||
           cel_slice_is(name, "x-delivery-count") ||
           cel_slice_starts(name, CEL_SLICE("x-last-death-"));
}

const struct cel_node *cel_task_custom_headers(celery_task *task)
{
    const struct cel_node *headers = cel_task_headers(task);
    struct cel_node *custom = cel_node_new(&task->arena, CELERY_KIND_OBJECT);

    for (const struct cel_node *k = cel_node_first(headers); k; k = k->next->next) {
        if (!is_own(cel_node_text(k))) {
            cel_node_put(&task->arena, custom, cel_node_text(k),
                         cel_node_copy(&task->arena, k->next));
        }
    }
    return custom;
}

static const struct cel_node *option(const celery_task *task, const char *name)
{
    return cel_node_get(task->retry.options, cel_slice_of(name));
}

static struct cel_slice text_option(const celery_task *task, const char *name,
                                    struct cel_slice otherwise)
{
    const struct cel_node *given = option(task, name);
    return given ? cel_node_text(given) : otherwise;
}

/* NUL-terminated, or otherwise. */
static const char *name_option(celery_task *task, const char *name, const char *otherwise)
{
    struct cel_slice text = text_option(task, name, CEL_SLICE_NULL);
    return text.data ? cel_arena_strndup(&task->arena, text.data, text.len)
           : otherwise && *otherwise ? otherwise
                                     : NULL;
}

/* as_task_v2: stamps are those that stamped_headers names. */
static const struct cel_node *named_stamps(celery_task *task,
                                           const struct cel_task_call *call)
{
    struct cel_node *stamps = cel_node_new(&task->arena, CELERY_KIND_OBJECT);
    for (const struct cel_node *n = cel_node_first(call->stamped_headers); n;
         n = n->next) {
        const struct cel_node *value = cel_node_get(call->stamps, cel_node_text(n));
        if (value) {
            cel_node_put(&task->arena, stamps, cel_node_text(n),
                         cel_node_copy(&task->arena, value));
        }
    }
    return stamps;
}

/* The call as it came, with what only its headers say. */
static struct cel_task_call whole_call(celery_task *task)
{
    struct cel_task_call call = task->call;
    const struct cel_node *headers = cel_task_headers(task);
    if (headers) {
        /* They were good enough to get here. */
        (void)cel_task_fields_read(headers, &call, NULL);
    }
    if (call.ignore_result == CEL_UNSET) {
        call.ignore_result = cel_task_option(task->app, task->job->task->ignore_result,
                                             "task_ignore_result");
    }
    if (call.stamped_headers) {
        call.stamps = named_stamps(task, &call);
    }
    return call;
}

static void set_eta(celery_task *task, struct cel_task_call *call)
{
    call->eta = text_option(task, "eta", CEL_SLICE_NULL);
    call->eta_us = INT64_MIN;
    if (task->countdown > 0) {
        call->eta = CEL_SLICE_NULL;
        call->eta_us = cel_clock_wall_us() + (int64_t)(task->countdown * 1e6);
    }
}

static void set_expires(celery_task *task, struct cel_task_send *send)
{
    const struct cel_node *given = option(task, "expires");
    bool aware;
    if (given && !cel_node_is_string(given)) {
        double seconds = cel_node_double(given, 0);
        send->call.expires = CEL_SLICE_NULL;
        send->call.expires_us = cel_clock_wall_us() + (int64_t)(seconds * 1e6);
        send->expiration_ms = (int64_t)(seconds * 1e3);
    } else if (given) {
        send->call.expires = cel_node_text(given);
        cel_iso8601_parse(send->call.expires, &send->call.expires_us, &aware);
    } else if (send->call.expires.len && send->call.expires_us == INT64_MIN) {
        cel_iso8601_parse(send->call.expires, &send->call.expires_us, &aware);
    }
}

static double limit(const celery_task *task, const char *name, double otherwise)
{
    const struct cel_node *given = option(task, name);
    return given ? cel_node_double(given, -1) : otherwise;
}

static celery_status set_call(celery_task *task, struct cel_task_send *send)
{
    struct cel_task_call *call = &send->call;
    *call = whole_call(task);
    call->retries++;
    /* send_task(): what the request does not say comes from the running task, itself. */
    if (!call->root_id.len) {
        call->root_id = call->id;
    }
    if (!call->parent_id.len && !task->retry.lost) {
        call->parent_id = call->id;
    }
    call->argsrepr = CEL_SLICE_NULL;
    call->kwargsrepr = CEL_SLICE_NULL;
    call->origin = CEL_SLICE_NULL;
    call->shadow = text_option(task, "shadow", call->shadow);
    if (option(task, "ignore_result")) {
        call->ignore_result =
            cel_node_bool(option(task, "ignore_result"), false) ? CEL_YES : CEL_NO;
    }
    call->time_limit = limit(task, "time_limit", call->time_limit);
    call->soft_time_limit = limit(task, "soft_time_limit", call->soft_time_limit);
    set_eta(task, call);
    set_expires(task, send);
    return cel_task_retry_arguments(task, option(task, "args"), option(task, "kwargs"),
                                    call)
               ? CELERY_OK
               : CELERY_ENOMEM;
}

/* Seconds until the ETA of the message; under 0: none. */
static double delay_of(const celery_task *task, const struct cel_task_call *call)
{
    int64_t us = call->eta_us;
    bool aware;
    if (task->countdown > 0) {
        return task->countdown;
    }
    if (us == INT64_MIN &&
        (!call->eta.len || !cel_iso8601_parse(call->eta, &us, &aware))) {
        return -1;
    }
    return (double)(us - cel_clock_wall_us()) * 1e-6;
}

/* Through native delayed delivery, if there is a second to wait. */
static celery_status set_delay(celery_task *task, struct cel_task_send *send,
                               struct cel_slice routing_key, celery_error *err)
{
    char *key = NULL;
    celery_status st = cel_delayed_key(&task->arena, delay_of(task, &send->call),
                                       routing_key, &key, err);
    if (key) {
        send->exchange = CEL_SLICE(CEL_DELAYED_ENTRY);
        send->routing_key = cel_slice_of(key);
    }
    return st;
}

/* Back the way it came; a delay that it had is over. */
static celery_status set_way_back(celery_task *task, struct cel_task_send *send,
                                  celery_error *err)
{
    const struct cel_job *job = task->job;
    struct cel_slice key = cel_slice_is(job->exchange, CEL_DELAYED_DELIVERY)
                               ? cel_delayed_strip(job->routing_key)
                               : job->routing_key;
    send->routing_key = key;
    if (job->exchange.len == 0 || delay_of(task, &send->call) < 1) {
        return CELERY_OK;
    }
    const struct cel_canvas *c = cel_task_canvas(task, err);
    if (!c) {
        return CELERY_ENOMEM;
    }
    return cel_router_can_delay(c->router, job->exchange, key)
               ? set_delay(task, send, key, err)
               : CELERY_OK;
}

/* To a queue by its name. */
static celery_status set_queue(celery_task *task, struct cel_task_send *send,
                               const char *queue, struct cel_slice *ret_queue,
                               celery_error *err)
{
    struct cel_slice exchange = text_option(task, "exchange", CEL_SLICE_NULL);
    struct cel_slice key = text_option(task, "routing_key", CEL_SLICE_NULL);
    const struct cel_canvas *c = cel_task_canvas(task, err);
    struct cel_route route;
    celery_status st =
        c && queue ? cel_router_route(c->router, send->call.task, queue, &route, err)
                   : CELERY_ENOMEM;
    if (st < 0) {
        return st;
    }
    /* celery/app/amqp.py send_task_message: a direct queue is reached by its name. */
    bool direct = strcmp(route.queue->exchange_type, "direct") == 0;
    bool own = (exchange.data && key.data) || !direct;
    send->exchange = own && exchange.data ? exchange : route.exchange;
    send->routing_key = own && key.data ? key : route.routing_key;
    *ret_queue = cel_slice_of(route.queue->name);
    return !direct && cel_router_delays(c->router)
               ? set_delay(task, send, cel_slice_of(route.queue->routing_key), err)
               : CELERY_OK;
}

/*
 * Where it goes: to where it came from, unless told otherwise.  Through the default exchange
 * the routing key is the name of the queue.
 */
static celery_status set_route(celery_task *task, struct cel_task_send *send,
                               struct cel_slice *ret_queue, celery_error *err)
{
    const struct cel_job *job = task->job;
    struct cel_slice exchange = text_option(task, "exchange", CEL_SLICE_NULL);
    struct cel_slice key = text_option(task, "routing_key", CEL_SLICE_NULL);
    const char *queue = name_option(task, "queue", NULL);
    *ret_queue = CEL_SLICE_NULL;
    send->exchange = exchange.data ? exchange : job->exchange;
    send->routing_key = key.data ? key : job->routing_key;
    if (!queue && !exchange.data && !key.data) {
        return set_way_back(task, send, err);
    }
    if (!queue && job->exchange.len > 0) {
        return CELERY_OK;
    }
    if (!queue) {
        queue =
            cel_arena_strndup(&task->arena, job->routing_key.data, job->routing_key.len);
    }
    return set_queue(task, send, queue, ret_queue, err);
}

static celery_status fill(celery_task *task, struct cel_task_send *send,
                          struct cel_slice *ret_queue, celery_error *err)
{
    const struct cel_task_def *def = task->job->task;
    const struct cel_config *config = task->app->config;
    const struct cel_node *headers = option(task, "headers");
    const struct cel_node *priority = option(task, "priority");
    *send = (struct cel_task_send){0};
    if (set_call(task, send) < 0) {
        return cel_error_nomem(err);
    }
    send->headers = headers ? headers : cel_task_custom_headers(task);
    send->reply_to = text_option(task, "reply_to", task->job->reply_to);
    send->priority = priority ? (int)cel_node_int(priority, 0) : task->job->priority;
    send->delivery_mode = (int)cel_config_int(config, "task_default_delivery_mode", 2);
    send->repr_levels = cel_repr_levels(config);
    send->serializer = name_option(
        task, "serializer",
        def->serializer ? def->serializer : cel_config_text(config, "task_serializer"));
    send->compression =
        name_option(task, "compression",
                    def->compression ? def->compression
                                     : cel_config_text(config, "task_compression"));
    return set_route(task, send, ret_queue, err);
}

celery_status cel_task_retry_message(celery_task *task, celery_error *err)
{
    struct cel_task_send send;
    struct cel_slice queue;
    struct cel_envelope *envelope = NULL;
    celery_status status = fill(task, &send, &queue, err);
    if (status == CELERY_OK) {
        status = cel_task_send_envelope(&send, &envelope, err);
    }
    if (status == CELERY_OK) {
        status = cel_effects_publish(&task->effects, send.call.id, envelope, queue,
                                     send.exchange, send.routing_key);
    }
    if (status == CELERY_OK &&
        cel_config_bool(task->app->config, "task_send_sent_event")) {
        status = cel_effects_sent(&task->effects, envelope, queue, send.exchange,
                                  send.routing_key);
    }
    cel_envelope_free(envelope);
    if (status == CELERY_OK && !task->retry.lost) {
        status = cel_task_add_child(task, send.call.id);
    }
    return status < 0 && err && err->status == CELERY_OK
               ? cel_error_set(err, status, "the retry could not be written")
               : status;
}
