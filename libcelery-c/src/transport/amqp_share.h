/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who of the consumers may hold how much.  RabbitMQ heeds basic.qos only for consumers that
 * begin after it, each for itself, and a count for all of a channel is not for quorum queues.  So
 * the prefetch count is dealt out: each queue has a share, in one or more consumers, and all
 * shares, with what is still held for consumers that ended, are no more than the count (or one
 * for each queue).  Once a second what lies idle goes to queues that use all they have.
 */
#ifndef CEL_TRANSPORT_AMQP_SHARE_H
#define CEL_TRANSPORT_AMQP_SHARE_H

#include "transport/amqp_deliver.h"

/* True for one whose messages are settled: it has a share. */
bool cel_amqp_has_share(const struct cel_amqp_consumer *c);

/* The count for the first consumer of a queue. */
unsigned cel_amqp_first_share(struct cel_amqp_transport *a,
                              const struct cel_amqp_queue *q);

/* Deals out anew, soon: once a second at the most. */
void cel_amqp_share_later(struct cel_amqp_transport *a);

/* A consumer holds all it may: looked at if there is anything to win. */
void cel_amqp_share_needed(struct cel_amqp_transport *a);

/* The timer. */
void cel_amqp_share(void *ctx);

#endif
