/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker learns from its neighbours before it takes messages (celery/worker/consumer/
 * mingle.py): which tasks are revoked, and how late their clocks say it is.
 *
 * Upstream waits a second for whoever may answer.  Here the broker says whether anybody heard
 * the question, and Redis how many did: a worker that is alone does not wait, and one with
 * neighbours waits for them, at most that second.
 */
#ifndef CEL_WORKER_MINGLE_H
#define CEL_WORKER_MINGLE_H

#include "worker/worker.h"

struct cel_mingle;

/* The link has not started.  *ret_mingle: NULL when it is off; the calls below take that. */
celery_status cel_mingle_new(struct celery_worker *w, struct cel_mingle **ret_mingle,
                             celery_error *err);
struct cel_mingle *cel_mingle_free(struct cel_mingle *mingle);

/*
 * On a new connection, of which nothing is declared yet.  cel_link_go_on() when all have
 * answered; false: there is nothing to wait for.
 */
bool cel_mingle_start(struct cel_mingle *mingle);

/* The connection is gone. */
void cel_mingle_lost(struct cel_mingle *mingle);

/* kombu/clocks.py LamportClock.adjust(); a clock near its end would end ours. */
void cel_worker_adjust_clock(struct celery_worker *w, int64_t other);

/* Ids that a neighbour has as revoked: a list, as 5.7 sends it, or a map, as all others do. */
void cel_worker_merge_revoked(struct celery_worker *w, const struct cel_node *theirs);

/* Ours as a list, which every version takes; NULL: no memory. */
struct cel_node *cel_worker_revoked_list(struct celery_worker *w, struct cel_arena *a);

#endif
