/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A large message is claimed without its bytes: they are fetched by a command of their own, behind
 * one more claim, so that what came after it need not wait for them.
 */
#ifndef CEL_TRANSPORT_REDIS_LARGE_H
#define CEL_TRANSPORT_REDIS_LARGE_H

#include "transport/redis_state.h"

/* What is held under the tag is to be fetched and given out. */
celery_status cel_redis_large_add(struct cel_redis_transport *r, uint64_t tag);

/* Sends what was added, when the claims of this pass are sent. */
void cel_redis_large_flush(struct cel_redis_transport *r);

/* The connection is gone: they come back as what a lost answer brought does. */
void cel_redis_large_reset(struct cel_redis_transport *r);

#endif
