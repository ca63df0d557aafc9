/* SPDX-License-Identifier: BSD-3-Clause */
/* How much is taken from the broker, and what goes to the pool. */
#ifndef CEL_WORKER_SLOTS_H
#define CEL_WORKER_SLOTS_H

#include "worker/worker.h"

/* --autoscale; nothing without it. */
celery_status cel_worker_start_scaling(struct celery_worker *w, celery_error *err);

/* worker_disable_prefetch: nothing is taken that could not run at once. */
void cel_worker_update_credit(struct celery_worker *w);

/* The hook behind cel_worker_dispatch(). */
void cel_worker_on_dispatch(void *w);

#endif
