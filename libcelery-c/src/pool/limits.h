/* SPDX-License-Identifier: BSD-3-Clause */
/* Time limits of running jobs, and when a child has served long enough. */
#ifndef CEL_POOL_LIMITS_H
#define CEL_POOL_LIMITS_H

#include "base/heap.h"
#include "loop/loop.h"

/* One per member: its running job has at most a soft and then a hard limit. */
struct cel_limit {
    struct cel_heap_node node;
    double hard_at; /* loop time; 0: none */
    bool soft_next; /* the next alarm is the soft one */
};

struct cel_limits {
    struct cel_loop *loop;
    struct cel_source *timer;
    struct cel_heap heap;
    double armed; /* when the timer fires; 0: not armed */
    void (*soft)(void *ctx, struct cel_limit *limit);
    void (*hard)(void *ctx, struct cel_limit *limit);
    void *ctx;
};

celery_status cel_limits_init(struct cel_limits *l, struct cel_loop *loop,
                              void (*soft)(void *ctx, struct cel_limit *limit),
                              void (*hard)(void *ctx, struct cel_limit *limit),
                              void *ctx);
void cel_limits_fini(struct cel_limits *l);

/*
 * Starts the clock of a job; limits in seconds, 0: none.  What it had before is forgotten.
 * soft() and then hard() are called once each, unless cel_limits_end() comes first.
 */
celery_status cel_limits_begin(struct cel_limits *l, struct cel_limit *limit, double soft,
                               double hard);
void cel_limits_end(struct cel_limits *l, struct cel_limit *limit);

/*
 * How many more jobs a child may be given before it is replaced (max_tasks_per_child);
 * UINT_MAX without a limit.
 */
unsigned cel_limits_jobs_left(int64_t max_tasks, unsigned long given);

/* Seconds to wait before a child is replaced that died n times in a row at its start. */
double cel_limits_respawn_delay(unsigned failures);

#endif
