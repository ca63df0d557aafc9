/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked before a late-acknowledged message that was delivered before runs: whether its
 * result is stored already (worker_deduplicate_successful_tasks), and how often it was
 * started without an end where a task can take the worker along (worker_redelivery_budget).
 */
#ifndef CEL_WORKER_REDELIVERED_H
#define CEL_WORKER_REDELIVERED_H

#include "worker/request.h"

/* There are a pool, a link and results. */
void cel_redelivered_init(struct celery_worker *w);

/*
 * False: it may run.  True: it waits for answers; then it is ready again (r->asked), or ended.
 */
bool cel_redelivered_ask(struct cel_request *r);

/* The request goes away. */
void cel_redelivered_forget(struct cel_request *r);

/* Connected again: what the broker did not answer is asked again. */
void cel_redelivered_again(struct celery_worker *w);

#endif
