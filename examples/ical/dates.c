/* SPDX-License-Identifier: BSD-3-Clause */
/* datetime.strptime() with the one format of the practical, and the calendar behind it. */
#include "dates.h"

#include <string.h>

/* The zeros of Unicode's decimal digits (category Nd, Unicode 15): "\d" takes them all. */
static const unsigned zeros[] = {
    0x0030,  0x0660,  0x06f0,  0x07c0,  0x0966,  0x09e6,  0x0a66,  0x0ae6,  0x0b66,
    0x0be6,  0x0c66,  0x0ce6,  0x0d66,  0x0de6,  0x0e50,  0x0ed0,  0x0f20,  0x1040,
    0x1090,  0x17e0,  0x1810,  0x1946,  0x19d0,  0x1a80,  0x1a90,  0x1b50,  0x1bb0,
    0x1c40,  0x1c50,  0xa620,  0xa8d0,  0xa900,  0xa9d0,  0xa9f0,  0xaa50,  0xabf0,
    0xff10,  0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450,
    0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0,
    0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
    0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950, 0x1fbf0,
};

/* The longest match has 19 characters. */
#define MOST 19

/* The first characters of the text. */
struct scan {
    unsigned code[MOST + 1]; /* 0 behind the last: no pattern takes NUL */
    int digit[MOST + 1];     /* value of "\d", or -1 */
    size_t end[MOST + 1];    /* offset in bytes behind character i - 1 */
    size_t at;
};

static int digit_value(unsigned code)
{
    if (code < 0x80) {
        return code >= '0' && code <= '9' ? (int)(code - '0') : -1;
    }
    for (size_t i = 1; i < sizeof zeros / sizeof *zeros; i++) {
        if (code >= zeros[i] && code < zeros[i] + 10) {
            return (int)(code - zeros[i]);
        }
    }
    return -1;
}

static void scan_text(struct scan *s, const char *text, size_t len)
{
    size_t offset = 0;

    s->at = 0;
    for (size_t i = 0; i <= MOST; i++) {
        s->end[i] = offset;
        s->code[i] = offset < len ? text_next(text, len, &offset) : 0;
        s->digit[i] = digit_value(s->code[i]);
    }
}

static bool is_in(unsigned code, char first, char last)
{
    return code >= (unsigned char)first && code <= (unsigned char)last;
}

/* A literal, in either case of a letter: strptime() compiles with re.IGNORECASE. */
static bool take(struct scan *s, char c)
{
    unsigned code = s->code[s->at];

    if (code != (unsigned char)c && !(c == 'T' && code == 't')) {
        return false;
    }
    s->at++;
    return true;
}

static bool take_year(struct scan *s, int *ret)
{
    *ret = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->digit[s->at] < 0) {
            return false;
        }
        *ret = *ret * 10 + s->digit[s->at];
    }
    return true;
}

/*
 * One or two digits.  The regular expressions differ in the range of a first digit that
 * may have a second one, in the range of that second one, and in the lone digit: "\d" takes
 * digits of any script, "[1-9]" those of ASCII.  What follows a field is never a digit, so
 * the first alternative that fits is the one that counts; backtracking changes nothing.
 */
struct field {
    const char
        *two;     /* alternatives: first digit low, high, second low, high ('d': "\d") */
    char one_low; /* the lone digit: '1' for [1-9], 'd' for "\d" */
    bool blank;   /* " [1-9]" */
};

static const struct field month_field = {"1102"
                                         "0019",
                                         '1', false};
static const struct field day_field = {"3301"
                                       "12dd"
                                       "0019",
                                       '1', true};
static const struct field hour_field = {"2203"
                                        "01dd",
                                        'd', false};
static const struct field minute_field = {"05dd", 'd', false};
static const struct field second_field = {"6601"
                                          "05dd",
                                          'd', false};

static bool take_field(struct scan *s, const struct field *f, int *ret)
{
    unsigned first = s->code[s->at];
    unsigned second = first ? s->code[s->at + 1] : 0;

    for (const char *a = f->two; *a; a += 4) {
        bool fits =
            a[2] == 'd' ? first && s->digit[s->at + 1] >= 0 : is_in(second, a[2], a[3]);

        if (is_in(first, a[0], a[1]) && fits) {
            *ret = s->digit[s->at] * 10 + s->digit[s->at + 1];
            s->at += 2;
            return true;
        }
    }
    if (f->one_low == 'd' ? s->digit[s->at] >= 0 : is_in(first, '1', '9')) {
        *ret = s->digit[s->at++];
        return true;
    }
    if (f->blank && first == ' ' && is_in(second, '1', '9')) {
        *ret = s->digit[s->at + 1];
        s->at += 2;
        return true;
    }
    return false;
}

static bool match(struct scan *s, struct datetime *d)
{
    return take_year(s, &d->year) && take(s, '-') &&
           take_field(s, &month_field, &d->month) && take(s, '-') &&
           take_field(s, &day_field, &d->day) && take(s, 'T') &&
           take_field(s, &hour_field, &d->hour) && take(s, ':') &&
           take_field(s, &minute_field, &d->minute) && take(s, ':') &&
           take_field(s, &second_field, &d->second);
}

/* The usual form, "2023-04-03T14:00:00" in ASCII, without the machinery. */
static bool match_plain(const char *text, struct datetime *d)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    int v[6] = {0}, field = 0;

    for (size_t i = 0; i < MOST; i++) {
        if (form[i] != 'd') {
            if (text[i] != form[i]) {
                return false;
            }
            field++;
        } else if (text[i] < '0' || text[i] > '9') {
            return false;
        } else {
            v[field] = v[field] * 10 + (text[i] - '0');
        }
    }
    *d = (struct datetime){v[0], v[1], v[2], v[3], v[4], v[5], .aware = false};
    return d->month >= 1 && d->month <= 12 && d->day >= 1 && d->day <= 31 &&
           d->hour < 24 && d->minute < 60 && d->second < 60;
}

enum date_status date_strptime(const char *text, size_t len, struct datetime *ret,
                               struct exception *e)
{
    struct scan s;

    if (len == MOST && match_plain(text, ret)) {
        return date_check(ret, e);
    }
    *ret = (struct datetime){0};
    scan_text(&s, text, len);
    if (!match(&s, ret)) {
        return DATE_NO_MATCH;
    }
    if (s.end[s.at] < len) {
        exception_raise(e, "ValueError", "unconverted data remains: ");
        text_add(&e->message, text + s.end[s.at], len - s.end[s.at]);
        return DATE_RAISED;
    }
    return date_check(ret, e);
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

enum date_status date_check(const struct datetime *d, struct exception *e)
{
    if (d->year < 1 || d->year > 9999) {
        exception_raise(e, "ValueError", "");
        text_addf(&e->message, "year %d is out of range", d->year);
    } else if (d->month < 1 || d->month > 12) {
        exception_raise(e, "ValueError", "month must be in 1..12");
    } else if (d->day < 1 || d->day > days_in_month(d->year, d->month)) {
        exception_raise(e, "ValueError", "day is out of range for month");
    } else if (d->hour > 23) {
        exception_raise(e, "ValueError", "hour must be in 0..23");
    } else if (d->minute > 59) {
        exception_raise(e, "ValueError", "minute must be in 0..59");
    } else if (d->second > 59) {
        exception_raise(e, "ValueError", "second must be in 0..59");
    } else {
        return DATE_OK;
    }
    return DATE_RAISED;
}

long date_ordinal(int year, int month, int day)
{
    long y = year - 1;
    long ordinal = y * 365 + y / 4 - y / 100 + y / 400 + day;

    for (int m = 1; m < month; m++) {
        ordinal += days_in_month(year, m);
    }
    return ordinal;
}

void date_from_ordinal(long ordinal, int *ret_year, int *ret_month, int *ret_day)
{
    int year = (int)(ordinal / 366) + 1; /* never too late; corrected upwards */
    int month = 1;

    while (date_ordinal(year + 1, 1, 1) <= ordinal) {
        year++;
    }
    long day = ordinal - date_ordinal(year, 1, 1) + 1;

    while (day > days_in_month(year, month)) {
        day -= days_in_month(year, month++);
    }
    *ret_year = year;
    *ret_month = month;
    *ret_day = (int)day;
}

enum date_status date_to_utc(struct datetime *d, struct exception *e)
{
    long seconds = d->hour * 3600L + d->minute * 60L + d->second - d->offset;
    long day = date_ordinal(d->year, d->month, d->day);

    /* The fraction of a second is not kept in d, and a calendar drops it downwards. */
    if (d->offset_micro > 0) {
        seconds--;
    }
    day += seconds < 0 ? -1 : seconds / 86400;
    seconds += seconds < 0 ? 86400 : -(seconds / 86400) * 86400;
    if (day < 1 || day > date_ordinal(9999, 12, 31)) {
        exception_raise(e, "OverflowError", "date value out of range");
        return DATE_RAISED;
    }
    date_from_ordinal(day, &d->year, &d->month, &d->day);
    d->hour = (int)(seconds / 3600);
    d->minute = (int)(seconds / 60 % 60);
    d->second = (int)(seconds % 60);
    d->offset = d->offset_micro = 0;
    return DATE_OK;
}
