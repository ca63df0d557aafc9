/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to a request, told to whoever observes the worker: events, metrics, traces.
 * Where nobody wants a kind of notice it costs one test of a bit.
 */
#ifndef CEL_WORKER_NOTICE_H
#define CEL_WORKER_NOTICE_H

#include "base/slice.h"
#include <celery/error.h>

struct cel_request;
struct celery_worker;

enum cel_notice_kind {
    CEL_NOTICE_RECEIVED,  /* of a registered task; not of what is discarded on arrival */
    CEL_NOTICE_STARTED,   /* the pool runs it */
    CEL_NOTICE_SUCCEEDED, /* this one and those below: its result is stored */
    CEL_NOTICE_FAILED,    /* also of tasks that are not registered */
    CEL_NOTICE_RETRIED,
    CEL_NOTICE_IGNORED,
    CEL_NOTICE_REJECTED,
    CEL_NOTICE_REVOKED, /* or expired, or terminated */
    CEL_NOTICE_CANCELLED, /* its process was ended by a cold shutdown or a lost connection */
    CEL_NOTICE_PARKED,    /* its message goes to the dead letters */
    CEL_NOTICE_RETURNED, /* its message goes back to its queue, or is kept there for later */
    CEL_NOTICES
};

#define CEL_NOTICE_BIT(kind) (1u << CEL_NOTICE_##kind)
#define CEL_NOTICE_ALL       ((1u << CEL_NOTICES) - 1)

/* Borrowed for the call, as the request is: names, ids and texts are in request->job.call. */
struct cel_notice {
    enum cel_notice_kind kind;
    struct cel_request *request;
    double time;             /* wall clock */
    double runtime;          /* SUCCEEDED, FAILED, RETRIED: seconds; 0: it did not run */
    struct cel_slice result; /* SUCCEEDED: repr() of it, cut */
    struct cel_slice exception; /* FAILED, RETRIED: repr() of it */
    struct cel_slice traceback; /* of it; {NULL, 0}: there is none (not registered) */
    bool requeue;               /* REJECTED */
    bool settled;               /* REJECTED: the message had been acknowledged before */
    bool terminated;            /* REVOKED: it was running */
    bool expired;               /* REVOKED */
    int signum;                 /* REVOKED: that it was terminated with; 0: none */
};

/* Embedded in the observer's own structure, which outlives the worker's requests. */
struct cel_observer {
    unsigned kinds; /* bits of those wanted; cel_notice_changed() after a change */
    bool texts;     /* wants result, exception and traceback */
    void (*fn)(void *ctx, const struct cel_notice *n);
    void *ctx;
};

enum { CEL_OBSERVERS = 4 };

/* In struct celery_worker; zero is valid. */
struct cel_notices {
    unsigned wanted; /* by anyone */
    bool texts;      /* by anyone */
    struct cel_observer *observers[CEL_OBSERVERS];
};

/* CELERY_ELIMIT: there are CEL_OBSERVERS of them. */
celery_status cel_notice_watch(struct celery_worker *w, struct cel_observer *observer);
void cel_notice_unwatch(struct celery_worker *w, struct cel_observer *observer);
void cel_notice_changed(struct celery_worker *w);

/* ---- for who carries out what is told of ---- */

/* RECEIVED, STARTED, PARKED, RETURNED, CANCELLED. */
void cel_notice(struct cel_request *r, enum cel_notice_kind kind);

/* Its outcome is reported; the message is about to be settled. */
void cel_notice_end(struct cel_request *r);

#endif
