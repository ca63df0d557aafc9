/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to the broker, on a channel of its own, always confirmed.  When the broker closes
 * that channel because of one of them, the others are sent again one at a time until it is
 * found: that one alone fails.
 */
#ifndef CEL_TRANSPORT_AMQP_POST_H
#define CEL_TRANSPORT_AMQP_POST_H

#include "transport/amqp_state.h"

/* The slot of the interface. */
void cel_amqp_post(struct cel_transport *t, const char *exchange, const char *routing_key,
                   const struct cel_envelope *envelope, struct cel_done done);

/* To one queue, at once: what the broker does not take in ends in an error. */
void cel_amqp_post_to(struct cel_amqp_transport *a, const char *queue,
                      const struct cel_envelope *envelope, struct cel_done done);

/* At the end of a pass, and when declarations have ended: sends what waits. */
void cel_amqp_post_flush(struct cel_amqp_transport *a);

/* The connection is gone: everything ends. */
void cel_amqp_post_reset(struct cel_amqp_transport *a);

#endif
