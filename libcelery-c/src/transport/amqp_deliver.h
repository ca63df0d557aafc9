/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as they come, by their consumer. */
#ifndef CEL_TRANSPORT_AMQP_DELIVER_H
#define CEL_TRANSPORT_AMQP_DELIVER_H

#include "transport/amqp_state.h"

struct cel_amqp_consumer {
    struct cel_list node;
    struct cel_amqp_transport *a;
    struct cel_amqp_queue *queue;
    unsigned count; /* its prefetch count */
    unsigned held;  /* records in the hold */
    bool no_ack;
    bool nest;       /* brings copies of messages that are held */
    bool broadcasts; /* brings what nobody settles */
    bool starting;
    bool cancelling;
    bool silent; /* what still comes goes back */
    bool ended;  /* in no list: it goes with the last of its records */
    char tag[32];
};

/* The event of the channel. */
void cel_amqp_deliver(void *ctx, const struct cel_amqp_method *deliver,
                      struct cel_envelope *give_envelope, const celery_error *malformed);

/* amqp_consume.c: NULL when there is none of that tag. */
struct cel_amqp_consumer *cel_amqp_find_consumer(struct cel_amqp_transport *a,
                                                 struct cel_slice tag);

#endif
