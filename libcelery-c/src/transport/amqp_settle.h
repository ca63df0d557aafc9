/* SPDX-License-Identifier: BSD-3-Clause */
/* What is held, and ending it: acknowledge, put back, park, defer. */
#ifndef CEL_TRANSPORT_AMQP_SETTLE_H
#define CEL_TRANSPORT_AMQP_SETTLE_H

#include "transport/amqp_state.h"

/* The slots of the interface. */
void cel_amqp_ack(struct cel_transport *t, uint64_t tag, struct cel_done done);
void cel_amqp_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                     const char *header, int64_t value, struct cel_done done);
void cel_amqp_defer(struct cel_transport *t, uint64_t tag, double until,
                    struct cel_done done);
void cel_amqp_park(struct cel_transport *t, uint64_t tag, const char *reason,
                   struct cel_done done);

/* A record for a message that came; NULL: out of memory. */
struct cel_amqp_held *cel_amqp_hold_add(struct cel_amqp_transport *a, uint64_t broker_tag,
                                        uint64_t *ret_tag);

/* The broker knows it by another tag now, its latest. */
void cel_amqp_hold_retag(struct cel_amqp_transport *a, uint64_t tag, uint64_t broker_tag);
void cel_amqp_hold_drop(struct cel_amqp_transport *a, uint64_t tag);

/* To the broker at once; nothing when the channel is gone. */
void cel_amqp_tell_ack(struct cel_amqp_transport *a, uint64_t broker_tag, bool multiple);
void cel_amqp_tell_reject(struct cel_amqp_transport *a, uint64_t broker_tag,
                          bool requeue);

/* Sends what was acknowledged in this pass. */
void cel_amqp_settle_flush(struct cel_amqp_transport *a);

/*
 * The channel or the connection is gone, and with it all that is held.  tell: the owner hears
 * taken() for each.
 */
void cel_amqp_settle_void(struct cel_amqp_transport *a, bool tell);
void cel_amqp_settle_fini(struct cel_amqp_transport *a);

#endif
