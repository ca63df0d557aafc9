/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a container platform asks (worker_health_address): /healthz, /readyz and /metrics, on
 * the worker's own loop, so that an answer proves that the loop runs.
 */
#ifndef CEL_WORKER_HEALTH_H
#define CEL_WORKER_HEALTH_H

#include "net/http_server.h"
#include "worker/worker.h"

/* Listens if there is an address; otherwise *ret_server stays NULL. */
celery_status cel_health_start(struct celery_worker *w,
                               struct cel_http_server **ret_server, celery_error *err);

#endif
