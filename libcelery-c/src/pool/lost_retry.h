/* SPDX-License-Identifier: BSD-3-Clause */
/* A retry in the name of a task whose process is gone. */
#ifndef CEL_POOL_LOST_RETRY_H
#define CEL_POOL_LOST_RETRY_H

#include "canvas/effects.h"
#include "pool/pool.h"

/* Whether its task may be tried once more (Task.max_retries). */
bool cel_lost_retry_allowed(const struct cel_job *job);

/*
 * The message that Task.retry() would have made, for default_retry_delay from now; it replaces
 * what is in effects.  CELERY_EMESSAGE: its body cannot be read.
 */
celery_status cel_lost_retry(celery_app *app, const struct cel_call_limits *limits,
                             struct cel_job *job, struct cel_effects *effects,
                             celery_error *err);

#endif
