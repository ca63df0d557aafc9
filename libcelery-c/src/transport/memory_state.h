/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of one memory transport, shared by memory.c and memory_publish.c. */
#ifndef CEL_TRANSPORT_MEMORY_STATE_H
#define CEL_TRANSPORT_MEMORY_STATE_H

#include "transport/hold.h"
#include "transport/memory.h"
#include "transport/memory_broker.h"

/* A broadcast on its way to one listener. */
struct cel_memory_inbound {
    struct cel_list node;
    char *exchange;
    char *routing_key;
    struct cel_memory_message *message;
};

struct cel_memory {
    struct cel_transport base;
    struct cel_memory_broker *broker;
    struct cel_list node; /* of the broker's transports, while connected */
    struct cel_source *wake;
    bool connected;
    unsigned connects; /* tells a callback's caller that it was closed meanwhile */
    unsigned prefetch;
    bool credited;   /* set_credit() was called */
    unsigned credit; /* what is left of it */
    struct cel_hold hold;
    struct cel_memory_queue **consuming; /* in the order they are asked */
    size_t n_consuming;
    struct cel_memory_binding **listening; /* fanout bindings; owned by the broker */
    size_t n_listening;
    struct cel_list inbox;
    size_t n_inbox;
};

/* All with the lock of the broker held. */

/* Everyone may have something to do now. */
void cel_memory_wake_all(struct cel_memory_broker *b);

/* Appends a copy to a queue. */
celery_status cel_memory_post(struct cel_memory_queue *q, struct cel_slice raw,
                              int priority);

/* Copies to every queue and listener the exchange leads to. */
celery_status cel_memory_route(struct cel_memory_broker *b, const char *exchange,
                               const char *routing_key, struct cel_slice raw,
                               int priority);

void cel_memory_inbound_free(struct cel_memory_inbound *in);

#endif
