/* SPDX-License-Identifier: BSD-3-Clause */
/* The spans of one request, and how they are written. */
#ifndef CEL_WORKER_OTLP_SPAN_H
#define CEL_WORKER_OTLP_SPAN_H

#include "worker/notice.h"
#include "worker/request.h"

/* In the arena of the request's envelope. */
struct cel_span {
    char trace[33];  /* hex */
    char parent[17]; /* the producer's; "": a new trace begins here */
    char id[17];     /* of the run, and parent of what it sends */
    char header[56]; /* traceparent of what it sends */
    bool sampled;
    double arrived; /* wall time */
    double started; /* 0: not yet */
};

/*
 * On arrival: takes part in the trace of the message, or begins one, and makes what the task
 * sends a child of this span.  NULL: no memory.
 */
struct cel_span *cel_span_begin(struct cel_request *r, double now);

/* Its wait, from the arrival to the start; and its run, with what became of it. */
void cel_span_write_wait(struct cel_buf *out, const struct cel_request *r,
                         const struct cel_span *s);
void cel_span_write_run(struct cel_buf *out, const struct cel_notice *n,
                        const struct cel_span *s);

#endif
