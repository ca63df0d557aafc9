/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * <queue>.celery-c.delay.<level>: messages wait there for 2^level seconds and go back.  All in
 * one queue wait equally long, so none is held up by one before it.
 */
#ifndef CEL_TRANSPORT_AMQP_DELAY_H
#define CEL_TRANSPORT_AMQP_DELAY_H

#include "transport/amqp_state.h"

/* The largest that ends before then (wall time): who comes early waits again. */
unsigned cel_amqp_delay_level(double until);

void cel_amqp_delay_name(const struct cel_amqp_queue *q, unsigned level, char *text,
                         size_t size);

/* Declared anew often enough that it does not expire while a message is in it. */
void cel_amqp_delay_declare(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                            unsigned level, struct cel_done done);

/*
 * Native delayed delivery, where it is on: its levels hold such messages, too, as people and
 * tools expect.  False: there is none for this queue.
 */
bool cel_amqp_delay_is_native(const struct cel_amqp_transport *a,
                              const struct cel_amqp_queue *q);

/* Binds the queue, once. */
void cel_amqp_delay_bind(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                         struct cel_done done);

/* Publishes a copy to the levels; it is back in its queue a little before then. */
void cel_amqp_delay_native(struct cel_amqp_transport *a, const struct cel_amqp_queue *q,
                           struct cel_envelope *copy, double until, struct cel_done done);

/*
 * Arguments of a queue whose messages go on to another after ttl milliseconds; it is gone when
 * nobody used it for expires.  NULL: out of memory.
 */
const struct cel_node *cel_amqp_onward(struct cel_arena *arena,
                                       const struct cel_amqp_queue *to, int64_t ttl,
                                       int64_t expires);

#endif
