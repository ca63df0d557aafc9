/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Periodic tasks: what `celery beat` does, inside your own program, and its schedules alone.
 * Stable.  protocol-docs/beat.md says how entries look and who leads among several.
 */
#ifndef CELERY_BEAT_H
#define CELERY_BEAT_H

#include <celery/app.h>
#include <stddef.h>

CELERY_BEGIN_DECLS

/* ---- schedules alone (celery.schedules); each may be read by several threads ---- */

typedef struct celery_schedule celery_schedule;

/*
 * A schedule from JSON as in beat_schedule: 30 (seconds), {"every": 30, "relative": true},
 * "\"0 4 * * *\"" (minute, hour, day of month, month, day of week), {"crontab": {"hour": 4}}.
 * timezone: "Europe/Berlin", NULL: UTC.  The caller frees it.  NULL with err: CELERY_ECONFIG for
 * what is no schedule or no zone, CELERY_ENOTSUP for a solar one, CELERY_ENOMEM.
 */
CELERY_API celery_schedule *celery_schedule_new(const char *json, const char *timezone,
                                                celery_error *err);

/*
 * crontab(minute, hour, day_of_week, day_of_month, month_of_year): patterns such as "*",
 * "1-5", "0-30/10,45", "mon-fri", "jan"; NULL: "*".  All five must hold.  As
 * celery_schedule_new().
 */
CELERY_API celery_schedule *celery_crontab_new(const char *minute, const char *hour,
                                               const char *day_of_week,
                                               const char *day_of_month,
                                               const char *month_of_year,
                                               const char *timezone, celery_error *err);

/* Harmless on NULL. */
CELERY_API void celery_schedule_free(celery_schedule *schedule);

/*
 * schedule.is_due(last_run_at) at the time now; both in seconds since 1970 UTC.  *ret_due:
 * whether it runs now; *ret_wait: seconds until it is to be asked again, 0 or more.
 * CELERY_ECONFIG: a crontab that has no next run; CELERY_EINVAL: schedule is NULL, or a time is
 * not within the years 1 to 9999.
 */
CELERY_API celery_status celery_schedule_due(const celery_schedule *schedule,
                                             double last_run_at, double now,
                                             bool *ret_due, double *ret_wait,
                                             celery_error *err);

/*
 * When a schedule that ran at after (seconds since 1970 UTC) runs next
 * (last_run_at + remaining_estimate()).  As celery_schedule_due().
 */
CELERY_API celery_status celery_schedule_next(const celery_schedule *schedule,
                                              double after, double *ret_next,
                                              celery_error *err);

/* ---- a beat (celery.beat.Service); belongs to one thread ---- */

typedef struct celery_beat celery_beat;

/*
 * A beat of the app's settings: beat_schedule, timezone, beat_c_lock ...; reads CELERY_* from
 * the environment and freezes the app, which must outlive it.  Connects to nothing yet.  NULL
 * with err: CELERY_ECONFIG names the entry and what is wrong with it; CELERY_ENOMEM.
 */
CELERY_API celery_beat *celery_beat_new(celery_app *app, celery_error *err);

/*
 * Another schedule, a JSON map like beat_schedule, in place of the one there is.  Entries of
 * the same name keep when they ran and how often (Scheduler.merge_inplace()).  Not while
 * celery_beat_run() runs.  CELERY_ECONFIG: nothing has changed.
 */
CELERY_API celery_status celery_beat_set_schedule(celery_beat *beat, const char *json,
                                                  celery_error *err);

/*
 * Sends what is due, as long as it is the leader; connects again when the broker goes.  Returns
 * CELERY_OK after celery_beat_stop(), when what was on its way has ended (at most 10 s) and is
 * written down; may be called again.  CELERY_EAUTH, CELERY_ECONFIG and the like: it can never
 * work.  Logs what it does.
 */
CELERY_API celery_status celery_beat_run(celery_beat *beat, celery_error *err);

/* Ends celery_beat_run() soon.  Legal from any thread and from signal handlers. */
CELERY_API void celery_beat_stop(celery_beat *beat);

/* Gives the lock back, disconnects.  Harmless on NULL. */
CELERY_API void celery_beat_free(celery_beat *beat);

/* Whether it is the leader now; entries, with celery.backend_cleanup if that is one. */
CELERY_API bool celery_beat_leads(const celery_beat *beat);
CELERY_API size_t celery_beat_n_entries(const celery_beat *beat);

/* Where lock and state are, for people: "file celerybeat-schedule".  "" before it ran. */
CELERY_API const char *celery_beat_where(const celery_beat *beat);

CELERY_END_DECLS

#endif
