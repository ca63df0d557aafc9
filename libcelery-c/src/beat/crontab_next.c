/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery/schedules.py crontab.remaining_delta() and _delta_to_next().  All is computed on the
 * wall of the zone; only the sum becomes an instant: what the clocks skip runs as much later,
 * what comes twice runs at the first of both (celery/utils/time.py remaining()).
 */
#include "base/error.h"
#include "beat/civil.h"
#include "beat/crontab.h"

/* The lowest bit above n, or -1. */
static int above(uint64_t set, int n)
{
    uint64_t rest = n >= 63 ? 0 : set >> (n + 1);

    return rest ? n + 1 + __builtin_ctzll(rest) : -1;
}

static int lowest(uint64_t set)
{
    return above(set, -1);
}

static bool has(uint64_t set, int n)
{
    return set >> n & 1;
}

static int64_t wall_of(int year, int month, int day, int hour, int minute)
{
    struct cel_civil c = {year, month, day, hour, minute, 0, 0};

    return cel_civil_us(&c);
}

/* Where _delta_to_next() stands: a day of its sets. */
struct walk {
    const struct cel_crontab *c;
    const struct cel_zone *zone;
    int64_t last; /* on the wall */
    int hour, minute;
    int year, month;
    int day; /* -1: behind the last day of the month */
};

static bool is_past(const struct walk *w)
{
    int64_t at = wall_of(w->year, w->month, w->day, w->hour, w->minute);

    return cel_zone_resolve(w->zone, at) < w->last;
}

/* roll_over(): to the first day of the next month as long as this one will not do. */
static bool roll_over(struct walk *w)
{
    for (int i = 0; i < 2000; i++) {
        if (w->year > CEL_YEAR_MAX) {
            return false;
        }
        if (w->day >= 0 && w->day <= cel_civil_month_days(w->year, w->month) &&
            !is_past(w)) {
            return true;
        }
        w->day = lowest(w->c->day_of_month);
        w->month = above(w->c->month_of_year, w->month);
        if (w->month < 0) {
            w->month = lowest(w->c->month_of_year);
            w->year++;
        }
    }
    return false;
}

static bool day_to_next(struct walk *w, const struct cel_civil *last)
{
    w->year = last->year;
    if (has(w->c->month_of_year, last->month)) {
        w->month = last->month;
        w->day = above(w->c->day_of_month, last->day);
    } else {
        w->day = lowest(w->c->day_of_month);
        w->month = above(w->c->month_of_year, last->month);
        if (w->month < 0) {
            w->month = lowest(w->c->month_of_year);
        }
    }
    for (;;) {
        if (!roll_over(w)) {
            return false;
        }
        if (has(w->c->day_of_week,
                cel_civil_weekday(wall_of(w->year, w->month, w->day, 0, 0)))) {
            return true;
        }
        w->day = above(w->c->day_of_month, w->day);
    }
}

/* ffwd(weeks=..., weekday=...): within seven days, or after a week. */
static int64_t weekday_to_next(const struct cel_crontab *c, const struct cel_civil *last,
                               int today, int hour, int minute)
{
    int next = above(c->day_of_week, today);

    if (next < 0) {
        next = lowest(c->day_of_week);
    }
    int days = next == today ? 7 : (next - today + 7) % 7;

    return wall_of(last->year, last->month, last->day, hour, minute) + days * CEL_DAY;
}

celery_status cel_crontab_next(const struct cel_crontab *c, const struct cel_zone *zone,
                               int64_t last_utc, int64_t *ret_next, celery_error *err)
{
    int64_t last_wall = cel_zone_wall(zone, last_utc, NULL);
    struct cel_civil last = cel_civil_of(last_wall);
    int today = cel_civil_weekday(last_wall);
    bool this_date = has(c->month_of_year, last.month) &&
                     has(c->day_of_month, last.day) && has(c->day_of_week, today);
    int minute = above(c->minute, last.minute);
    int hour = above(c->hour, last.hour);
    int64_t next;

    if (this_date && has(c->hour, last.hour) && minute >= 0) {
        next = wall_of(last.year, last.month, last.day, last.hour, minute);
    } else if (this_date && hour >= 0) {
        next = wall_of(last.year, last.month, last.day, hour, lowest(c->minute));
    } else if (c->any_day && c->any_month) {
        next = weekday_to_next(c, &last, today, lowest(c->hour), lowest(c->minute));
    } else {
        struct walk w = {.c = c,
                         .zone = zone,
                         .last = last_wall,
                         .hour = lowest(c->hour),
                         .minute = lowest(c->minute)};

        if (!day_to_next(&w, &last)) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "unable to rollover, time specification is probably "
                                 "invalid");
        }
        next = wall_of(w.year, w.month, w.day, w.hour, w.minute);
    }
    *ret_next = cel_zone_utc(zone, next, 0);
    return CELERY_OK;
}
