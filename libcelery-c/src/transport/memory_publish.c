/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "transport/memory_state.h"

/* Broadcasts that may wait for one listener. */
enum { MAX_INBOX = 4096 };

void cel_memory_wake_all(struct cel_memory_broker *b)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &b->transports) {
        cel_loop_wake(cel_container_of(it, struct cel_memory, node)->base.loop);
    }
}

void cel_memory_inbound_free(struct cel_memory_inbound *in)
{
    cel_free(in->exchange);
    cel_free(in->routing_key);
    cel_free(in->message);
    cel_free(in);
}

celery_status cel_memory_post(struct cel_memory_queue *q, struct cel_slice raw,
                              int priority)
{
    struct cel_memory_message *message =
        cel_memory_message(raw, priority < 0 ? 0 : (unsigned)priority);

    if (!message) {
        return CELERY_ENOMEM;
    }
    cel_memory_put(q, message, false);
    return CELERY_OK;
}

/* Too many unread broadcasts are dropped, as Redis does to a slow reader. */
static celery_status broadcast_to(struct cel_memory *listener, const char *exchange,
                                  const char *routing_key, struct cel_slice raw)
{
    struct cel_memory_inbound *in;

    if (listener->n_inbox >= MAX_INBOX) {
        return CELERY_OK;
    }
    in = cel_calloc(1, sizeof *in);
    if (!in) {
        return CELERY_ENOMEM;
    }
    in->exchange = cel_strdup(exchange);
    in->routing_key = cel_strdup(routing_key);
    in->message = cel_memory_message(raw, 0);
    if (!in->exchange || !in->routing_key || !in->message) {
        cel_memory_inbound_free(in);
        return CELERY_ENOMEM;
    }
    cel_list_append(&listener->inbox, &in->node);
    listener->n_inbox++;
    return CELERY_OK;
}

static bool listens(const struct cel_memory *m, const char *exchange,
                    struct cel_slice key)
{
    for (size_t i = 0; i < m->n_listening; i++) {
        const struct cel_memory_binding *b = m->listening[i];
        struct cel_slice binding_key = cel_slice_of(b->routing_key);

        if (strcmp(b->exchange, exchange) == 0 &&
            (binding_key.len == 0 ||
             cel_exchange_match(CEL_EXCHANGE_TOPIC, binding_key, key))) {
            return true;
        }
    }
    return false;
}

celery_status cel_memory_route(struct cel_memory_broker *b, const char *exchange,
                               const char *routing_key, struct cel_slice raw,
                               int priority, int64_t *ret_heard)
{
    struct cel_slice key = cel_slice_of(routing_key);
    celery_status status = CELERY_OK;
    struct cel_list *it, *tmp;

    *ret_heard = 0;
    if (!exchange || !exchange[0]) {
        struct cel_memory_queue *q = cel_memory_queue(b, key);

        return q ? cel_memory_post(q, raw, priority) : CELERY_ENOMEM;
    }
    cel_list_foreach(it, tmp, &b->bindings) {
        struct cel_memory_binding *binding =
            cel_container_of(it, struct cel_memory_binding, node);

        if (status == 0 && binding->type != CEL_EXCHANGE_FANOUT &&
            strcmp(binding->exchange, exchange) == 0 &&
            cel_exchange_match(binding->type, cel_slice_of(binding->routing_key), key)) {
            status = cel_memory_post(binding->queue, raw, priority);
        }
    }
    cel_list_foreach(it, tmp, &b->transports) {
        struct cel_memory *listener = cel_container_of(it, struct cel_memory, node);

        if (status == 0 && listens(listener, exchange, key)) {
            status = broadcast_to(listener, exchange, routing_key, raw);
            ++*ret_heard;
        }
    }
    return status;
}
