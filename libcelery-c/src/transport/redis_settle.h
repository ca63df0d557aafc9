/* SPDX-License-Identifier: BSD-3-Clause */
/* Ending what is held: acknowledge, put back, park. */
#ifndef CEL_TRANSPORT_REDIS_SETTLE_H
#define CEL_TRANSPORT_REDIS_SETTLE_H

#include "transport/redis_state.h"

/* The slots of the interface; sent when the pass ends. */
void cel_redis_ack(struct cel_transport *t, uint64_t tag, struct cel_done done);
void cel_redis_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                      const char *header, int64_t value, struct cel_done done);
void cel_redis_defer(struct cel_transport *t, uint64_t tag, double until,
                     struct cel_done done);
void cel_redis_park(struct cel_transport *t, uint64_t tag, const char *reason,
                    struct cel_done done);

/* Sends what was asked for in this pass, and scores to be forgotten. */
void cel_redis_settle_flush(struct cel_redis_transport *r);

/* Before an orderly close. */
void cel_redis_settle_farewell(struct cel_redis_transport *r);

/* Ends what was not sent with CELERY_ECLOSED; it is held as before. */
void cel_redis_settle_reset(struct cel_redis_transport *r);
void cel_redis_settle_fini(struct cel_redis_transport *r);

/* Takes a delivery out of the hold, and its room. */
void cel_redis_hold_drop(struct cel_redis_transport *r, uint64_t tag);

#endif
