/* SPDX-License-Identifier: BSD-3-Clause */
/* Set and extend a celery_error.  No allocation. */
#ifndef CEL_BASE_ERROR_H
#define CEL_BASE_ERROR_H

#include <celery/error.h>
#include <stdarg.h>

/* Sets err (may be NULL) and returns status, so that callers can `return` it. */
celery_status cel_error_set(celery_error *err, celery_status status, const char *fmt, ...)
    CELERY_PRINTF(3, 4);

/* The same with ": strerror(errnum)" behind the text and errnum as code. */
celery_status cel_error_sys(celery_error *err, celery_status status, int errnum,
                            const char *fmt, ...) CELERY_PRINTF(4, 5);

/* Puts text in front of the message, cutting the end if need be; returns status. */
celery_status cel_error_prefix(celery_error *err, celery_status status, const char *fmt,
                               ...) CELERY_PRINTF(3, 4);

/* cel_error_set() with "lead: " in front. */
celery_status cel_error_vlead(celery_error *err, celery_status status, const char *lead,
                              const char *fmt, va_list args) CELERY_PRINTF(4, 0);

/* "out of memory"; returns CELERY_ENOMEM. */
celery_status cel_error_nomem(celery_error *err);

#endif
