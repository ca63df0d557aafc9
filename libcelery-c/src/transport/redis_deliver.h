/* SPDX-License-Identifier: BSD-3-Clause */
/* A message that is held now becomes a delivery. */
#ifndef CEL_TRANSPORT_REDIS_DELIVER_H
#define CEL_TRANSPORT_REDIS_DELIVER_H

#include "transport/redis_state.h"

/* What is common to the messages of one answer. */
struct cel_redis_arrival {
    struct cel_redis_transport *r;
    struct cel_redis_score *score;
    struct cel_redis_queue *queue;
    size_t step;
};

/* field: in unacked.  parked: why it is not held but in the dead letters; or NULL. */
celery_status cel_redis_deliver(struct cel_redis_arrival *a, struct cel_slice field,
                                struct cel_slice raw, const char *parked);

/*
 * Gives the owner what is held under the tag.  Out of memory: it is not held any more, and comes
 * back as what a lost answer brought does.
 */
celery_status cel_redis_hand_out(struct cel_redis_transport *r, uint64_t tag,
                                 struct cel_slice raw, const char *parked);

/* An element of a claim's answer that is a message; see the script for its forms. */
celery_status cel_redis_deliver_reply(struct cel_redis_arrival *a,
                                      const struct cel_resp *reply);

#endif
