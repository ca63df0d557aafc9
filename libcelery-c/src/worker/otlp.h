/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spans of tasks for an OpenTelemetry collector: OTLP over HTTP, as JSON.  Each task has one from
 * its arrival to its start and one while it runs; what it sends has the latter as parent.
 *
 * The endpoint is worker_otlp_endpoint, or what the environment has for all programs:
 * OTEL_EXPORTER_OTLP_TRACES_ENDPOINT (whole), OTEL_EXPORTER_OTLP_ENDPOINT (without /v1/traces);
 * OTEL_EXPORTER_OTLP_HEADERS and OTEL_SERVICE_NAME are known, too.  Tasks never wait for it:
 * what cannot be sent is dropped, with a line.
 */
#ifndef CEL_WORKER_OTLP_H
#define CEL_WORKER_OTLP_H

#include "worker/worker.h"

struct cel_otlp;
struct cel_span;

/* *ret_otlp: NULL without an endpoint; the calls below take that.  CELERY_ECONFIG. */
celery_status cel_otlp_new(struct celery_worker *w, struct cel_otlp **ret_otlp,
                           celery_error *err);

/* The loop does not run any more: gives what is left two seconds to go. */
void cel_otlp_close(struct cel_otlp *otlp);
struct cel_otlp *cel_otlp_free(struct cel_otlp *otlp);

#endif
