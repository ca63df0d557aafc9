/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery.backend_cleanup (celery/app/builtins.py add_backend_cleanup_task), for backends whose
 * results do not expire by themselves.  It runs in the worker itself, which has the connection to
 * the results, and takes no slot of the pool.
 */
#ifndef CEL_WORKER_CLEANUP_H
#define CEL_WORKER_CLEANUP_H

#include "worker/request.h"

/* Whether the request is one that this runs instead of the pool. */
bool cel_cleanup_is(const struct cel_request *r);

/* Runs it: ends with cel_request_finish(), possibly at once. */
void cel_cleanup_run(struct cel_request *r);

#endif
