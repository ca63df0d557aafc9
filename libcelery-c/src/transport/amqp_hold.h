/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message that we hold is replaced by a copy of itself, with another header or with a new
 * start of the broker's consumer_timeout.  The copy goes through a queue of our own,
 * <queue>.celery-c.held.<uuid>, where it stays unacknowledged.  When we are gone, its time
 * there is over and the broker puts it back into its queue.
 */
#ifndef CEL_TRANSPORT_AMQP_HOLD_H
#define CEL_TRANSPORT_AMQP_HOLD_H

#include "transport/amqp_state.h"

/* The slot of the interface. */
void cel_amqp_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                          struct cel_done done);

/* A settlement that came while the copy is on its way.  Texts are copied. */
enum cel_amqp_later_kind {
    CEL_AMQP_LATER_ACK,
    CEL_AMQP_LATER_REJECT,
    CEL_AMQP_LATER_DEFER,
    CEL_AMQP_LATER_PARK,
};

struct cel_amqp_later {
    enum cel_amqp_later_kind kind;
    uint64_t tag;
    bool requeue, front;
    const char *header; /* PARK: the reason */
    int64_t value;
    double until;
};

void cel_amqp_later(struct cel_amqp_transport *a, const struct cel_amqp_later *what,
                    struct cel_done done);

/* A consumer of such a queue is ready, or it failed or ended. */
void cel_amqp_nest_opened(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                          const celery_error *err);

/* A copy came. */
void cel_amqp_nest_arrived(struct cel_amqp_transport *a, uint64_t broker_tag,
                           struct cel_envelope *give_envelope);

celery_status cel_amqp_hold_start(struct cel_amqp_transport *a);

/* The channel is gone: copies on their way are for nothing. */
void cel_amqp_hold_void(struct cel_amqp_transport *a);

#endif
