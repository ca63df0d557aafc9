/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ~/.aws/config and ~/.aws/credentials, read as Python's configparser.RawConfigParser does for
 * botocore: keys in lower case, "=" or ":", comments of whole lines, values go on in lines that
 * are indented (those are passed over: nested settings are none of ours).  A byte order mark and
 * CRLF do no harm.  Of what stands twice, the last counts.
 */
#ifndef CEL_AWS_INI_H
#define CEL_AWS_INI_H

#include "base/arena.h"
#include <celery/error.h>

struct cel_ini_entry;

struct cel_ini {
    struct cel_ini_entry *last; /* newest first; in the arena */
};

/* CELERY_ECONFIG with the number of the line, never its text; CELERY_ENOMEM. */
celery_status cel_ini_parse(struct cel_arena *a, struct cel_slice text,
                            struct cel_ini *ret, celery_error *err);

/* A value, trimmed; {NULL, 0}: none.  key in lower case.  Points into the text. */
struct cel_slice cel_ini_get(const struct cel_ini *ini, struct cel_slice section,
                             const char *key);

bool cel_ini_has(const struct cel_ini *ini, struct cel_slice section);

#endif
