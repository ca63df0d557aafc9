/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a request as one table: a pure function, tested for every state and event.
 * Celery spreads the same policy over celery/worker/request.py (on_accepted, on_success,
 * on_failure, on_timeout, on_retry and their flags).
 */
#ifndef CEL_WORKER_REQUEST_STATE_H
#define CEL_WORKER_REQUEST_STATE_H

#include "pool/pool.h"

enum cel_request_state {
    CEL_REQ_WAITING,   /* for its ETA or its rate limit */
    CEL_REQ_READY,     /* for room in the pool */
    CEL_REQ_SUBMITTED, /* in the pool, not known to run */
    CEL_REQ_RUNNING,
    CEL_REQ_STOPPING,  /* told to stop, still there */
    CEL_REQ_REPORTING, /* outcome known; its messages and its result are on their way */
    CEL_REQ_SETTLING,  /* stored; the broker has been told, its answer is not in */
    CEL_REQ_DONE,      /* nothing left to do: free it */
    CEL_REQ_STATES
};

enum cel_request_event {
    CEL_REQ_DUE,        /* ETA reached, or the bucket gave a token */
    CEL_REQ_SLOT,       /* the pool has room */
    CEL_REQ_ACCEPTED,   /* the pool: it runs now */
    CEL_REQ_RECALLED,   /* the pool gave it back unstarted */
    CEL_REQ_FINISHED,   /* the pool: its function returned */
    CEL_REQ_LOST,       /* the pool: its process is gone, or its hard limit passed */
    CEL_REQ_REVOKED,    /* revoked, or expired before it ran */
    CEL_REQ_CANCELLED,  /* cold shutdown */
    CEL_REQ_RETURNED,   /* warm shutdown: what has not started goes back to the queue */
    CEL_REQ_CONN_LOST,  /* the delivery is void: the broker will give it to somebody */
    CEL_REQ_REPORTED,   /* published and stored */
    CEL_REQ_UNREPORTED, /* the deadline for storing passed without success */
    CEL_REQ_SETTLED,    /* the broker's answer to the settlement */
    CEL_REQ_EVENTS
};

/* What is to be done, carried out by request.c in the order of the bits. */
enum cel_request_action {
    CEL_DO_VOID = 1 << 0,   /* forget the delivery tag: never settle it */
    CEL_DO_SUBMIT = 1 << 1, /* hand to the pool */
    CEL_DO_KILL = 1 << 2,   /* stop it in the pool */
    CEL_DO_START = 1 << 3,  /* log, acknowledge early, store STARTED */
    CEL_DO_REPORT = 1 << 4, /* publish, then store the outcome */
    CEL_DO_SETTLE = 1 << 5, /* acknowledge or reject by cel_request_settle() */
    CEL_DO_RETURN = 1 << 6, /* back to the head of its queue, marked as redelivered */
    CEL_DO_FREE = 1 << 7,
};

struct cel_request_step {
    enum cel_request_state next;
    unsigned actions;
};

/* True with *ret; false when the event is impossible in that state (a bug: report it). */
bool cel_request_next(enum cel_request_state state, enum cel_request_event event,
                      struct cel_request_step *ret);

const char *cel_request_state_name(enum cel_request_state state);
const char *cel_request_event_name(enum cel_request_event event);

enum cel_settlement {
    CEL_SETTLE_ACK,
    CEL_SETTLE_REQUEUE, /* back to the end of its queue */
    CEL_SETTLE_DROP,    /* rejected: dead-letter exchange, or nowhere */
    CEL_SETTLE_PARK,    /* to the dead-letter list with a reason */
};

/* From the task's options and settings. */
struct cel_ack_policy {
    bool late;       /* acks_late; otherwise it was acknowledged at the start */
    bool on_failure; /* acks_on_failure */
    bool on_timeout; /* acks_on_timeout */
    bool reject_on_worker_lost;
    int64_t crashes;      /* how often this message's task took its process along */
    int64_t crash_budget; /* worker_redelivery_budget; 0: no limit */
};

/* How a late-acknowledged message is settled (celery/worker/request.py on_failure ...). */
enum cel_settlement cel_request_settle(enum cel_outcome_kind kind,
                                       const struct cel_ack_policy *policy);

#endif
