/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CEL_TRANSPORT_AMQP_DECLARE_H
#define CEL_TRANSPORT_AMQP_DECLARE_H

#include "transport/amqp_state.h"

/* The slots of the interface. */
void cel_amqp_declare(struct cel_transport *t, const struct cel_queue *q,
                      struct cel_done done);
void cel_amqp_declare_delayed(struct cel_transport *t, const char *queue_type,
                              const struct cel_queue *queues, size_t n,
                              struct cel_done done);
void cel_amqp_purge(struct cel_transport *t, const char *queue, struct cel_done done);
void cel_amqp_delete_queue(struct cel_transport *t, const char *queue,
                           struct cel_done done);
void cel_amqp_count(struct cel_transport *t, const char *queue, struct cel_done done);

/* Makes a queue exist again as it was declared last; nothing when it never was. */
void cel_amqp_redeclare(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                        struct cel_done done);

/* One of our own queues: durable, with these arguments. */
void cel_amqp_declare_own(struct cel_amqp_transport *a, const char *name,
                          const struct cel_node *arguments, struct cel_done done);

/* What is known of a queue and our own ones beside it may not be so any more. */
void cel_amqp_forget_declared(struct cel_amqp_queue *q);

/* True when the exchange is known to be a fanout. */
bool cel_amqp_is_fanout(struct cel_amqp_transport *a, const char *exchange);

#endif
