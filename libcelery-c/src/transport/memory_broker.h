/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues and bindings behind memory://; every call but open needs the lock held. */
#ifndef CEL_TRANSPORT_MEMORY_BROKER_H
#define CEL_TRANSPORT_MEMORY_BROKER_H

#include "base/list.h"
#include "base/map.h"
#include "transport/exchange.h"
#include <pthread.h>

enum { CEL_MEMORY_PRIORITIES = 10 };

struct cel_memory_message {
    struct cel_list node;
    unsigned priority; /* 0 is served first, as on Redis */
    int64_t starts;    /* counted and never ended */
    size_t len;
    char raw[];
};

struct cel_memory_queue {
    char *name;
    struct cel_list messages[CEL_MEMORY_PRIORITIES];
    size_t count;
    struct cel_list parked; /* newest first */
    size_t n_parked;
    bool no_ack; /* see struct cel_queue */
};

struct cel_memory_binding {
    struct cel_list node;
    char *exchange;
    char *routing_key;
    enum cel_exchange_type type;
    struct cel_memory_queue *queue;
};

struct cel_memory_broker {
    struct cel_memory_broker *next;
    char *name;
    pthread_mutex_t lock;
    struct cel_map queues;
    struct cel_list bindings;
    struct cel_list transports; /* struct cel_memory, to be woken */
};

/* The broker of that name; it lives as long as the process.  NULL: out of memory. */
struct cel_memory_broker *cel_memory_broker_open(const char *name);

/* The queue, made when it is not there.  NULL: out of memory. */
struct cel_memory_queue *cel_memory_queue(struct cel_memory_broker *b,
                                          struct cel_slice name);

celery_status cel_memory_bind(struct cel_memory_broker *b, struct cel_memory_queue *q,
                              const char *exchange, const char *routing_key,
                              enum cel_exchange_type type);

/* A copy of the bytes; NULL: out of memory. */
struct cel_memory_message *cel_memory_message(struct cel_slice raw, unsigned priority);
void cel_memory_put(struct cel_memory_queue *q, struct cel_memory_message *give_message,
                    bool front);
struct cel_memory_message *cel_memory_take(struct cel_memory_queue *q); /* NULL: empty */
size_t cel_memory_purge(struct cel_memory_queue *q);
/* Its bindings but those of a fanout, which transports may be listening to. */
void cel_memory_unbind(struct cel_memory_broker *b, const struct cel_memory_queue *q);
void cel_memory_park(struct cel_memory_queue *q, struct cel_memory_message *give_message,
                     size_t max);

#endif
