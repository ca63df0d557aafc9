/* SPDX-License-Identifier: BSD-3-Clause */
/* Showing that we live and hold what we hold, and taking back what the dead held. */
#ifndef CEL_TRANSPORT_REDIS_LEASE_H
#define CEL_TRANSPORT_REDIS_LEASE_H

#include "transport/redis_state.h"

/* Starts the rounds, the first at once. */
celery_status cel_redis_lease_start(struct cel_redis_transport *r, celery_error *err);
void cel_redis_lease_stop(struct cel_redis_transport *r);

#endif
