/* SPDX-License-Identifier: BSD-3-Clause */
/* Warm, soft and cold shutdown (celery/apps/worker.py) and their deadlines. */
#ifndef CEL_WORKER_SHUTDOWN_H
#define CEL_WORKER_SHUTDOWN_H

#include "worker/worker.h"

celery_status cel_shutdown_init(struct celery_worker *w, celery_error *err);

#endif
