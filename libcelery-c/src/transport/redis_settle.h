/* SPDX-License-Identifier: BSD-3-Clause */
/* Ending what is held: acknowledge, put back, park. */
#ifndef CEL_TRANSPORT_REDIS_SETTLE_H
#define CEL_TRANSPORT_REDIS_SETTLE_H

#include "transport/redis_state.h"

/* The slots of the interface; sent when the pass ends. */
void cel_redis_ack(struct cel_transport *t, uint64_t tag, struct cel_done done);
void cel_redis_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                      const char *header, int64_t value, struct cel_done done);
void cel_redis_park(struct cel_transport *t, uint64_t tag, const char *reason,
                    struct cel_done done);

/* Sends what was asked for in this pass, and scores to be forgotten. */
void cel_redis_settle_flush(struct cel_redis_transport *r);

/* Before an orderly close. */
void cel_redis_settle_farewell(struct cel_redis_transport *r);

/* Ends what was not sent with CELERY_ECLOSED; it is held as before. */
void cel_redis_settle_reset(struct cel_redis_transport *r);
void cel_redis_settle_fini(struct cel_redis_transport *r);

/*
 * The score of an answer, which claims use from now on; kept until another is set, or it is
 * let go.  NULL: out of memory.
 */
struct cel_redis_score *cel_redis_score_set(struct cel_redis_transport *r,
                                            struct cel_slice text);

/*
 * Lets the score of claims go if nothing is held and no claim is on its way, and the lease
 * with it: an idle worker leaves no trace.
 */
void cel_redis_score_let_go(struct cel_redis_transport *r);

/* The connection is gone: no score is used for claims, or forgotten, any more. */
void cel_redis_score_reset(struct cel_redis_transport *r);

void cel_redis_score_free(struct cel_redis_score *score);
bool cel_redis_score_is_known(const struct cel_redis_transport *r, struct cel_slice text);

/* One delivery less has this score; the last one has it forgotten. */
void cel_redis_score_release(struct cel_redis_transport *r,
                             struct cel_redis_score *score);

/* Takes a delivery out of the hold, and its room. */
void cel_redis_hold_drop(struct cel_redis_transport *r, uint64_t tag);

/*
 * Splits a value of unacked, [message, exchange, routing key], without reading the message.
 * Exchange and routing key come as JSON: a string with its quotes, or null.
 */
bool cel_redis_value_split(struct cel_slice value, struct cel_slice *ret_raw,
                           struct cel_slice *ret_exchange,
                           struct cel_slice *ret_routing_key);

#endif
