/* SPDX-License-Identifier: BSD-3-Clause */
/* Text that lives as long as a request: shared by the report_*.c files. */
#ifndef CEL_WORKER_REPORT_TEXT_H
#define CEL_WORKER_REPORT_TEXT_H

#include "worker/request.h"

/* Copies the bytes into the request's arena and points the slice there. */
celery_status cel_report_copy(struct cel_request *r, struct cel_slice *slice);

/* printf into the request's arena, cut at 600 bytes; an empty slice when out of memory. */
struct cel_slice cel_report_text(struct cel_request *r, const char *fmt, ...)
    CELERY_PRINTF(2, 3);

#endif
