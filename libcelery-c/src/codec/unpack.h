/* SPDX-License-Identifier: BSD-3-Clause */
/* "x:I y:I": positional and keyword arguments to C variables, with CPython's TypeErrors. */
#ifndef CEL_CODEC_UNPACK_H
#define CEL_CODEC_UNPACK_H

#include "codec/doc.h"
#include <stdarg.h>

/*
 * See celery_task_args() for fmt.  function is the name in the texts ("create_ical").  On
 * a mismatch writes the TypeError's text to why and returns CELERY_ETASK; CELERY_EINVAL for a
 * malformed fmt.  What it has to allocate (NUL-terminated strings) goes to a; json_t values
 * (type j) are collected in *json_owner, an array made on first use that the caller frees.
 * Names behind "*" are keyword-only, required until another "|".  Variables are written only
 * when all arguments are bound; a type mismatch may leave those before it written.
 */
celery_status cel_unpack(struct cel_arena *a, const char *function,
                         const struct cel_node *args, const struct cel_node *kwargs,
                         struct cel_buf *why, json_t **json_owner, const char *fmt,
                         va_list variables);

#endif
