/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/memory_broker.h"
#include "base/alloc.h"
#include "base/error.h"
#include "transport/memory.h"

static struct {
    pthread_mutex_t lock;
    struct cel_memory_broker *first;
} brokers = {PTHREAD_MUTEX_INITIALIZER, NULL};

static struct cel_memory_broker *broker_new(const char *name)
{
    struct cel_memory_broker *b = cel_calloc(1, sizeof *b);

    if (!b) {
        return NULL;
    }
    b->name = cel_strdup(name);
    if (!b->name) {
        cel_free(b);
        return NULL;
    }
    pthread_mutex_init(&b->lock, NULL);
    cel_list_init(&b->bindings);
    cel_list_init(&b->transports);
    return b;
}

struct cel_memory_broker *cel_memory_broker_open(const char *name)
{
    struct cel_memory_broker *b;

    pthread_mutex_lock(&brokers.lock);
    b = brokers.first;
    while (b && strcmp(b->name, name) != 0) {
        b = b->next;
    }
    if (!b) {
        b = broker_new(name);
        if (b) {
            b->next = brokers.first;
            brokers.first = b;
        }
    }
    pthread_mutex_unlock(&brokers.lock);
    return b;
}

struct cel_memory_queue *cel_memory_queue(struct cel_memory_broker *b,
                                          struct cel_slice name)
{
    struct cel_memory_queue *q = cel_map_get(&b->queues, name);

    if (q) {
        return q;
    }
    q = cel_calloc(1, sizeof *q);
    if (!q) {
        return NULL;
    }
    for (size_t i = 0; i < CEL_MEMORY_PRIORITIES; i++) {
        cel_list_init(&q->messages[i]);
    }
    cel_list_init(&q->parked);
    q->name = cel_strndup(name.data, name.len);
    if (!q->name || cel_map_set(&b->queues, name, q, NULL) < 0) {
        cel_free(q->name);
        cel_free(q);
        return NULL;
    }
    return q;
}

celery_status cel_memory_bind(struct cel_memory_broker *b, struct cel_memory_queue *q,
                              const char *exchange, const char *routing_key,
                              enum cel_exchange_type type)
{
    struct cel_memory_binding *binding;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &b->bindings) {
        binding = cel_container_of(it, struct cel_memory_binding, node);
        if (binding->queue == q && strcmp(binding->exchange, exchange) == 0 &&
            strcmp(binding->routing_key, routing_key) == 0) {
            binding->type = type;
            return CELERY_OK;
        }
    }
    binding = cel_calloc(1, sizeof *binding);
    if (!binding) {
        return CELERY_ENOMEM;
    }
    binding->exchange = cel_strdup(exchange);
    binding->routing_key = cel_strdup(routing_key);
    if (!binding->exchange || !binding->routing_key) {
        cel_free(binding->exchange);
        cel_free(binding->routing_key);
        cel_free(binding);
        return CELERY_ENOMEM;
    }
    binding->type = type;
    binding->queue = q;
    cel_list_append(&b->bindings, &binding->node);
    return CELERY_OK;
}

void cel_memory_unbind(struct cel_memory_broker *b, const struct cel_memory_queue *q)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &b->bindings) {
        struct cel_memory_binding *binding =
            cel_container_of(it, struct cel_memory_binding, node);

        if (binding->queue == q && binding->type != CEL_EXCHANGE_FANOUT) {
            cel_list_remove(it);
            cel_free(binding->exchange);
            cel_free(binding->routing_key);
            cel_free(binding);
        }
    }
}

struct cel_memory_message *cel_memory_message(struct cel_slice raw, unsigned priority)
{
    struct cel_memory_message *m = cel_alloc(sizeof *m + raw.len + 1);

    if (m) {
        cel_list_init(&m->node);
        m->starts = 0;
        m->priority =
            priority < CEL_MEMORY_PRIORITIES ? priority : CEL_MEMORY_PRIORITIES - 1;
        m->len = raw.len;
        if (raw.len) {
            memcpy(m->raw, raw.data, raw.len);
        }
    }
    return m;
}

void cel_memory_put(struct cel_memory_queue *q, struct cel_memory_message *give_message,
                    bool front)
{
    struct cel_list *line = &q->messages[give_message->priority];

    if (front) {
        cel_list_prepend(line, &give_message->node);
    } else {
        cel_list_append(line, &give_message->node);
    }
    q->count++;
}

struct cel_memory_message *cel_memory_take(struct cel_memory_queue *q)
{
    for (size_t i = 0; i < CEL_MEMORY_PRIORITIES; i++) {
        struct cel_list *first = cel_list_first(&q->messages[i]);

        if (first) {
            cel_list_remove(first);
            q->count--;
            return cel_container_of(first, struct cel_memory_message, node);
        }
    }
    return NULL;
}

size_t cel_memory_purge(struct cel_memory_queue *q)
{
    struct cel_memory_message *m;
    size_t n = 0;

    for (m = cel_memory_take(q); m; m = cel_memory_take(q)) {
        cel_free(m);
        n++;
    }
    return n;
}

void cel_memory_park(struct cel_memory_queue *q, struct cel_memory_message *give_message,
                     size_t max)
{
    cel_list_prepend(&q->parked, &give_message->node);
    q->n_parked++;
    while (q->n_parked > max) {
        struct cel_list *oldest = q->parked.prev;

        cel_list_remove(oldest);
        cel_free(cel_container_of(oldest, struct cel_memory_message, node));
        q->n_parked--;
    }
}

size_t cel_memory_parked(const char *broker, const char *queue)
{
    struct cel_memory_broker *b = cel_memory_broker_open(broker);
    struct cel_memory_queue *q;
    size_t n = 0;

    if (b) {
        pthread_mutex_lock(&b->lock);
        q = cel_map_get(&b->queues, cel_slice_of(queue));
        n = q ? q->n_parked : 0;
        pthread_mutex_unlock(&b->lock);
    }
    return n;
}
