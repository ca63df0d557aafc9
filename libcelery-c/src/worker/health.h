/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a container platform asks (worker_health_address): /healthz, /readyz and /metrics, on
 * the worker's own loop, so that an answer proves that the loop runs.
 */
#ifndef CEL_WORKER_HEALTH_H
#define CEL_WORKER_HEALTH_H

#include "worker/worker.h"

/* Listens, and counts, if there is an address. */
celery_status cel_health_start(struct celery_worker *w, celery_error *err);
void cel_health_stop(struct celery_worker *w);

#endif
