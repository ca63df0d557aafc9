/* SPDX-License-Identifier: BSD-3-Clause */
/* The Gregorian calendar without time zones, as Python's naive datetime has it. */
#ifndef CEL_BEAT_CIVIL_H
#define CEL_BEAT_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define CEL_SECOND INT64_C(1000000) /* in microseconds */
#define CEL_DAY    (86400 * CEL_SECOND)

enum { CEL_YEAR_MIN = 1, CEL_YEAR_MAX = 9999 };

struct cel_civil {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second;
    int us;
};

/* Days since 1970-01-01; any year, month 1 to 12, any day. */
int64_t cel_civil_days(int64_t year, int month, int day);
int cel_civil_month_days(int64_t year, int month);

/* Microseconds since 1970-01-01 00:00 of the same calendar, and back. */
int64_t cel_civil_us(const struct cel_civil *c);
struct cel_civil cel_civil_of(int64_t us);

/* 0 is Sunday. */
int cel_civil_weekday(int64_t us);

/* Rounds down, also below zero. */
int64_t cel_civil_floor(int64_t value, int64_t unit);

#endif
