/* SPDX-License-Identifier: BSD-3-Clause */
/* One received message from its delivery to its settlement. */
#ifndef CEL_WORKER_REQUEST_H
#define CEL_WORKER_REQUEST_H

#include "worker/phase.h"
#include "worker/request_state.h"
#include "worker/worker.h"

struct cel_follow;
struct cel_span;

struct cel_request {
    struct cel_job job; /* first: the pool hands it back */
    struct celery_worker *w;
    struct cel_envelope *envelope;        /* this struct lives in its arena */
    const char *queue;                    /* it came from; borrowed from the transport */
    const struct cel_task_policy *policy; /* NULL: the task is not registered */
    uint64_t tag;
    enum cel_request_state state;
    enum cel_phase phase; /* while it is REPORTING */

    bool void_tag;     /* never settle: the delivery is not ours (any more) */
    bool acknowledged; /* early: the broker has been told */
    bool direct;       /* the broker never had it: see direct.h */
    bool ack_pending;  /* its answer to that is not in: r must stay */
    bool unsettled;    /* the connection went before the answer: say it again */
    bool uncertain;    /* it may have heard it the first time */
    bool started;      /* accepted by the pool */
    bool held_back;    /* counts among those held for a later time */
    bool cancelled;    /* by a cold shutdown */
    bool unsent;       /* something it sent was lost for want of memory */
    bool orphaned;     /* cancelled, because its delivery is void: it runs elsewhere */
    bool asked;        /* what a redelivered message is asked before it runs */
    bool spent;        /* was started too often without an end: it is parked */
    bool counted;      /* by the metrics, as ended */
    bool returned;     /* goes back to its queue */
    int signal;        /* that ends it when it is told to stop; 0: SIGTERM */
    int pid;
    char process[CEL_POOL_NAME]; /* that runs it; empty: this one */
    double accepted_at;          /* loop time */
    double arrived_at;           /* wall time, if there are metrics; otherwise 0 */
    int64_t crashes;             /* header x-celery-c-crashes */
    struct cel_ask *ask;         /* while it is asked; see redelivered.c */
    struct cel_span *span;       /* while it is traced; see otlp.c */

    struct cel_list node;       /* in w->requests */
    struct cel_list ready_node; /* in w->ready, or in a bucket */
    struct cel_heap_node eta_node;
    struct cel_heap_node late_node; /* the latest first */
    struct cel_bucket *bucket;      /* it waits for a token of; or NULL */
    double defer_until;             /* wall time; 0: not deferred */

    /* The outcome, copied into the arena, and what was made of it. */
    struct cel_outcome outcome;
    struct cel_store store;
    struct cel_follow *follow; /* NULL: nothing follows it */
};

/* Makes a request of a delivery; takes it, also on failure (NULL: no memory, given back). */
struct cel_request *cel_request_new(struct celery_worker *w,
                                    struct cel_delivery *give_delivery);

/* Feeds an event to the state machine and carries out its actions.  May free r. */
void cel_request_event(struct cel_request *r, enum cel_request_event event);

/* How its message is, or would be, settled after this outcome if that was not done early. */
enum cel_settlement cel_request_settlement(const struct cel_request *r);

/* After a reconnection: settles again what the lost connection left open. */
void cel_requests_resettle(struct celery_worker *w);

/* Feeds an event to every request that is in a state which knows it. */
void cel_requests_event(struct celery_worker *w, enum cel_request_event event);

/* Ends a request that never ran with an outcome (revoked, not registered, malformed). */
void cel_request_end(struct cel_request *r, const struct cel_outcome *outcome);

/* ---- pool_events.c ---- */

/* The task has ended, of whoever ran it; the outcome is borrowed. */
void cel_request_finish(struct cel_request *r, const struct cel_outcome *outcome);

/* The events of the pool, for cel_pool_new(). */
extern const struct cel_pool_events cel_request_pool_events;

#endif
