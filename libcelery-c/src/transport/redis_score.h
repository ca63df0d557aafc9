/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scores under which we hold deliveries.  Claims use one; a renewal takes another and moves all
 * deliveries to it.  A score is registered on the server while anything may have it.
 */
#ifndef CEL_TRANSPORT_REDIS_SCORE_H
#define CEL_TRANSPORT_REDIS_SCORE_H

#include "transport/redis_state.h"

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

/*
 * The same while claims are on their way: what they may yet take under it has the script
 * keep it.
 */
void cel_redis_score_part(struct cel_redis_transport *r);

/* The connection is gone: no score is used for claims, or forgotten, any more. */
void cel_redis_score_reset(struct cel_redis_transport *r);

/* The server was told of these. */
void cel_redis_score_free_finished(struct cel_redis_transport *r);

void cel_redis_score_free(struct cel_redis_score *score);
bool cel_redis_score_is_known(const struct cel_redis_transport *r, struct cel_slice text);

/* One delivery less has this score; the last one has it forgotten. */
void cel_redis_score_release(struct cel_redis_transport *r,
                             struct cel_redis_score *score);

#endif
