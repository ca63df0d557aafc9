/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The step behind an early-acknowledged one, when its queue is ours and empty and the pool is
 * idle: sending, claiming and acknowledging it would follow one another at once, so it is
 * run without any of them.
 */
#ifndef CEL_WORKER_DIRECT_H
#define CEL_WORKER_DIRECT_H

#include "worker/request.h"

/* What this task, which has ended, calls may be run so. */
bool cel_direct_from(const struct cel_request *r);

/*
 * Starts the task of a message for the queue, which is kombu's JSON, in this pass; it counts as
 * acknowledged.  False: nothing was done, it has to be published.
 */
bool cel_direct_run(struct celery_worker *w, const char *queue, struct cel_slice text);

/* It goes back before it was started: to the broker, which never had it. */
void cel_direct_publish(struct cel_request *r, struct cel_done done);

#endif
