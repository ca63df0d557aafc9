/* SPDX-License-Identifier: BSD-3-Clause */
/* The banner of `celery worker` (celery/apps/worker.py BANNER). */
#ifndef CEL_WORKER_BANNER_H
#define CEL_WORKER_BANNER_H

#include "worker/worker.h"
#include <celery/log.h>

/* Prints it to standard output; the task list only at INFO and below. */
void cel_banner(const struct celery_worker *w, celery_log_level level);

#endif
