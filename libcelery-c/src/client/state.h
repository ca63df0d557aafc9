/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the picture of a cluster share. */
#ifndef CEL_CLIENT_STATE_H
#define CEL_CLIENT_STATE_H

#include "base/list.h"
#include "base/map.h"
#include "codec/doc.h"
#include <celery/state.h>

enum {
    CEL_STATE_NAME = 255,           /* bytes of a hostname or an id at most */
    CEL_STATE_TEXT = 4096,          /* and of other texts */
    CEL_STATE_TRACEBACK = 16 << 10, /* and of this one */
    CEL_STATE_BYTES = 64 << 20,     /* of the texts of all tasks */
};

struct cel_state_worker {
    celery_state_worker pub; /* owns its texts */
    struct cel_list node;    /* of workers, the oldest first */
    bool drifts;             /* that its clock differs was said */
};

struct cel_state_task {
    celery_state_task pub; /* owns its texts but state */
    struct cel_list node;  /* of tasks, the oldest first */
    char custom[64];       /* the state, once an event has made it */
    size_t bytes;          /* of its texts */
    int64_t newest_clock;  /* of all its events */
    double newest_time;
};

struct celery_state {
    size_t max_workers, max_tasks;
    struct cel_map by_hostname; /* struct cel_state_worker */
    struct cel_map by_uuid;     /* struct cel_state_task */
    struct cel_list workers, tasks;
    size_t bytes;  /* of the texts of all tasks */
    double warned; /* monotonic: the latest line about a clock */
    uint64_t events, received;
};

/* ---- state_worker.c ---- */

struct cel_state_worker *cel_state_worker_free(struct cel_state_worker *w);

/* A worker-* event: subject is what follows the dash. */
celery_status cel_state_worker_event(struct celery_state *s, const char *subject,
                                     const celery_event *event, celery_error *err);

/* A task's event is a sign of life of its worker, which is made if need be. */
celery_status cel_state_worker_works(struct celery_state *s, const celery_event *event,
                                     celery_error *err);

/* ---- state_task.c ---- */

struct cel_state_task *cel_state_task_free(struct cel_state_task *t);

/* Task.event(): what the event says, by the rules of merging. */
celery_status cel_state_task_merge(struct cel_state_task *t, const char *subject,
                                   const celery_event *event, celery_error *err);

/* Sets an owned text to a copy; {NULL, 0}: to NULL. */
celery_status cel_state_set_text(const char **text, struct cel_slice value);

#endif
