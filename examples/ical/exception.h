/* SPDX-License-Identifier: BSD-3-Clause */
/* A Python exception as data: what create_ical() raises instead of returning a calendar. */
#ifndef ICAL_EXCEPTION_H
#define ICAL_EXCEPTION_H

#include "text.h"

struct exception {
    const char *type;    /* of builtins; NULL: nothing was raised */
    struct text message; /* the only argument, WTF-8 */
    struct text args;    /* all arguments as a JSON array, when they are not [message] */
    struct text shown;   /* str(exception), when it is not the message */
};

/* Raises: sets the type and the start of the message.  The caller may append to it. */
void exception_raise(struct exception *e, const char *type, const char *message);

/* Forgets what was raised; frees what it holds. */
void exception_clear(struct exception *e);

/* Appends the arguments as JSON, as Celery stores them in exc_message. */
void exception_args(const struct exception *e, struct text *out);

/* Appends a Python-style traceback whose last line is "type: text". */
void exception_traceback(const struct exception *e, struct text *out);

#endif
