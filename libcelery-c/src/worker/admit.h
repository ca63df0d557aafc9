/* SPDX-License-Identifier: BSD-3-Clause */
/* The door: what becomes of a delivery (celery/worker/strategy.py, consumer.py). */
#ifndef CEL_WORKER_ADMIT_H
#define CEL_WORKER_ADMIT_H

#include "worker/request.h"

/* Total: every delivery ends up scheduled, ended with a result, parked or given back. */
void cel_admit(struct celery_worker *w, struct cel_delivery *give_delivery);

/*
 * Takes a message that never was the broker's, of which call and task have been read (see
 * worker/direct.h).  False: no memory, and the envelope is gone.
 */
bool cel_admit_direct(struct celery_worker *w, struct cel_delivery *give_delivery,
                      const struct cel_job *read);

/* A ready request's turn: expired or revoked meanwhile? Otherwise to the pool. */
void cel_admit_to_pool(struct cel_request *r);

/*
 * A submitted job is about to start: true unless it expired meanwhile or was revoked; then it has
 * been recalled and its end is under way.
 */
bool cel_admit_to_run(struct cel_request *r);

/* Ends a request that has not started, as expired or revoked.  May free r. */
void cel_admit_discard(struct cel_request *r, const char *reason);

#endif
