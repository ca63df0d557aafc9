/* SPDX-License-Identifier: BSD-3-Clause */
/* When an entry runs: an interval (celery.schedules.schedule) or a crontab. */
#ifndef CEL_BEAT_SCHEDULE_H
#define CEL_BEAT_SCHEDULE_H

#include "beat/crontab.h"

enum cel_schedule_kind { CEL_EVERY, CEL_CRONTAB };

struct cel_schedule {
    enum cel_schedule_kind kind;
    int64_t every; /* microseconds */
    bool relative; /* rounded to the resolution of the interval */
    struct cel_crontab crontab;
};

/*
 * 30, {"every": 30, "relative": true}, "0 4 * * *", {"crontab": {"hour": 4, "minute": 0}}.
 * CELERY_ECONFIG; a {"solar": ...} is told what to do instead.
 */
celery_status cel_schedule_read(struct cel_schedule *s, const struct cel_node *doc,
                                celery_error *err);

/* What a time is asked with. */
struct cel_schedule_env {
    const struct cel_zone *zone;
    int64_t now;      /* microseconds since 1970 UTC */
    int64_t deadline; /* beat_cron_starting_deadline in microseconds; < 0: none */
};

/*
 * schedule.is_due(last_run_at): whether it runs now, and microseconds until it is asked again.
 * CELERY_ECONFIG: a crontab that never runs.
 */
celery_status cel_schedule_due(const struct cel_schedule *s,
                               const struct cel_schedule_env *env, int64_t last,
                               bool *ret_due, int64_t *ret_wait, celery_error *err);

bool cel_schedule_equal(const struct cel_schedule *a, const struct cel_schedule *b);

/* As repr() shows it: "<freq: 30.00 seconds>", "<crontab ...>"; cut to size. */
void cel_schedule_text(const struct cel_schedule *s, char *text, size_t size);

#endif
