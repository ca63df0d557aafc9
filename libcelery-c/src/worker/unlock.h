/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery.chord_unlock (celery/app/builtins.py add_unlock_chord_task): looks whether all parts of
 * a chord are ready, and calls its body, for backends that do not count.  It runs in the worker
 * itself, which has the connection to the results, and takes no slot of the pool.
 */
#ifndef CEL_WORKER_UNLOCK_H
#define CEL_WORKER_UNLOCK_H

#include "worker/request.h"

/* Whether the request is one that unlock runs instead of the pool. */
bool cel_unlock_is(const struct cel_request *r);

/* Runs it: ends with cel_request_finish(), possibly at once. */
void cel_unlock_run(struct cel_request *r);

#endif
