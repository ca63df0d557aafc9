/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes that Python's icalendar writes for the practical's calendar: order of lines,
 * escaping, folding.  Knows nothing of Celery.
 */
#ifndef ICAL_ICAL_H
#define ICAL_ICAL_H

#include "dates.h"

/* Output of icalendar by version; the differences are few, see ical.c. */
enum ical_class {
    ICAL_A,  /* up to 5.0.1 */
    ICAL_B1, /* 5.0.2 to 5.0.14 */
    ICAL_B2, /* 6.0.0 to 7.2.2 */
    ICAL_C,  /* 7.3.0 and later */
};

struct ical_writer {
    enum ical_class output;
    struct text out;
    struct text line;           /* scratch: one unfolded line */
    struct exception exception; /* the first text that is no UTF-8 (UnicodeEncodeError) */
};

/* Starts a calendar.  w is {0} or was used before; its memory is reused. */
void ical_begin(struct ical_writer *w, enum ical_class output, const char *prodid);

void ical_begin_event(struct ical_writer *w);
void ical_end_event(struct ical_writer *w);

/* One property with a text value in WTF-8.  name is "SUMMARY" and the like. */
void ical_text(struct ical_writer *w, const char *name, const char *value, size_t len);

/* DTSTART. */
void ical_start(struct ical_writer *w, const struct datetime *d);

/* Ends the calendar: w->out, unless w->exception.type is set or w->out.failed. */
void ical_end(struct ical_writer *w);

void ical_free(struct ical_writer *w);

#endif
