/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A picture of a cluster made of its events: workers and tasks as celery/events/state.py keeps
 * them.  No I/O: who receives events (celery/events.h) puts them in.  Stable.
 *
 * A state belongs to one thread at a time.  It holds at most so many workers and tasks as it
 * was made for, and 64 MiB of their texts; the oldest make room.  What it gives is borrowed until
 * the next celery_state_event() or celery_state_clear_tasks(), times are seconds since 1970 and 0
 * when there is none, texts come from strangers and are not escaped.  Calls on NULL do nothing.
 */
#ifndef CELERY_STATE_H
#define CELERY_STATE_H

#include <celery/events.h>

CELERY_BEGIN_DECLS

typedef struct celery_state celery_state;

/* A worker (state.py Worker). */
typedef struct celery_state_worker {
    const char *hostname; /* never NULL */
    bool alive;        /* heard of within two heartbeats, and not since it went offline */
    double heartbeat;  /* when it was heard of last; 0: it is offline */
    double freq;       /* seconds between its heartbeats; 60 when it has not said */
    int64_t pid;       /* 0: unknown, as everything up to here that follows */
    int64_t active;    /* tasks that run; -1: unknown */
    int64_t processed; /* tasks since it started; -1: unknown */
    double loadavg[3]; /* -1: unknown */
    int64_t clock;     /* of its latest own event */
    const char *ident; /* sw_ident: "py-celery"; NULL: unknown */
    const char *version; /* sw_ver */
    const char *system;  /* sw_sys */
} celery_state_worker;

/* A task (state.py Task).  Texts are NULL when nobody has told them, and cut at 4 KiB. */
typedef struct celery_state_task {
    const char *uuid; /* never NULL */
    /*
     * PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED, REJECTED, or of any other
     * event its name in capitals: CANCELLED.  Never NULL.
     */
    const char *state;
    const char *name;
    const char *worker; /* node name */
    const char *client; /* who sent it */
    const char *args;   /* Python's repr, as kwargs and result */
    const char *kwargs;
    const char *result;
    const char *exception;
    const char *traceback; /* cut at 16 KiB */
    const char *eta;
    const char *expires;
    const char *queue;
    const char *exchange;
    const char *routing_key;
    const char *root_id;
    const char *parent_id;
    double sent, received, started, succeeded, failed, retried, revoked, rejected;
    double timestamp; /* of the event that made the state */
    double runtime;   /* seconds; -1: unknown */
    int64_t retries;  /* -1: unknown */
    int64_t clock;
} celery_state_task;

/* A new state; 0: upstream's 5000 workers and 10000 tasks.  NULL: CELERY_ENOMEM. */
CELERY_API celery_state *celery_state_new(size_t max_workers, size_t max_tasks,
                                          celery_error *err);
CELERY_API void celery_state_free(celery_state *state);

/*
 * Puts an event in (State.event).  In whatever order a task's events come, its state is that of
 * the highest precedence in celery/states.py, except that RETRY takes and leaves it at once;
 * name, args, kwargs, parent_id, root_id, retries, eta and expires of a late task-received are
 * still heeded.  CELERY_NONE: nothing to keep, neither a worker-* nor a task-* event, or
 * hostname, timestamp or uuid are missing or over 255 bytes.  CELERY_ENOMEM.
 */
CELERY_API celery_status celery_state_event(celery_state *state,
                                            const celery_event *event, celery_error *err);

/* Forgets all tasks, or only those that have ended (State.clear_tasks). */
CELERY_API void celery_state_clear_tasks(celery_state *state, bool ended);

typedef struct celery_state_counts {
    uint64_t events;   /* put in */
    uint64_t received; /* task-received among them: upstream's task_count */
    size_t workers;    /* held */
    size_t alive;      /* of them */
    size_t tasks;      /* held */
} celery_state_counts;

/* now decides who is alive; 0: the clock of this machine. */
CELERY_API void celery_state_count(const celery_state *state, double now,
                                   celery_state_counts *ret);

/* NULL: not held. */
CELERY_API const celery_state_worker *
celery_state_worker_of(celery_state *state, const char *hostname, double now);
CELERY_API const celery_state_task *celery_state_task_of(const celery_state *state,
                                                         const char *uuid);

/* Calls fn for each worker, the one heard of first first, until it returns false. */
typedef bool (*celery_state_worker_fn)(void *ctx, const celery_state_worker *worker);
CELERY_API void celery_state_each_worker(celery_state *state, double now,
                                         celery_state_worker_fn fn, void *ctx);

/* Which tasks; NULL and 0: all. */
typedef struct celery_state_filter {
    const char *name;
    const char *worker;
    const char *state;
    size_t limit;
} celery_state_filter;

/*
 * Calls fn for each task, the one with the newest event first (State.tasks_by_time), until it
 * returns false.  filter may be NULL.  CELERY_ENOMEM.
 */
typedef bool (*celery_state_task_fn)(void *ctx, const celery_state_task *task);
CELERY_API celery_status celery_state_each_task(const celery_state *state,
                                                const celery_state_filter *filter,
                                                celery_state_task_fn fn, void *ctx,
                                                celery_error *err);

/* How many of the tasks that are held have a name, and in which state they are. */
typedef struct celery_state_type {
    const char *name;
    size_t total;
    size_t pending, received, started, succeeded, failed, retried, revoked, rejected;
    size_t other; /* any other state */
} celery_state_type;

/* Calls fn for each name, in order, until it returns false (State.task_types).  CELERY_ENOMEM. */
typedef bool (*celery_state_type_fn)(void *ctx, const celery_state_type *type);
CELERY_API celery_status celery_state_each_type(const celery_state *state,
                                                celery_state_type_fn fn, void *ctx,
                                                celery_error *err);

CELERY_END_DECLS

#endif
