/* SPDX-License-Identifier: BSD-3-Clause */
/* kombu's Redis transport: redis://, rediss://, redis+socket://, sentinel://. */
#ifndef CEL_TRANSPORT_REDIS_H
#define CEL_TRANSPORT_REDIS_H

#include "transport/transport.h"

extern const struct cel_transport_ops cel_transport_redis;

#endif
