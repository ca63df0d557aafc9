/* SPDX-License-Identifier: BSD-3-Clause */
/* Putting one entry of unacked back where it came from. */
#ifndef CEL_TRANSPORT_REDIS_RESTORE_H
#define CEL_TRANSPORT_REDIS_RESTORE_H

#include "transport/redis_state.h"

/*
 * Puts the message of an entry at the head of its queues, marked as redelivered, if the entry
 * still has that score (kombu QoS.restore_by_tag).  What is no message, or is bound nowhere,
 * goes to a dead-letter list.  fn is called once, maybe from inside; texts are copied.
 */
void cel_redis_restore(struct cel_redis_transport *r, struct cel_slice field,
                       struct cel_slice score, struct cel_slice value,
                       void (*fn)(void *ctx, bool moved), void *ctx);

#endif
