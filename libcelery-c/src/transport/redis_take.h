/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The step behind a finished one mostly goes to a queue that this worker reads itself, and that
 * is empty: its claim would come right behind the push.  It is held from the beginning
 * instead, which spares the server moving its bytes there and back.
 */
#ifndef CEL_TRANSPORT_REDIS_TAKE_H
#define CEL_TRANSPORT_REDIS_TAKE_H

#include "transport/redis_state.h"

/*
 * Sends a message to the queue so, and tells done as publishing does; false: nothing was done,
 * it has to be pushed.
 */
bool cel_redis_take(struct cel_redis_transport *r, struct cel_slice queue, size_t step,
                    struct cel_slice text, struct cel_done done);

/*
 * Begins a transaction.  An ACL that forbids it ends the connection, and is remembered in
 * claiming.take_forbidden.
 */
celery_status cel_redis_send_multi(struct cel_redis_transport *r);

/* A command of one word. */
celery_status cel_redis_send_word(struct cel_redis_transport *r, const char *word,
                                  cel_redis_fn fn, void *ctx);

/* The slot of cel_transport_ops. */
const char *cel_redis_quiet(const struct cel_transport *t, const char *queue);

#endif
