/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What /metrics tells.  Counts tasks as an observer of requests, and only where there is an
 * address to be asked at; everything else is looked up when it is asked for.
 */
#ifndef CEL_WORKER_METRICS_H
#define CEL_WORKER_METRICS_H

#include "worker/metric_text.h"
#include "worker/notice.h"

/* One end for each request. */
enum cel_metric_outcome {
    CEL_ENDED_SUCCEEDED,
    CEL_ENDED_FAILED,
    CEL_ENDED_RETRIED,
    CEL_ENDED_IGNORED,
    CEL_ENDED_REJECTED,
    CEL_ENDED_REVOKED,
    CEL_ENDED_EXPIRED,
    CEL_ENDED_TIMEOUT,   /* its hard time limit */
    CEL_ENDED_LOST,      /* its process went */
    CEL_ENDED_CANCELLED, /* by a shutdown */
    CEL_ENDED_MALFORMED, /* its message could not be read, or names no registered task */
    CEL_ENDED_KINDS
};

struct cel_task_metrics {
    uint64_t ended[CEL_ENDED_KINDS];
    uint64_t started;
    struct cel_histogram runtime;
    struct cel_histogram wait; /* from when it could have run to its start */
};

struct cel_metrics {
    struct celery_worker *w;
    struct cel_observer observer;
    struct cel_task_metrics *tasks; /* by task index; the last one: not registered */
    size_t n_tasks;
};

celery_status cel_metrics_new(struct celery_worker *w, struct cel_metrics **ret_metrics,
                              celery_error *err);
struct cel_metrics *cel_metrics_free(struct cel_metrics *metrics);

/* "succeeded" */
const char *cel_metric_outcome_name(enum cel_metric_outcome outcome);

/* The whole page. */
void cel_metrics_write(const struct cel_metrics *metrics, struct cel_buf *out);

#endif
