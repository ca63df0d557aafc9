/* SPDX-License-Identifier: BSD-3-Clause */
/* A message to be published once more, with headers of our own. */
#ifndef CEL_TRANSPORT_AMQP_COPY_H
#define CEL_TRANSPORT_AMQP_COPY_H

#include "message/envelope.h"

/* Starts of a message that never ended, besides the one it is held for. */
#define CEL_AMQP_STARTS "x-celery-c-starts"

/*
 * Of a message of a quorum queue, which counts what comes back in x-delivery-count: how often
 * it had come back before it was replaced by this copy, whose count begins at zero.
 */
#define CEL_AMQP_DELIVERIES "x-celery-c-deliveries"

#define CEL_AMQP_DELIVERY_COUNT "x-delivery-count"

/* Names a copy that we take up ourselves. */
#define CEL_AMQP_COPY "x-celery-c-copy"

/* Properties and body are those of env, which must outlive it; NULL: out of memory. */
struct cel_envelope *cel_amqp_copy(const struct cel_envelope *env);

/* Sets a header of a copy.  False: out of memory. */
bool cel_amqp_copy_int(struct cel_envelope *copy, const char *name, int64_t value);
bool cel_amqp_copy_text(struct cel_envelope *copy, const char *name,
                        struct cel_slice value);
bool cel_amqp_copy_node(struct cel_envelope *copy, const char *name,
                        struct cel_node *value);

/*
 * For a message of a quorum queue: how often it had come back, and so many times more.  Nothing
 * for others.
 */
struct cel_amqp_held;
bool cel_amqp_copy_deliveries(struct cel_envelope *copy, const struct cel_amqp_held *h,
                              int64_t more);

/* It was delivered before, as Redis' messages say it (kombu redis.py _do_restore_message). */
bool cel_amqp_copy_redelivered(struct cel_envelope *copy);

#endif
