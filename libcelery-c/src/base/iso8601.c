/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/iso8601.h"
#include <stdio.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY    (INT64_C(86400) * US_PER_SECOND)

struct reader {
    const char *at;
    const char *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_ahead(const struct reader *r)
{
    size_t n = 0;
    while (r->at + n < r->end && is_digit(r->at[n])) {
        n++;
    }
    return n;
}

/* Exactly n digits. */
static bool read_digits(struct reader *r, size_t n, int *ret)
{
    if (digits_ahead(r) < n) {
        return false;
    }
    *ret = 0;
    while (n-- > 0) {
        *ret = *ret * 10 + (*r->at++ - '0');
    }
    return true;
}

static bool take(struct reader *r, char c)
{
    if (r->at < r->end && *r->at == c) {
        r->at++;
        return true;
    }
    return false;
}

/* Days from 1970-01-01 in the Gregorian calendar; years count from March. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : lengths[month - 1];
}

/* Monday of ISO week 1, the week that has 4 January. */
static int64_t first_monday(int year)
{
    int64_t fourth = days_of(year, 1, 4);
    int64_t weekday = ((fourth + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    return fourth - weekday;
}

/* "Www", "Wwwd", "-Www-d" behind a year. */
static bool read_week(struct reader *r, int year, bool dashes, int64_t *ret_days)
{
    int week;
    int day = 1;
    if (!read_digits(r, 2, &week) || week < 1) {
        return false;
    }
    if (dashes ? take(r, '-') : digits_ahead(r) > 0) {
        if (!read_digits(r, 1, &day) || day < 1 || day > 7) {
            return false;
        }
    }
    *ret_days = first_monday(year) + (week - 1) * 7 + day - 1;
    return week < 53 || *ret_days < first_monday(year + 1);
}

/* Celery 5.2 takes months and days of one digit too, with dashes. */
static bool read_month_day(struct reader *r, bool dashes, int *ret)
{
    size_t n = digits_ahead(r);
    return read_digits(r, dashes && n == 1 ? 1 : 2, ret) && *ret >= 1;
}

static bool read_date(struct reader *r, int64_t *ret_days)
{
    int year;
    if (!read_digits(r, 4, &year) || year < 1) {
        return false;
    }
    if (r->at == r->end) {
        *ret_days = days_of(year, 1, 1);
        return true;
    }
    bool dashes = take(r, '-');
    if (take(r, 'W')) {
        return read_week(r, year, dashes, ret_days);
    }
    int month;
    int day = 1;
    if (digits_ahead(r) == 3) {
        bool fine = read_digits(r, 3, &day) && day >= 1 && day <= 365 + is_leap(year);
        *ret_days = days_of(year, 1, 1) + day - 1;
        return fine;
    }
    if (!read_month_day(r, dashes, &month) || month > 12) {
        return false;
    }
    if (dashes ? take(r, '-') : true) {
        if (!read_month_day(r, dashes, &day) || day > month_length(year, month)) {
            return false;
        }
    } else if (r->at < r->end) {
        return false;
    }
    *ret_days = days_of(year, month, day);
    return true;
}

/* Digits behind the sixth are cut, not rounded, as Python does. */
static bool read_fraction(struct reader *r, int64_t *us)
{
    size_t n = digits_ahead(r);
    int64_t unit = US_PER_SECOND / 10;
    for (size_t i = 0; i < n; i++, unit /= 10) {
        *us += (*r->at++ - '0') * unit;
    }
    return n > 0;
}

static bool read_time(struct reader *r, int64_t *us)
{
    int hour;
    int minute = 0;
    int second = 0;
    int64_t fraction = 0;
    if (!read_digits(r, 2, &hour)) {
        return false;
    }
    bool colons = take(r, ':');
    if (colons || digits_ahead(r) > 0) {
        if (!read_digits(r, 2, &minute)) {
            return false;
        }
        if (colons ? take(r, ':') : digits_ahead(r) > 0) {
            if (!read_digits(r, 2, &second)) {
                return false;
            }
            if ((take(r, '.') || take(r, ',')) && !read_fraction(r, &fraction)) {
                return false;
            }
        }
    }
    if (minute > 59 || second > 59 || hour > 24 ||
        (hour == 24 && (minute || second || fraction))) {
        return false;
    }
    *us = ((hour * 60 + minute) * INT64_C(60) + second) * US_PER_SECOND + fraction;
    return true;
}

static bool read_offset(struct reader *r, int64_t *us, bool *aware)
{
    *us = 0;
    *aware = r->at < r->end;
    if (!*aware || take(r, 'Z') || take(r, 'z')) {
        return true;
    }
    bool west = take(r, '-');
    int hours;
    int minutes = 0;
    if ((!west && !take(r, '+')) || !read_digits(r, 2, &hours) || hours > 23) {
        return false;
    }
    if (r->at < r->end) {
        take(r, ':');
        if (!read_digits(r, 2, &minutes) || minutes > 59) {
            return false;
        }
    }
    *us = (hours * 60 + minutes) * INT64_C(60) * US_PER_SECOND * (west ? -1 : 1);
    return true;
}

bool cel_iso8601_parse(struct cel_slice text, int64_t *ret_us, bool *ret_aware)
{
    if (text.len == 0) {
        return false;
    }
    struct reader r = {text.data, text.data + text.len};
    int64_t days;
    int64_t time = 0;
    int64_t offset = 0;
    bool aware = false;
    if (!read_date(&r, &days)) {
        return false;
    }
    if (r.at < r.end) {
        /* Both parsers take any one character between date and time. */
        r.at++;
        if (!read_time(&r, &time) || !read_offset(&r, &offset, &aware) || r.at != r.end) {
            return false;
        }
    }
    int64_t us = days * US_PER_DAY + time - offset;
    if (us < days_of(1, 1, 1) * US_PER_DAY || us >= days_of(10000, 1, 1) * US_PER_DAY) {
        return false;
    }
    *ret_us = us;
    *ret_aware = aware;
    return true;
}

/* The inverse of days_of(). */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * from_march + 2) / 5 + 1);
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static char *put_number(char *at, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10) {
        at[i] = (char)('0' + value % 10);
    }
    return at + width;
}

size_t cel_iso8601_format(int64_t us, enum cel_iso8601_style style,
                          char text[CEL_ISO8601_SIZE])
{
    int64_t days = (us >= 0 ? us : us - (US_PER_DAY - 1)) / US_PER_DAY;
    int64_t rest = us - days * US_PER_DAY;
    int64_t seconds = rest / US_PER_SECOND;
    int year;
    int month;
    int day;
    date_of(days, &year, &month, &day);
    char *at = put_number(text, year < 0 ? 0 : year % 10000, 4);
    *at++ = '-';
    at = put_number(at, month, 2);
    *at++ = '-';
    at = put_number(at, day, 2);
    *at++ = 'T';
    at = put_number(at, seconds / 3600, 2);
    *at++ = ':';
    at = put_number(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = put_number(at, seconds % 60, 2);
    if (rest % US_PER_SECOND > 0) {
        *at++ = '.';
        at = put_number(at, rest % US_PER_SECOND, 6);
    }
    static const char *const ends[] = {"+00:00", "", "Z"};
    size_t n = strlen(ends[style]);
    memcpy(at, ends[style], n + 1);
    return (size_t)(at - text) + n;
}
