/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of kombu's unacked hash. */
#ifndef CEL_TRANSPORT_REDIS_VALUE_H
#define CEL_TRANSPORT_REDIS_VALUE_H

#include "base/slice.h"
#include <stdbool.h>

/*
 * Splits a value of unacked, [message, exchange, routing key], without reading the message.
 * Exchange and routing key come as JSON: a string with its quotes, or null.
 */
bool cel_redis_value_split(struct cel_slice value, struct cel_slice *ret_raw,
                           struct cel_slice *ret_exchange,
                           struct cel_slice *ret_routing_key);

#endif
