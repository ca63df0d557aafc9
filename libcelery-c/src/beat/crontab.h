/* SPDX-License-Identifier: BSD-3-Clause */
/* celery.schedules.crontab of Celery 5.7, whose differences from 5.2 and 5.6 are named in
 * protocol-docs/beat.md. */
#ifndef CEL_BEAT_CRONTAB_H
#define CEL_BEAT_CRONTAB_H

#include "beat/zone.h"
#include "codec/doc.h"

/* Sets of numbers as bits: bit 5 of hour is 5 o'clock. */
struct cel_crontab {
    uint64_t minute;
    uint32_t hour;
    uint32_t day_of_week; /* bit 0: Sunday */
    uint32_t day_of_month;
    uint32_t month_of_year;
    bool any_day;   /* day_of_month was written as "*" */
    bool any_month; /* month_of_year was */
};

enum cel_crontab_field {
    CEL_CRON_MINUTE,
    CEL_CRON_HOUR,
    CEL_CRON_DAY_OF_WEEK,
    CEL_CRON_DAY_OF_MONTH,
    CEL_CRON_MONTH_OF_YEAR,
    CEL_CRON_FIELDS,
};

/* crontab_parser(max, min).parse(text): the set; CELERY_ECONFIG with upstream's reason. */
celery_status cel_crontab_parse_field(enum cel_crontab_field field, struct cel_slice text,
                                      uint64_t *ret_set, celery_error *err);

/* All "*". */
void cel_crontab_init(struct cel_crontab *c);

/* One field from its text, or from a number or an array of numbers (_expand_cronspec()). */
celery_status cel_crontab_set(struct cel_crontab *c, enum cel_crontab_field field,
                              const struct cel_node *value, celery_error *err);
celery_status cel_crontab_set_text(struct cel_crontab *c, enum cel_crontab_field field,
                                   struct cel_slice text, celery_error *err);

/* What crontab() checks at the end: some month must have one of the days. */
celery_status cel_crontab_check(const struct cel_crontab *c, celery_error *err);

/* "minute hour day_of_month month_of_year day_of_week" (crontab.from_string()). */
celery_status cel_crontab_from_text(struct cel_crontab *c, struct cel_slice text,
                                    celery_error *err);

/* {"minute": ..., "hour": ..., "day_of_week": ..., "day_of_month": ..., "month_of_year": ...} */
celery_status cel_crontab_from_doc(struct cel_crontab *c, const struct cel_node *doc,
                                   celery_error *err);

/*
 * crontab.remaining_delta() and its sum: when it runs next after last (both microseconds since
 * 1970 UTC).  CELERY_ECONFIG: it never does.
 */
celery_status cel_crontab_next(const struct cel_crontab *c, const struct cel_zone *zone,
                               int64_t last, int64_t *ret_next, celery_error *err);

bool cel_crontab_equal(const struct cel_crontab *a, const struct cel_crontab *b);

#endif
