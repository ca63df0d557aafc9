/* SPDX-License-Identifier: BSD-3-Clause */
/* Moving all that is held to a new score, so that nobody takes it for forgotten. */
#ifndef CEL_TRANSPORT_REDIS_RENEW_H
#define CEL_TRANSPORT_REDIS_RENEW_H

#include "transport/redis_state.h"

/* Renews the lease and every delivery; those that are lost are told of by taken(). */
void cel_redis_renew(struct cel_redis_transport *r);

#endif
