/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the library's own log lines are made.  Only worker/ and cli/ log errors. */
#ifndef CEL_BASE_LOG_H
#define CEL_BASE_LOG_H

#include "base/slice.h"
#include <celery/log.h>
#include <stdarg.h>

/* Cheap: whether a line of this level goes anywhere. */
bool cel_log_on(celery_log_level level);

/* printf-like.  Arguments that come from outside go through CEL_LOG_TEXT(). */
void cel_log(celery_log_level level, const char *fmt, ...) CELERY_PRINTF(2, 3);
void cel_logv(celery_log_level level, const char *fmt, va_list args) CELERY_PRINTF(2, 0);

/* A finished line, may hold newlines on purpose (tracebacks). */
void cel_log_text(celery_log_level level, struct cel_slice text);

/*
 * Escapes untrusted text into a ring of per-thread buffers and returns it NUL-terminated;
 * at most 256 bytes.  Valid until the 8th next call of this thread.
 */
const char *cel_log_safe(struct cel_slice text);

/* ---- how the default sink writes; set by worker/ and cli/ ---- */

/* The name behind the level: "MainProcess" at first; copied (at most 63 bytes). */
void cel_log_set_process(const char *name);
const char *cel_log_process(void);

/*
 * Lines of this thread stand under the name and pid of another process until NULL: those
 * that Celery's child writes and our parent does.  Borrowed.
 */
void cel_log_speak_for(const char *process, int pid);

/*
 * Lines of this thread are about that task until it is {NULL, 0}; borrowed.  Only JSON lines
 * show it: in text it is a part of the message.
 */
void cel_log_about(struct cel_slice task, struct cel_slice id);

/*
 * One JSON object a line instead of text: time (UTC), level, logger, process, pid, task_name and
 * task_id where they are known, message.
 */
void cel_log_set_json(bool on);

/*
 * strftime() formats of the time of lines, and of those that tasks write; NULL or "": Celery's
 * "2026-11-22 13:02:13,615".  Local time, at most 127 bytes of text.  Borrowed for ever.
 */
void cel_log_set_dates(const char *all, const char *of_tasks);

/* cel_log_text() of what a task's own logger writes (celery.task): dates as tasks have them. */
void cel_log_task_text(celery_log_level level, struct cel_slice text);

/* 1: colours by level as Celery has them, 0: none, -1: when the sink is a terminal. */
void cel_log_set_color(int mode);

/* Appends to a file instead of standard error; NULL: standard error again. */
celery_status cel_log_set_file(const char *path, celery_error *err);

/* Opens the file again, after it was moved away (log rotation). */
celery_status cel_log_reopen(celery_error *err);

/* Python's level name: "INFO". */
const char *cel_log_level_name(celery_log_level level);

/* "debug", "INFO", "warn" ... as `celery worker -l` takes it; false when unknown. */
bool cel_log_level_parse(const char *text, celery_log_level *ret);

#endif
