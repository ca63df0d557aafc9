/* SPDX-License-Identifier: BSD-3-Clause */
/* How long tasks of each name take: who may wait behind whom. */
#ifndef CEL_POOL_PACE_H
#define CEL_POOL_PACE_H

#include "app/app.h"

#define CEL_PACE_MAX_AHEAD 64

struct cel_pace_entry {
    float average; /* seconds, moving */
    unsigned seen; /* runs, up to what it takes to be proved */
};

/* One entry per registered task, by cel_task_def.index. */
struct cel_pace {
    struct cel_pace_entry *entries;
    size_t count;
};

celery_status cel_pace_init(struct cel_pace *p, const celery_app *app);
void cel_pace_fini(struct cel_pace *p);

/* A run of the task ended after so many seconds, or has lasted that long already. */
void cel_pace_note(struct cel_pace *p, const struct cel_task_def *task, double seconds);

/*
 * How many jobs of this task one member may hold at a time: 1 unless its runs have proved
 * to be short, then as many as make about two milliseconds of work.
 */
unsigned cel_pace_ahead(const struct cel_pace *p, const struct cel_task_def *task);

#endif
