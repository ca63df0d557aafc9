/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waits for the results of a result tuple ([[id, parent], children or null]) and puts their
 * values together in its structure (celery/result.py ResultSet.join).  Never blocks.
 */
#ifndef CEL_WORKER_JOIN_H
#define CEL_WORKER_JOIN_H

#include "worker/results.h"

enum cel_join_end {
    CEL_JOIN_READY,     /* value */
    CEL_JOIN_FAILED,    /* a task failed: task_id, exception */
    CEL_JOIN_NOT_READY, /* the time is over */
    CEL_JOIN_ERROR,     /* err: the backend, or a tuple that is none */
};

/* Borrowed for the call. */
struct cel_joined {
    enum cel_join_end end;
    const struct cel_node *value;
    struct cel_slice task_id;
    const struct cel_node *exception; /* its map */
    const celery_error *err;
};

struct cel_join_done {
    void (*fn)(void *ctx, const struct cel_joined *joined);
    void *ctx;
};

/*
 * Copies the tuple.  seconds: how long to wait for results that are not there; 0: one look;
 * negative: until they are.  Ends by itself, possibly before this returns.
 */
void cel_join_start(struct cel_loop *loop, struct cel_results *results,
                    const struct cel_node *tuple, double seconds,
                    struct cel_join_done done);

#endif
