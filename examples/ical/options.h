/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What differs between copies of the practical's application.  Each option is a variable
 * of the environment (for ical.so and containers) and an option of ical-worker.
 */
#ifndef ICAL_OPTIONS_H
#define ICAL_OPTIONS_H

#include "ical.h"

enum ical_dates { ICAL_DATES_STRICT, ICAL_DATES_ISO, ICAL_DATES_OPTIONAL };
enum ical_missing { ICAL_MISSING_ERROR, ICAL_MISSING_SKIP, ICAL_MISSING_NO_DTSTART };
enum ical_null { ICAL_NULL_NONE, ICAL_NULL_EMPTY };
enum ical_offsets { ICAL_OFFSETS_TZID, ICAL_OFFSETS_UTC };

struct ical_options {
    enum ical_dates dates;
    enum ical_missing missing;
    enum ical_null null_description;
    enum ical_offsets offsets;
    enum ical_class output;
    const char *prodid;
    const char *aliases; /* more names of the task, separated by commas; or NULL */
    double delay;        /* seconds, as the practical's time.sleep(50) */
    bool old_indices;    /* Python < 3.11: "string indices must be integers" */
};

/* The practical as printed, without its sleep. */
void ical_options_init(struct ical_options *o);

/* Reads ICAL_*.  False with a line for the user in why. */
bool ical_options_environ(struct ical_options *o, char *why, size_t size);

/*
 * Takes the options that are its own out of argv, in the forms "--dates iso" and
 * "--dates=iso", and leaves the rest for the worker.  False with a line in why.
 */
bool ical_options_argv(struct ical_options *o, int *argc, char **argv, char *why,
                       size_t size);

/* The part of --help about these options. */
extern const char ical_options_help[];

#endif
