/* SPDX-License-Identifier: BSD-3-Clause */
/* Dates as CPython reads them: datetime.strptime() and datetime.fromisoformat(). */
#ifndef ICAL_DATES_H
#define ICAL_DATES_H

#include "exception.h"

struct datetime {
    int year, month, day, hour, minute, second;
    bool aware;       /* has an offset */
    int offset;       /* seconds east of UTC */
    int offset_micro; /* of the same sign */
};

enum date_status {
    DATE_OK,
    DATE_RAISED,   /* e says what */
    DATE_NO_MATCH, /* not of the form: ValueError with the repr() of the text */
};

/*
 * datetime.strptime(text, "%Y-%m-%dT%H:%M:%S") of CPython 3.9 to 3.13, whose regular
 * expression takes more than ISO 8601, and less.
 */
enum date_status date_strptime(const char *text, size_t len, struct datetime *ret,
                               struct exception *e);

/* datetime.fromisoformat(text) of CPython 3.11 and 3.12. */
enum date_status date_fromisoformat(const char *text, size_t len, struct datetime *ret,
                                    struct exception *e);

/* datetime.astimezone(timezone.utc) of an aware date. */
enum date_status date_to_utc(struct datetime *d, struct exception *e);

/* What both constructors check: "day is out of range for month" ... */
enum date_status date_check(const struct datetime *d, struct exception *e);

/* The day's number, 0001-01-01 being 1, and back (datetime.date.toordinal()). */
long date_ordinal(int year, int month, int day);
void date_from_ordinal(long ordinal, int *ret_year, int *ret_month, int *ret_day);

#endif
