/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds a request back from the pool: its ETA, the rate limit of its task. */
#ifndef CEL_WORKER_SCHEDULE_H
#define CEL_WORKER_SCHEDULE_H

#include "worker/request.h"

celery_status cel_schedule_init(struct celery_worker *w, celery_error *err);
void cel_schedule_fini(struct celery_worker *w);

/* Puts an admitted request where it has to wait, or into the ready list. */
void cel_schedule_add(struct cel_request *r);

/* Starts per second of a task from now on; 0: no limit, what waits goes on. */
celery_status cel_schedule_set_rate(struct celery_worker *w, uint32_t index, double rate);

/* Takes it out of whatever it waits in; harmless when it does not wait. */
void cel_schedule_remove(struct cel_request *r);

#endif
