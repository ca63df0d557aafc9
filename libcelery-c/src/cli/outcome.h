/* SPDX-License-Identifier: BSD-3-Clause */
/* How a task ended, printed: for `call --wait` and `result`. */
#ifndef CEL_CLI_OUTCOME_H
#define CEL_CLI_OUTCOME_H

#include <celery/client.h>

/*
 * Waits (timeout < 0: for ever) and prints the value as Python's print() would, or with
 * traceback the traceback instead, or with json the stored document.  The exit code: 1 after
 * one line when the task failed or the time is over.
 */
int outcome_wait(celery_result *result, double timeout, bool json, bool traceback);

/* What is stored now, without waiting: the value, or the state of a task that has not ended. */
int outcome_now(celery_result *result, bool json, bool traceback);

/* {"task_id": "..."} */
int outcome_id_json(const celery_result *result);

#endif
