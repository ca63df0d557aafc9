/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Consumers, on a channel of their own.  When the broker closes it or ends a consumer, they
 * come back by themselves: the queues are declared again and consumed from.  Celery needs
 * broker_channel_error_retry for that, and starts its consumer anew.
 */
#ifndef CEL_TRANSPORT_AMQP_CONSUME_H
#define CEL_TRANSPORT_AMQP_CONSUME_H

#include "transport/amqp_state.h"

/* The slots of the interface. */
celery_status cel_amqp_consume(struct cel_transport *t, const char *queue,
                               celery_error *err);
celery_status cel_amqp_cancel(struct cel_transport *t, const char *queue,
                              celery_error *err);
celery_status cel_amqp_set_prefetch(struct cel_transport *t, unsigned count);

/* The queue that copies of q's messages come through: cel_amqp_nest_opened() follows. */
void cel_amqp_consume_nest(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                           const char *name);

/* At the end of a pass: starts those that were asked for in it. */
void cel_amqp_consume_flush(struct cel_amqp_transport *a);

/* One more for a queue, with this prefetch count.  False: out of memory. */
bool cel_amqp_start_consumer(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                             unsigned count);

/* What it delivered stays with us. */
void cel_amqp_end_consumer(struct cel_amqp_transport *a, struct cel_amqp_consumer *c);

/* A record is not one of what its consumer delivered any more. */
void cel_amqp_let_go(struct cel_amqp_held *h);

/* The connection is gone. */
void cel_amqp_consume_reset(struct cel_amqp_transport *a);
void cel_amqp_consume_fini(struct cel_amqp_transport *a);

#endif
