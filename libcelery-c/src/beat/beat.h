/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of a running beat share. */
#ifndef CEL_BEAT_BEAT_H
#define CEL_BEAT_BEAT_H

#include "app/app.h"
#include "beat/lock.h"
#include "beat/plan.h"
#include "client/client.h"
#include <celery/beat.h>
#include <stdatomic.h>

struct celery_beat {
    celery_app *app;
    struct cel_zone *zone;
    struct cel_plan_zone settings; /* what the state was made with */
    struct cel_plan plan;
    const char *path;
    double max_interval;
    double sync_every; /* seconds */
    int64_t sync_every_tasks;
    int64_t deadline; /* microseconds; < 0: none */

    celery_client *client;
    struct cel_beat_lock *lock;
    atomic_bool stopping;
    _Atomic(struct cel_loop *) loop; /* to be woken by stop() */

    size_t n_reserved; /* runs that are to be written down before they go */
    size_t n_ready;
    size_t n_sending;
    bool dirty; /* something changed since the last writing began */
    bool saving;
    bool save_failed; /* it has been said */
    double save_at;   /* loop time: not before, after a failure */
    double last_save;
    int64_t tasks_since_save;
    double clock_offset; /* wall clock minus the one that never goes back */
    char waiting[128];   /* what was said last about waiting for the lock */
};

/* ---- run.c: what is due, written down, sent ---- */

/* One pass: marks what is due, writes, sends.  Seconds until there is something to do. */
double cel_beat_tick(celery_beat *beat);

/* The lock was gained or lost; see struct cel_beat_lock_events. */
extern const struct cel_beat_lock_events cel_beat_lock_events;

#endif
