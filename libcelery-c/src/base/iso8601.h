/* SPDX-License-Identifier: BSD-3-Clause */
/* Instants as Python writes and reads them. */
#ifndef CEL_BASE_ISO8601_H
#define CEL_BASE_ISO8601_H

#include "base/slice.h"

/*
 * Parses what dateutil.parser.isoparse (Celery >= 5.3) and Celery 5.2's own expression
 * accept: "2026-11-22T13:02:13.615386+00:00", "...Z", "+0100", space for T, date only,
 * basic format, "24:00".  The instant in microseconds since 1970 UTC; a text without an
 * offset is UTC with *ret_aware false.  False: not a date, or outside years 1 to 9999.
 */
bool cel_iso8601_parse(struct cel_slice text, int64_t *ret_us, bool *ret_aware);

enum cel_iso8601_style {
    CEL_ISO_OFFSET, /* 2026-11-22T13:02:13.615386+00:00, fraction left out when 0 */
    CEL_ISO_NAIVE,  /* 2026-11-22T13:02:13.615386 */
    CEL_ISO_Z,      /* 2026-11-22T13:02:13.615386Z */
};

#define CEL_ISO8601_SIZE 40 /* enough for any of them with its NUL */

/* datetime.isoformat() of an instant in UTC; returns the length. */
size_t cel_iso8601_format(int64_t us, enum cel_iso8601_style style,
                          char text[CEL_ISO8601_SIZE]);

#endif
