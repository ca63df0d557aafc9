/* SPDX-License-Identifier: BSD-3-Clause */
/* Log levels and where log lines go.  Stable. */
#ifndef CELERY_LOG_H
#define CELERY_LOG_H

#include <celery/error.h>

CELERY_BEGIN_DECLS

/* Python's numeric levels, because Celery's operators know them. */
typedef enum celery_log_level {
    CELERY_LOG_DEBUG = 10,
    CELERY_LOG_INFO = 20,
    CELERY_LOG_WARNING = 30,
    CELERY_LOG_ERROR = 40,
    CELERY_LOG_CRITICAL = 50,
    CELERY_LOG_OFF = 100,
} celery_log_level;

/*
 * Receives one finished message: no newline, untrusted text already escaped, at most
 * 4096 bytes.  May be called from any thread of the library, one call at a time.
 */
typedef void (*celery_log_fn)(void *ctx, celery_log_level level, const char *message);

/*
 * Sets where messages go and the lowest level that is passed on.  A NULL fn restores
 * the default: standard error, in the format of `celery worker`.  Call it before other
 * threads use the library; a library user starts at CELERY_LOG_WARNING.
 */
CELERY_API void celery_log_set(celery_log_fn fn, void *ctx, celery_log_level lowest);

/* Changes the lowest level alone.  Any thread. */
CELERY_API void celery_log_set_level(celery_log_level lowest);

/*
 * Writes a message, for example from a task function; inside a task use
 * celery_task_log(), which adds the task's name and id.  Any thread.
 */
CELERY_API void celery_log(celery_log_level level, const char *fmt, ...)
    CELERY_PRINTF(2, 3);

CELERY_END_DECLS

#endif
