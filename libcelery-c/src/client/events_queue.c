/* SPDX-License-Identifier: BSD-3-Clause */
/* The queue of a receiver (celery/events/receiver.py EventReceiver.__init__). */
#include "base/error.h"
#include "client/events.h"
#include <stdio.h>

void cel_events_rename(struct celery_events *ev)
{
    const char *prefix = cel_config_text(ev->config, "event_queue_prefix");
    char id[CEL_UUID_SIZE];

    cel_uuid4(id);
    for (size_t i = 0; i < ev->n_queues; i++) {
        snprintf(ev->names[i], sizeof ev->names[i], i > 0 ? "%.200s.%s.%zu" : "%.200s.%s",
                 prefix ? prefix : "celeryev", id, i);
    }
}

/*
 * On Redis the exchange is a fanout (celery/events/event.py get_exchange), a key is a pattern of
 * channels, and nothing is left at the server: kombu's entry in _kombu.binding.celeryev is
 * read by nobody, and would stay for ever behind a receiver that is killed.
 */
static bool is_pattern(const struct celery_events *ev)
{
    return strcmp(ev->transport->ops->name, "amqp") != 0;
}

static void bind(struct celery_events *ev, struct cel_queue *first)
{
    for (size_t i = 1; i < ev->n_keys; i++) {
        ev->bindings[i - 1] = (struct cel_binding){
            .exchange = first->exchange,
            .exchange_type = first->exchange_type,
            .routing_key = ev->keys[i],
        };
    }
    first->bindings = ev->bindings;
    first->n_bindings = ev->n_keys - 1;
}

celery_status cel_events_queues(struct celery_events *ev, celery_error *err)
{
    const char *exchange = cel_config_text(ev->config, "event_exchange");
    bool durable = cel_config_bool(ev->config, "event_queue_durable");
    bool exclusive = cel_config_bool(ev->config, "event_queue_exclusive");
    bool pattern = is_pattern(ev);
    const struct cel_node *arguments = cel_queue_lifetime(
        &ev->arena, cel_config_double(ev->config, "event_queue_expires", 0),
        cel_config_double(ev->config, "event_queue_ttl", 0));

    if (durable && exclusive) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "event_queue_durable and event_queue_exclusive cannot both be "
            "true: an exclusive queue ends with its connection");
    }
    if (!arguments) {
        return cel_error_nomem(err);
    }
    ev->n_queues = pattern ? ev->n_keys : 1;
    for (size_t i = 0; i < ev->n_queues; i++) {
        ev->queues[i] = (struct cel_queue){
            .name = ev->names[i],
            .exchange = exchange ? exchange : "celeryev",
            .exchange_type = pattern ? "fanout" : "topic",
            .exchange_only = strcmp(ev->transport->ops->name, "redis") == 0,
            .routing_key = ev->keys[i],
            .arguments = arguments,
            .durable = durable,
            .auto_delete = !durable,
            .exclusive = exclusive,
            .no_ack = true,
        };
    }
    cel_events_rename(ev);
    if (!pattern) {
        bind(ev, &ev->queues[0]);
    }
    return CELERY_OK;
}
