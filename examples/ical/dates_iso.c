/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * datetime.fromisoformat() as the C code of CPython 3.11 and 3.12 does it
 * (Modules/_datetimemodule.c), with what it takes beyond ISO 8601: any one character
 * between date and time, one stray character before an offset, digits cut after six
 * of a fraction, and nothing after a NUL.
 */
#include "dates.h"

#include <string.h>

enum zone { ZONE_BAD = -1, ZONE_NONE, ZONE_OFFSET };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly count digits; NULL when there are fewer. */
static const char *take_digits(const char *p, int *ret, size_t count)
{
    *ret = 0;
    for (size_t i = 0; i < count; i++, p++) {
        if (!is_digit(*p)) {
            return NULL;
        }
        *ret = *ret * 10 + (*p - '0');
    }
    return p;
}

/* Offset of the character between date and time, which may be any (_find_isoformat_...). */
static size_t find_separator(const char *s, size_t len)
{
    if (len == 7) {
        return 7;
    }
    if (s[4] == '-') {
        if (s[5] != 'W') {
            return 10; /* YYYY-MM-DD */
        }
        if (s[8] != '-') {
            return 8; /* YYYY-Www */
        }
        /* YYYY-Www-D, or YYYY-Www with a hyphen before the hour */
        return len > 10 && is_digit(s[10]) ? 8 : 10;
    }
    if (s[4] != 'W') {
        return 8; /* YYYYMMDD */
    }
    size_t end = 7;

    while (end < len && is_digit(s[end])) {
        end++;
    }
    if (end < 9) {
        return end;
    }
    return end % 2 == 0 ? 7 : 8; /* YYYYWww and pairs of digits, or YYYYWwwd and pairs */
}

static bool from_week(int year, int week, int day, struct datetime *d)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    long jan1 = year > 0 ? date_ordinal(year, 1, 1) : -365;
    long weekday = ((jan1 - 1) % 7 + 7) % 7; /* 0: Monday */

    if (week < 1 || week > 53 || day < 1 || day > 7 ||
        (week == 53 && weekday != 3 && !(weekday == 2 && leap))) {
        return false;
    }
    if (year == 0) { /* CPython computes a month out of range here */
        *d = (struct datetime){.year = 1};
        return true;
    }
    long monday = weekday <= 3 ? jan1 - weekday : jan1 + 7 - weekday;

    date_from_ordinal(monday + (week - 1) * 7L + day - 1, &d->year, &d->month, &d->day);
    return true;
}

static bool parse_date(const char *s, size_t len, struct datetime *d)
{
    const char *p = take_digits(s, &d->year, 4);

    if (!p) {
        return false;
    }
    bool hyphens = *p == '-';

    p += hyphens;
    if (*p == 'W') {
        int week, day = 1;

        p = take_digits(p + 1, &week, 2);
        if (p && (size_t)(p - s) < len) {
            if (hyphens && *p++ != '-') {
                return false;
            }
            p = take_digits(p, &day, 1);
        }
        return p && from_week(d->year, week, day, d);
    }
    p = take_digits(p, &d->month, 2);
    if (!p || (hyphens && *p++ != '-')) {
        return false;
    }
    return take_digits(p, &d->day, 2) != NULL;
}

/*
 * HH[:MM[:SS[.ffffff]]] or the same without colons, from p to end.  0: read; 1: read, and
 * something stands where it ends; -1: malformed (parse_hh_mm_ss_ff).
 */
static int parse_clock(const char *p, const char *end, int v[3], int *ret_micro)
{
    static const int scale[] = {0, 100000, 10000, 1000, 100, 10, 1};
    bool colons = true;

    for (int i = 0; i < 3; i++) {
        p = take_digits(p, &v[i], 2);
        if (!p) {
            return -1;
        }
        char c = *p++;

        if (i == 0) {
            colons = c == ':';
        }
        if (p >= end) {
            return c != '\0';
        }
        if (colons && c == ':') {
            continue;
        }
        if (c == '.' || c == ',') {
            break;
        }
        if (colons) {
            return -1;
        }
        p--;
    }
    size_t count = end - p >= 6 ? 6 : (size_t)(end - p);

    p = take_digits(p, ret_micro, count);
    if (!p) {
        return -1;
    }
    *ret_micro *= scale[count];
    while (is_digit(*p)) {
        p++;
    }
    return *p != '\0';
}

static enum zone parse_time(const char *s, const char *end, struct datetime *d)
{
    const char *zone = s;
    int clock[3] = {0}, micro = 0;

    do {
        if (*zone == '+' || *zone == '-' || *zone == 'Z') {
            break;
        }
    } while (++zone < end);
    int rest = parse_clock(s, zone, clock, &micro);

    d->hour = clock[0];
    d->minute = clock[1];
    d->second = clock[2];
    if (rest < 0 || (zone == end && rest == 1)) {
        return ZONE_BAD;
    }
    if (zone == end) {
        return ZONE_NONE;
    }
    if (*zone == 'Z') {
        return zone[1] == '\0' ? ZONE_OFFSET : ZONE_BAD;
    }
    int sign = *zone == '-' ? -1 : 1;
    int offset[3] = {0};

    if (parse_clock(zone + 1, end, offset, &d->offset_micro) != 0) {
        return ZONE_BAD;
    }
    d->offset = sign * (offset[0] * 3600 + offset[1] * 60 + offset[2]);
    d->offset_micro *= sign;
    return ZONE_OFFSET;
}

/* Appends repr(timedelta(seconds=, microseconds=)). */
static void add_timedelta(struct text *t, long seconds, long micro)
{
    const char *comma = "";
    long days;

    seconds -= micro < 0;
    micro += micro < 0 ? 1000000 : 0;
    days = seconds / 86400 - (seconds % 86400 < 0);
    seconds -= days * 86400;
    text_adds(t, "datetime.timedelta(");
    if (days != 0) {
        text_addf(t, "days=%ld", days);
        comma = ", ";
    }
    if (seconds != 0) {
        text_addf(t, "%sseconds=%ld", comma, seconds);
        comma = ", ";
    }
    if (micro != 0) {
        text_addf(t, "%smicroseconds=%ld", comma, micro);
    }
    text_adds(t, ")");
}

static bool check_zone(struct datetime *d, struct exception *e)
{
    d->aware = true;
    if (d->offset == 0) {
        d->offset_micro = 0; /* CPython gives UTC without looking at the microseconds */
    }
    if (d->offset > -86400 && d->offset < 86400 &&
        !(d->offset == -86399 && d->offset_micro < -999999)) {
        return true;
    }
    exception_raise(
        e, "ValueError",
        "offset must be a timedelta strictly between -timedelta(hours=24) and "
        "timedelta(hours=24), not ");
    add_timedelta(&e->message, d->offset, d->offset_micro);
    text_adds(&e->message, ".");
    return false;
}

/*
 * A copy to read as a C string.  A lone surrogate as the separator becomes "T"; any other
 * is false, because CPython cannot make UTF-8 of it (_sanitize_isoformat_str).
 */
static bool sanitize(const char *text, size_t len, struct text *copy)
{
    bool replaced = false;

    for (size_t i = 0; i < len; i++) {
        bool surrogate = i + 2 < len && (unsigned char)text[i] == 0xed &&
                         (unsigned char)text[i + 1] >= 0xa0;

        if (!surrogate) {
            text_add(copy, text + i, 1);
        } else if (!replaced && (i == 7 || i == 8 || i == 10)) {
            text_add(copy, "T", 1);
            replaced = true;
            i += 2;
        } else {
            return false;
        }
    }
    return copy->len >= 7 && !copy->failed;
}

static enum zone parse(const struct text *t, struct datetime *d)
{
    size_t separator = find_separator(t->data, t->len);

    if (!parse_date(t->data, separator, d)) {
        return ZONE_BAD;
    }
    if (t->len <= separator) {
        return ZONE_NONE;
    }
    const char *p = t->data + separator;
    unsigned char c = (unsigned char)*p;

    p += c < 0x80 ? 1 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf0) == 0xf0 ? 4 : 2;
    return p <= t->data + t->len ? parse_time(p, t->data + t->len, d) : ZONE_BAD;
}

enum date_status date_fromisoformat(const char *text, size_t len, struct datetime *ret,
                                    struct exception *e)
{
    struct text copy = {0};
    enum zone zone = ZONE_BAD;

    *ret = (struct datetime){0};
    if (sanitize(text, len, &copy)) {
        zone = parse(&copy, ret);
    }
    text_free(&copy);
    if (zone == ZONE_BAD) {
        return DATE_NO_MATCH;
    }
    if (zone == ZONE_OFFSET && !check_zone(ret, e)) {
        return DATE_RAISED;
    }
    return date_check(ret, e);
}
