/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX TZ text, as it stands behind the table of a TZif file (RFC 8536, 3.3). */
#include "base/error.h"
#include "beat/civil.h"
#include "beat/zone_table.h"

/* When in a year the clocks change. */
struct date {
    enum { JULIAN, DAY_OF_YEAR, WEEKDAY_OF_MONTH } kind;
    int month, week, day;
    int32_t time; /* seconds from midnight, -167 to 167 hours */
};

struct rule {
    int32_t standard;
    int32_t summer;
    bool has_summer;
    struct date start; /* of summer time */
    struct date end;
};

struct text {
    const char *at;
    const char *end;
};

static bool more(const struct text *t)
{
    return t->at < t->end;
}

static bool take(struct text *t, char c)
{
    if (!more(t) || *t->at != c) {
        return false;
    }
    t->at++;
    return true;
}

static bool number(struct text *t, int max, int *ret)
{
    const char *start = t->at;
    int value = 0;

    while (more(t) && *t->at >= '0' && *t->at <= '9' && value <= max) {
        value = value * 10 + (*t->at++ - '0');
    }
    *ret = value;
    return t->at > start && value <= max;
}

/* "CET" or "<+03>" */
static bool name(struct text *t)
{
    const char *start = t->at;

    if (take(t, '<')) {
        while (more(t) && *t->at != '>') {
            t->at++;
        }
        return take(t, '>') && t->at - start > 2;
    }
    while (more(t) && ((*t->at | 0x20) >= 'a' && (*t->at | 0x20) <= 'z')) {
        t->at++;
    }
    return t->at - start >= 3;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool hours(struct text *t, int max, int32_t *ret)
{
    bool negative = take(t, '-');
    int h, m = 0, s = 0;

    if (!negative) {
        take(t, '+');
    }
    if (!number(t, max, &h)) {
        return false;
    }
    if (take(t, ':') && (!number(t, 59, &m) || (take(t, ':') && !number(t, 59, &s)))) {
        return false;
    }
    *ret = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
    return true;
}

static bool month_date(struct text *t, struct date *d)
{
    d->kind = WEEKDAY_OF_MONTH;
    return number(t, 12, &d->month) && d->month > 0 && take(t, '.') &&
           number(t, 5, &d->week) && d->week > 0 && take(t, '.') && number(t, 6, &d->day);
}

static bool date(struct text *t, struct date *d)
{
    bool valid;

    d->time = 2 * 3600;
    if (take(t, 'M')) {
        valid = month_date(t, d);
    } else if (take(t, 'J')) {
        d->kind = JULIAN;
        valid = number(t, 365, &d->day) && d->day > 0;
    } else {
        d->kind = DAY_OF_YEAR;
        valid = number(t, 365, &d->day);
    }
    return valid && (!take(t, '/') || hours(t, 167, &d->time));
}

static bool parse(struct cel_slice posix, struct rule *r)
{
    struct text t = {posix.data, posix.data + posix.len};

    *r = (struct rule){0};
    if (!name(&t) || !hours(&t, 24, &r->standard)) {
        return false;
    }
    r->standard = -r->standard; /* POSIX counts to the west */
    if (!more(&t)) {
        return true;
    }
    r->has_summer = true;
    r->summer = r->standard + 3600;
    if (!name(&t)) {
        return false;
    }
    if (more(&t) && *t.at != ',') {
        if (!hours(&t, 24, &r->summer)) {
            return false;
        }
        r->summer = -r->summer;
    }
    return take(&t, ',') && date(&t, &r->start) && take(&t, ',') && date(&t, &r->end) &&
           !more(&t);
}

/* Seconds since 1970 on the wall. */
static int64_t date_in(const struct date *d, int64_t year)
{
    int64_t days = cel_civil_days(year, 1, 1);

    if (d->kind == WEEKDAY_OF_MONTH) {
        days = cel_civil_days(year, d->month, 1);
        int first = cel_civil_weekday(days * CEL_DAY);
        int in = (d->day - first + 7) % 7 + (d->week - 1) * 7;

        days += in < cel_civil_month_days(year, d->month) ? in : in - 7;
    } else if (d->kind == JULIAN) {
        /* 29 February is never counted */
        bool leap = cel_civil_month_days(year, 2) == 29;

        days += d->day - 1 + (leap && d->day >= 60);
    } else {
        days += d->day;
    }
    return days * 86400 + d->time;
}

/* Changes of one year in their order, if they are behind what is known. */
static celery_status add_year(struct cel_zone *zone, const struct rule *r, int64_t year,
                              int64_t after, celery_error *err)
{
    struct cel_zone_change c[2] = {
        {date_in(&r->start, year) - r->standard, r->summer},
        {date_in(&r->end, year) - r->summer, r->standard},
    };
    bool southern = c[1].at < c[0].at;
    celery_status status = CELERY_OK;

    for (int i = 0; i < 2 && status == CELERY_OK; i++) {
        const struct cel_zone_change *next = &c[southern ? 1 - i : i];

        if (next->at > after) {
            status = cel_zone_add(zone, next->at, next->offset, err);
        }
    }
    return status;
}

celery_status cel_zone_rule(struct cel_zone *zone, struct cel_slice posix,
                            celery_error *err)
{
    struct rule r;
    int64_t after = zone->n ? zone->changes[zone->n - 1].at : INT64_MIN;

    if (!parse(posix, &r)) {
        return cel_error_set(err, CELERY_ECONFIG, "time zone %s: rule not understood",
                             zone->name);
    }
    if (zone->n == 0) {
        zone->first = r.standard;
    }
    if (!r.has_summer) {
        return zone->n == 0 || zone->changes[zone->n - 1].offset == r.standard
                   ? CELERY_OK
                   : cel_zone_add(zone, after + 1, r.standard, err);
    }
    int64_t year = after > 0 ? cel_civil_of(after * CEL_SECOND).year - 1 : 1969;
    celery_status status = CELERY_OK;

    /* One cycle and some years: what is looked up is moved to between the two ends. */
    for (int64_t y = year; y < year + 406 && status == CELERY_OK; y++) {
        status = add_year(zone, &r, y, after, err);
    }
    zone->horizon = cel_civil_days(year + 404, 1, 1) * 86400;
    return status;
}
