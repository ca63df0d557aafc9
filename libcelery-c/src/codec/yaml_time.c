/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/yaml_time.h"

#include "codec/doc_build.h"
#include <stdio.h>

static bool is_digit(struct cel_slice s, size_t i)
{
    return i < s.len && s.data[i] >= '0' && s.data[i] <= '9';
}

/* From least to most digits; returns how many. */
static size_t take_number(struct cel_slice *s, size_t least, size_t most, int *ret)
{
    size_t n = 0;
    *ret = 0;
    while (n < most && is_digit(*s, n)) {
        *ret = *ret * 10 + (s->data[n] - '0');
        n++;
    }
    if (n < least) {
        return 0;
    }
    *s = cel_slice(s->data + n, s->len - n);
    return n;
}

static bool take(struct cel_slice *s, char c)
{
    if (s->len == 0 || s->data[0] != c) {
        return false;
    }
    *s = cel_slice(s->data + 1, s->len - 1);
    return true;
}

static bool take_blanks(struct cel_slice *s)
{
    bool any = false;
    while (take(s, ' ') || take(s, '\t')) {
        any = true;
    }
    return any;
}

/* (?:\.[0-9]*)? in microseconds, further digits ignored */
static void take_fraction(struct cel_slice *s, int *ret)
{
    *ret = 0;
    if (!take(s, '.')) {
        return;
    }
    int digits = 0;
    for (; is_digit(*s, 0); *s = cel_slice(s->data + 1, s->len - 1)) {
        if (digits < 6) {
            *ret = *ret * 10 + (s->data[0] - '0');
            digits++;
        }
    }
    for (; digits > 0 && digits < 6; digits++) {
        *ret *= 10;
    }
}

/* (?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?$ */
static bool take_zone(struct cel_slice s, struct cel_yaml_time *t)
{
    if (s.len == 0) {
        return true;
    }
    take_blanks(&s);
    t->utc = take(&s, 'Z');
    if (t->utc) {
        return s.len == 0;
    }
    bool negative = s.len > 0 && s.data[0] == '-';
    int hours;
    int minutes = 0;
    if ((!take(&s, '+') && !take(&s, '-')) || !take_number(&s, 1, 2, &hours)) {
        return false;
    }
    if (take(&s, ':') && !take_number(&s, 2, 2, &minutes)) {
        return false;
    }
    t->has_offset = true;
    t->offset = (hours * 60 + minutes) * (negative ? -1 : 1);
    return s.len == 0;
}

bool cel_yaml_time_match(struct cel_slice text, bool plain, struct cel_yaml_time *ret,
                         bool *ret_has_time)
{
    struct cel_slice s = text;
    struct cel_yaml_time t = {0};
    if (!take_number(&s, 4, 4, &t.year) || !take(&s, '-')) {
        return false;
    }
    size_t month = take_number(&s, 1, 2, &t.month);
    bool dash = take(&s, '-');
    size_t day = take_number(&s, 1, 2, &t.day);
    if (month == 0 || !dash || day == 0) {
        return false;
    }
    *ret_has_time = s.len > 0;
    if (s.len == 0) {
        *ret = t;
        return !plain || (month == 2 && day == 2);
    }
    if (!take(&s, 'T') && !take(&s, 't') && !take_blanks(&s)) {
        return false;
    }
    if (!take_number(&s, 1, 2, &t.hour) || !take(&s, ':') ||
        !take_number(&s, 2, 2, &t.minute) || !take(&s, ':') ||
        !take_number(&s, 2, 2, &t.second)) {
        return false;
    }
    take_fraction(&s, &t.microsecond);
    if (!take_zone(s, &t)) {
        return false;
    }
    *ret = t;
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* What datetime() refuses. */
static bool is_real(const struct cel_yaml_time *t)
{
    return t->year >= 1 && t->month >= 1 && t->month <= 12 && t->day >= 1 &&
           t->day <= days_in(t->year, t->month) && t->hour < 24 && t->minute < 60 &&
           t->second < 60 && t->offset < 24 * 60 && t->offset > -24 * 60;
}

/* datetime.isoformat() */
static size_t format(const struct cel_yaml_time *t, bool has_time, char *text,
                     size_t size)
{
    int len = snprintf(text, size, "%04d-%02d-%02d", t->year, t->month, t->day);
    if (has_time) {
        len += snprintf(text + len, size - (size_t)len, "T%02d:%02d:%02d", t->hour,
                        t->minute, t->second);
    }
    if (has_time && t->microsecond != 0) {
        len += snprintf(text + len, size - (size_t)len, ".%06d", t->microsecond);
    }
    if (t->utc || t->has_offset) {
        int minutes = t->offset < 0 ? -t->offset : t->offset;
        len += snprintf(text + len, size - (size_t)len, "%c%02d:%02d",
                        t->offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
    return (size_t)len;
}

struct cel_node *cel_yaml_make_time(struct cel_arena *a, struct cel_slice text,
                                    const char **ret_why)
{
    struct cel_yaml_time t;
    bool has_time;
    if (!cel_yaml_time_match(text, false, &t, &has_time) || !is_real(&t)) {
        return NULL;
    }
    char iso[128];
    size_t len = format(&t, has_time, iso, sizeof iso);
    *ret_why = "";
    struct cel_node *value = cel_node_new_string(a, cel_slice(iso, len));
    return cel_doc_typed(a, has_time ? "datetime" : "date", value);
}
