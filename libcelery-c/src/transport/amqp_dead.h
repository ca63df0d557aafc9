/* SPDX-License-Identifier: BSD-3-Clause */
/* <queue>.celery-c.dead: parked messages, as they came, with headers that say why. */
#ifndef CEL_TRANSPORT_AMQP_DEAD_H
#define CEL_TRANSPORT_AMQP_DEAD_H

#include "transport/amqp_state.h"

void cel_amqp_dead_name(const char *queue, char *text, size_t size);

/* Once for each connection: durable, x-max-length as the transport's max_dead. */
void cel_amqp_dead_declare(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                           struct cel_done done);

/* Adds the headers to a copy.  False: out of memory. */
bool cel_amqp_dead_mark(struct cel_envelope *copy, const char *queue, const char *reason);

#endif
