/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/beat.h: schedules alone. */
#include "base/alloc.h"
#include "base/error.h"
#include "beat/civil.h"
#include "beat/schedule.h"
#include <celery/beat.h>

#include <math.h>

struct celery_schedule {
    struct cel_schedule schedule;
    struct cel_zone *zone;
};

void celery_schedule_free(celery_schedule *schedule)
{
    if (schedule) {
        cel_zone_free(schedule->zone);
        cel_free(schedule);
    }
}

static celery_schedule *in_zone(const char *timezone, celery_error *err)
{
    celery_schedule *s = cel_calloc(1, sizeof *s);

    if (!s) {
        cel_error_nomem(err);
        return NULL;
    }
    if (cel_zone_open(timezone, &s->zone, err) < 0) {
        celery_schedule_free(s);
        return NULL;
    }
    return s;
}

celery_schedule *celery_schedule_new(const char *json, const char *timezone,
                                     celery_error *err)
{
    celery_schedule *s = in_zone(timezone, err);
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;

    if (!s) {
        return NULL;
    }
    celery_status status = cel_json_parse(&a, cel_slice_of(json), NULL, &doc, err);

    if (status == CELERY_OK) {
        status = cel_schedule_read(&s->schedule, doc, err);
    } else {
        cel_error_set(err, CELERY_ECONFIG, "not a schedule: no JSON");
    }
    cel_arena_fini(&a);
    if (status < 0) {
        celery_schedule_free(s);
        return NULL;
    }
    return s;
}

celery_schedule *celery_crontab_new(const char *minute, const char *hour,
                                    const char *day_of_week, const char *day_of_month,
                                    const char *month_of_year, const char *timezone,
                                    celery_error *err)
{
    const char *fields[CEL_CRON_FIELDS] = {
        [CEL_CRON_MINUTE] = minute,
        [CEL_CRON_HOUR] = hour,
        [CEL_CRON_DAY_OF_WEEK] = day_of_week,
        [CEL_CRON_DAY_OF_MONTH] = day_of_month,
        [CEL_CRON_MONTH_OF_YEAR] = month_of_year,
    };
    celery_schedule *s = in_zone(timezone, err);
    celery_status status = CELERY_OK;

    if (!s) {
        return NULL;
    }
    s->schedule.kind = CEL_CRONTAB;
    cel_crontab_init(&s->schedule.crontab);
    for (int i = 0; i < CEL_CRON_FIELDS && status == CELERY_OK; i++) {
        if (fields[i]) {
            status = cel_crontab_set_text(&s->schedule.crontab, (enum cel_crontab_field)i,
                                          cel_slice_of(fields[i]), err);
        }
    }
    if (status == CELERY_OK) {
        status = cel_crontab_check(&s->schedule.crontab, err);
    }
    if (status < 0) {
        celery_schedule_free(s);
        return NULL;
    }
    return s;
}

static bool to_us(double seconds, int64_t *ret)
{
    double low = (double)cel_civil_days(CEL_YEAR_MIN, 1, 2) * 86400;
    double high = (double)cel_civil_days(CEL_YEAR_MAX, 12, 31) * 86400;

    if (!(seconds >= low && seconds < high)) {
        return false;
    }
    *ret = (int64_t)nearbyint(seconds * 1e6);
    return true;
}

celery_status celery_schedule_due(const celery_schedule *schedule, double last_run_at,
                                  double now, bool *ret_due, double *ret_wait,
                                  celery_error *err)
{
    struct cel_schedule_env env = {.deadline = -1};
    int64_t last;
    int64_t wait;

    if (!schedule || !to_us(last_run_at, &last) || !to_us(now, &env.now)) {
        return cel_error_set(err, CELERY_EINVAL,
                             "no schedule, or no time of the calendar");
    }
    env.zone = schedule->zone;
    celery_status status =
        cel_schedule_due(&schedule->schedule, &env, last, ret_due, &wait, err);

    if (status == CELERY_OK) {
        *ret_wait = (double)wait / 1e6;
    }
    return status;
}

celery_status celery_schedule_next(const celery_schedule *schedule, double after,
                                   double *ret_next, celery_error *err)
{
    bool due;
    double wait;
    celery_status status = celery_schedule_due(schedule, after, after, &due, &wait, err);

    if (status == CELERY_OK) {
        *ret_next = after + wait;
    }
    return status;
}
