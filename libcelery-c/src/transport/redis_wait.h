/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Knowing when to claim without a blocking pop: the server reports changed keys to a second
 * connection (CLIENT TRACKING), and where it does not, queues are polled.
 */
#ifndef CEL_TRANSPORT_REDIS_WAIT_H
#define CEL_TRANSPORT_REDIS_WAIT_H

#include "transport/redis_state.h"

celery_status cel_redis_wait_start(struct cel_redis_transport *r, celery_error *err);
void cel_redis_wait_stop(struct cel_redis_transport *r);

/* The second connection is ready to get reports. */
void cel_redis_wait_ready(struct cel_redis_transport *r);

/* Whatever was found, one more claim goes out in this pass. */
void cel_redis_wait_not(struct cel_redis_transport *r);

/* The set of queues is another. */
void cel_redis_wait_changed(struct cel_redis_transport *r);

/* A report: keys is an array of names, or nothing when all may have changed. */
void cel_redis_wait_report(struct cel_redis_transport *r, const struct cel_resp *keys);

/* This connection has put something into a queue, of which it gets no report. */
void cel_redis_wait_own(struct cel_redis_transport *r);

/* A claim was answered: got messages, and there may be more. */
void cel_redis_wait_answered(struct cel_redis_transport *r,
                             const struct cel_redis_claim *c, size_t got, bool more);

#endif
