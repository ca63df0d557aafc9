/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often a message that was delivered before was started without an end: a key of its own
 * for each, <unacked>.celery-c.starts.<delivery tag>, which goes with the message or expires.
 */
#ifndef CEL_TRANSPORT_REDIS_STARTS_H
#define CEL_TRANSPORT_REDIS_STARTS_H

#include "transport/redis_state.h"

/* The slot of the interface; sent when the pass ends. */
void cel_redis_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                           struct cel_done done);

/*
 * This delivery's settlement is being sent, and what is counted for it goes with it.  back:
 * the message returns to its queue, and only a start of this delivery is forgotten.
 */
void cel_redis_starts_forget(struct cel_redis_transport *r,
                             const struct cel_redis_held *h, bool back);

/* After settlements have been sent. */
void cel_redis_starts_flush(struct cel_redis_transport *r);

/* Ends what was not sent with CELERY_ECLOSED. */
void cel_redis_starts_reset(struct cel_redis_transport *r);
void cel_redis_starts_fini(struct cel_redis_transport *r);

#endif
