/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AMQP cannot change a message or put it elsewhere.  So a copy goes there, is confirmed, and
 * only then is the original acknowledged: at the worst there are two.
 */
#ifndef CEL_TRANSPORT_AMQP_MOVE_H
#define CEL_TRANSPORT_AMQP_MOVE_H

#include "transport/amqp_state.h"

/* What is held, and in state CEL_AMQP_HELD, goes to: */

/* the end of its queue, with the header if it is not NULL; */
void cel_amqp_move_back(struct cel_amqp_transport *a, uint64_t tag, const char *header,
                        int64_t value, struct cel_done done);

/* the dead-letter exchange its queue was declared with, or nowhere; */
void cel_amqp_move_away(struct cel_amqp_transport *a, uint64_t tag, struct cel_done done);

/* its queue, later; */
void cel_amqp_move_delay(struct cel_amqp_transport *a, uint64_t tag, double until,
                         struct cel_done done);

/* our dead-letter queue. */
void cel_amqp_move_dead(struct cel_amqp_transport *a, uint64_t tag, const char *reason,
                        struct cel_done done);

/* The slot of the interface. */
void cel_amqp_bury(struct cel_transport *t, const char *queue,
                   const struct cel_envelope *envelope, const char *reason,
                   struct cel_done done);

#endif
