/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of one memory transport, shared by the memory*.c files. */
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
    size_t n_told; /* of these the owner has heard that they are heard */
    struct cel_list inbox;
    size_t n_inbox;
};

/* The record of a delivery in the hold. */
struct cel_memory_held {
    struct cel_memory_queue *queue;
    struct cel_memory_message *message; /* owned */
    bool started;                       /* a start of this delivery was counted */
};

static inline struct cel_memory *cel_memory_of(struct cel_transport *t)
{
    return (struct cel_memory *)t;
}

/* ---- memory_settle.c ---- */

void cel_memory_put_back(struct cel_memory *m, struct cel_memory_queue *q,
                         struct cel_memory_message *give_message, bool front);

/* The text to be delivered again; the bytes as they were when they cannot be read. */
struct cel_memory_message *cel_memory_redelivered(struct cel_memory_message *give_message,
                                                  const char *header, int64_t value);

void cel_memory_slot_ack(struct cel_transport *t, uint64_t tag, struct cel_done done);
void cel_memory_slot_reject(struct cel_transport *t, uint64_t tag, bool requeue,
                            bool front, const char *header, int64_t value,
                            struct cel_done done);
void cel_memory_slot_park(struct cel_transport *t, uint64_t tag, const char *reason,
                          struct cel_done done);
void cel_memory_slot_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                                 struct cel_done done);
void cel_memory_slot_bury(struct cel_transport *t, const char *queue,
                          const struct cel_envelope *envelope, const char *reason,
                          struct cel_done done);

/* ---- memory_queues.c ---- */

/* True when there is no connection: done has been told. */
bool cel_memory_closed(struct cel_memory *m, struct cel_done done);

/* The queue that delivered goes to the end of the line (round_robin). */
void cel_memory_rotate(struct cel_memory *m, size_t i);

void cel_memory_slot_declare(struct cel_transport *t, const struct cel_queue *q,
                             struct cel_done done);
celery_status cel_memory_slot_consume(struct cel_transport *t, const char *queue,
                                      celery_error *err);
celery_status cel_memory_slot_cancel(struct cel_transport *t, const char *queue,
                                     celery_error *err);
celery_status cel_memory_slot_set_prefetch(struct cel_transport *t, unsigned count);
void cel_memory_slot_set_credit(struct cel_transport *t, unsigned count);
void cel_memory_slot_delete_queue(struct cel_transport *t, const char *queue,
                                  struct cel_done done);
void cel_memory_slot_purge(struct cel_transport *t, const char *queue,
                           struct cel_done done);
void cel_memory_slot_count(struct cel_transport *t, const char *queue,
                           struct cel_done done);

/* ---- memory_publish.c: all with the lock of the broker held ---- */

/* Everyone may have something to do now. */
void cel_memory_wake_all(struct cel_memory_broker *b);

/* Appends a copy to a queue. */
celery_status cel_memory_post(struct cel_memory_queue *q, struct cel_slice raw,
                              int priority);

/* Copies to every queue and listener the exchange leads to. */
celery_status cel_memory_route(struct cel_memory_broker *b, const char *exchange,
                               const char *routing_key, struct cel_slice raw,
                               int priority, int64_t *ret_heard);

void cel_memory_inbound_free(struct cel_memory_inbound *in);

#endif
