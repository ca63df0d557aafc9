/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/pace.h"
#include "base/alloc.h"

#define PROVED     4       /* runs before a task counts as short */
#define WEIGHT     0.125f  /* of the newest run */
#define SHORT      0.0005f /* seconds */
#define AHEAD_TIME 0.002f  /* seconds of work that may wait in one member */

celery_status cel_pace_init(struct cel_pace *p, const celery_app *app)
{
    p->entries = cel_calloc(app->n_tasks ? app->n_tasks : 1, sizeof *p->entries);
    p->count = p->entries ? app->n_tasks : 0;
    return p->entries ? CELERY_OK : CELERY_ENOMEM;
}

void cel_pace_fini(struct cel_pace *p)
{
    cel_free(p->entries);
    p->entries = NULL;
    p->count = 0;
}

void cel_pace_note(struct cel_pace *p, const struct cel_task_def *task, double seconds)
{
    if (task->index >= p->count) {
        return;
    }
    struct cel_pace_entry *e = &p->entries[task->index];
    if (e->seen == 0) {
        e->average = (float)seconds;
    } else {
        e->average += WEIGHT * ((float)seconds - e->average);
    }
    if (e->seen < PROVED) {
        e->seen++;
    }
}

unsigned cel_pace_ahead(const struct cel_pace *p, const struct cel_task_def *task)
{
    if (task->index >= p->count) {
        return 1;
    }
    const struct cel_pace_entry *e = &p->entries[task->index];
    if (e->seen < PROVED || e->average > SHORT) {
        return 1;
    }
    float n = AHEAD_TIME / (e->average > 1e-6f ? e->average : 1e-6f);
    return n >= CEL_PACE_MAX_AHEAD ? CEL_PACE_MAX_AHEAD : (unsigned)n;
}
