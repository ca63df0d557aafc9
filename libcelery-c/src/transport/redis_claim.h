/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking messages out of queues and registering them as held, in one step. */
#ifndef CEL_TRANSPORT_REDIS_CLAIM_H
#define CEL_TRANSPORT_REDIS_CLAIM_H

#include "transport/redis_state.h"

/* Sends claims as long as there is room and reason. */
void cel_redis_claim_flush(struct cel_redis_transport *r);

/* Room for further deliveries now. */
size_t cel_redis_claim_room(const struct cel_redis_transport *r);

/*
 * What claims use, or "": a score whose lease may have run out is not used again, because a
 * worker that restores what it stood for may be about to.
 */
const char *cel_redis_claim_score(const struct cel_redis_transport *r);

/* Whether the next claim sets the lease. */
bool cel_redis_claim_leases(const struct cel_redis_transport *r);

celery_status cel_redis_claim_add_queue(struct cel_redis_transport *r,
                                        struct cel_redis_queue *q);
void cel_redis_claim_remove_queue(struct cel_redis_transport *r,
                                  struct cel_redis_queue *q);

/* The connection is gone: nothing is consumed.  What is held stays. */
void cel_redis_claim_reset(struct cel_redis_transport *r);
void cel_redis_claim_fini(struct cel_redis_transport *r);

#endif
