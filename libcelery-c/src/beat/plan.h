/* SPDX-License-Identifier: BSD-3-Clause */
/* The entries of beat_schedule, when each ran and when it runs next (celery/beat.py Scheduler). */
#ifndef CEL_BEAT_PLAN_H
#define CEL_BEAT_PLAN_H

#include "base/heap.h"
#include "base/map.h"
#include "base/uuid.h"
#include "beat/schedule.h"
#include "config/config.h"
#include <celery/canvas.h>

/* What becomes of a run that is due. */
enum cel_run_state {
    CEL_RUN_NONE,
    CEL_RUN_RESERVED, /* has its id; nobody else knows */
    CEL_RUN_SAVING,   /* is being written down */
    CEL_RUN_READY,    /* is written down: may be sent, and again under the same id */
    CEL_RUN_SENDING,
};

struct cel_entry {
    struct cel_heap_node node; /* wall clock in seconds: when it is looked at next */
    char *name;
    char *task;
    celery_sig *sig;
    struct cel_schedule schedule;
    bool own_id; /* options name a task_id */

    int64_t last_run_at; /* microseconds since 1970 UTC */
    int64_t total_run_count;
    int64_t run_before; /* last_run_at until the run that is RESERVED */

    enum cel_run_state state;
    char id[CEL_UUID_SIZE]; /* task id of the run */
    double send_at;         /* loop time of the next attempt */
    unsigned attempts;
};

struct cel_plan {
    struct cel_entry **entries;
    size_t n;
    struct cel_map by_name;
    struct cel_heap heap;
    int repr_levels;
};

enum { CEL_PLAN_MAX = 100000 };

/*
 * Reads {"name": {"task": ..., "schedule": ..., "args": [], "kwargs": {}, "options": {}}}; every
 * entry has run at now.  CELERY_ECONFIG with the entry's name and what is wrong with it.
 * repr_levels: of argsrepr, as cel_saferepr() takes it.
 */
celery_status cel_plan_read(struct cel_plan *plan, const struct cel_node *doc,
                            int repr_levels, int64_t now, celery_error *err);

/*
 * Scheduler.install_default_entries(): celery.backend_cleanup at 4 o'clock, if results expire and
 * the backend does not see to it itself.
 */
celery_status cel_plan_add_defaults(struct cel_plan *plan,
                                    const struct cel_config *config, int64_t now,
                                    celery_error *err);
void cel_plan_fini(struct cel_plan *plan);

struct cel_entry *cel_plan_find(const struct cel_plan *plan, struct cel_slice name);

/*
 * Scheduler.merge_inplace(): what both have keeps its runs from old, whatever else has changed;
 * what is in one of them only is new, or forgotten.
 */
void cel_plan_merge(struct cel_plan *plan, const struct cel_plan *old);

/* All entries are looked at again, at once. */
celery_status cel_plan_wake(struct cel_plan *plan);

/* ---- what is kept of it (state.c) ---- */

struct cel_plan_zone {
    const char *timezone; /* setting; NULL: unset */
    bool enable_utc;
};

/* {"celery-c beat": 1, "timezone": ..., "entries": {...}} */
celery_status cel_plan_write_state(struct cel_buf *out, const struct cel_plan *plan,
                                   const struct cel_plan_zone *zone);

/*
 * Takes runs over from what was written.  CELERY_EMESSAGE: damaged, plan is as it was.
 * CELERY_NONE with a line in err: it belongs to another time zone, and counts for nothing
 * (PersistentScheduler.setup_schedule()).
 */
celery_status cel_plan_read_state(struct cel_plan *plan, struct cel_slice text,
                                  const struct cel_plan_zone *zone, celery_error *err);

#endif
