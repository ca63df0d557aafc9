/* SPDX-License-Identifier: BSD-3-Clause */
/* What is stored, published and logged about the end of a request. */
#ifndef CEL_WORKER_REPORT_H
#define CEL_WORKER_REPORT_H

#include "canvas/continue.h"
#include "worker/request.h"

/* Copies an outcome into the request's arena (it is borrowed only for a call). */
celery_status cel_report_keep(struct cel_request *r, const struct cel_outcome *outcome);

/* The outcome the worker gives when a process died, a limit passed, a task was revoked. */
void cel_report_lost(struct cel_request *r, int wait_status, struct cel_outcome *ret);
/* Its worker ended in so many starts of it. */
void cel_report_spent(struct cel_request *r, int64_t starts, struct cel_outcome *ret);
/* After cel_report_lost(): a retry, where retry_on_worker_lost wants one and it is allowed. */
void cel_report_lost_retry(struct cel_request *r, struct cel_outcome *outcome);
void cel_report_timeout(struct cel_request *r, struct cel_outcome *ret);
void cel_report_cancelled(struct cel_request *r,
                          struct cel_outcome *ret); /* cold shutdown */
void cel_report_revoked(struct cel_request *r, const char *reason,
                        struct cel_outcome *ret);
void cel_report_not_registered(struct cel_request *r, struct cel_outcome *ret);
void cel_report_invalid(struct cel_request *r, enum cel_call_fault fault, const char *why,
                        struct cel_outcome *ret);

/* The exception of the outcome as results have it: JSON text in the request's arena. */
struct cel_slice cel_report_exception(struct cel_request *r);
struct cel_slice cel_report_exception_json(struct cel_request *r,
                                           const struct cel_continue_exc *exc);

/*
 * Children of a document: what the request sent, if own, and more (result tuples as JSON,
 * separated).
 */
struct cel_slice cel_report_children(struct cel_request *r, bool own,
                                     struct cel_slice more);

/* Whether an error of this task is stored (ignore_result, store_errors_even_if_ignored). */
bool cel_report_wants_errors(const struct cel_request *r);

/* Fills r->store.meta; false: nothing is to be stored for this outcome. */
bool cel_report_meta(struct cel_request *r);

/* STARTED, or a state of the task's own. */
void cel_report_state(struct cel_request *r, struct cel_slice state,
                      struct cel_slice result_json);
void cel_report_started(struct cel_request *r);

/* Log line for what is no task call (celery/worker/consumer/consumer.py). */
void cel_report_log_fault(const struct cel_request *r, enum cel_call_fault fault,
                          const char *why);

/* Log lines of celery/app/trace.py and celery/worker/request.py. */
void cel_report_log_received(struct cel_request *r);
void cel_report_log_end(struct cel_request *r);

#endif
