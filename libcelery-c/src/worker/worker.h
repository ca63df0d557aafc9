/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker's parts in one place, and the order of starting and stopping them. */
#ifndef CEL_WORKER_WORKER_H
#define CEL_WORKER_WORKER_H

#include "base/heap.h"
#include "base/uuid.h"
#include "canvas/canvas.h"
#include "pool/pool.h"
#include "worker/link.h"
#include "worker/notice.h"
#include "worker/policy.h"
#include "worker/results.h"
#include "worker/revoked.h"
#include "worker/sdnotify.h"
#include "worker/vitals.h"
#include <celery/worker.h>

struct cel_bucket;
struct cel_http_server;
struct cel_metrics;
struct cel_control;
struct cel_events;
struct cel_mingle;
struct cel_gossip;
struct cel_otlp;
struct cel_statedb;
struct cel_request;

enum cel_shutdown {
    CEL_SHUTDOWN_NONE,
    CEL_SHUTDOWN_WARM, /* finish what runs, give back the rest */
    CEL_SHUTDOWN_SOFT, /* warm until the soft time-out, then cold */
    CEL_SHUTDOWN_COLD, /* stop what runs */
    CEL_SHUTDOWN_DONE,
};

struct cel_worker_counts {
    uint64_t received;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t retried;
    uint64_t revoked;
    uint64_t rejected;
    uint64_t parked;
    uint64_t returned;
    uint64_t lost_ownership;
};

struct celery_worker {
    celery_app *app;
    struct cel_worker_policy policy;
    char *hostname;
    int name_claim; /* descriptor that keeps a name nobody gave; -1: none */
    struct cel_loop *loop;
    struct cel_pool *pool;
    struct cel_router *router;
    struct cel_link *link;
    struct cel_results *results;
    struct cel_control *control;    /* NULL: no remote control */
    struct cel_mingle *mingle;      /* or NULL */
    struct cel_gossip *gossip;      /* or NULL */
    struct cel_otlp *otlp;          /* or NULL */
    struct cel_statedb *statedb;    /* or NULL */
    struct cel_events *events;      /* or NULL: the broker has no broadcasts */
    struct cel_http_server *health; /* or NULL */
    struct cel_metrics *metrics;    /* or NULL */
    struct cel_vitals vitals;
    struct cel_sdnotify *sdnotify;  /* or NULL */
    struct cel_embedded_beat *beat; /* of -B, or NULL */
    uint64_t clock;                 /* Lamport's, of all workers */
    struct cel_canvas canvas;       /* where the worker itself applies signatures */
    char reply_to[CEL_UUID_SIZE];

    struct cel_list requests; /* all that are not done */
    struct cel_list ready;    /* waiting for room in the pool, in order of arrival */
    size_t n_requests;
    size_t n_running;
    struct cel_heap etas;
    struct cel_heap late_etas; /* the same, by their ETA backwards */
    size_t n_held_back;        /* for their ETA or rate limit */
    struct cel_source *eta_timer;
    struct cel_source *scale;    /* timer: may the pool shrink? */
    struct cel_source *dispatch; /* hook: ready requests to the pool */
    struct cel_bucket **buckets; /* by task index; NULL where there is no rate limit */
    struct cel_revoked revoked;
    struct cel_ageset *successful; /* ids; NULL unless worker_deduplicate_... is on */
    struct cel_list lookups;       /* struct cel_ask: its result is being read */
    struct cel_results_listener lookup_listener;
    struct cel_list asks;        /* struct cel_ask: the broker has not answered */
    struct cel_list suspects;    /* struct cel_ask: started before without an end */
    struct cel_request *suspect; /* of these, the one that may run; or NULL */

    struct cel_source *wake; /* celery_worker_stop() */
    struct cel_source *tick; /* timer: watchdog, shutdown deadlines */
    volatile int stop_asked;
    enum cel_shutdown shutdown;
    double began_at;    /* loop time */
    double shutdown_at; /* loop time when the present kind of shutdown began */
    double idle_since;  /* loop time since when no task runs during a shutdown */
    int exit_code;
    bool was_ready;
    bool abandoned; /* something was left undone, and nobody will do it: exit code 1 */
    bool overdue;   /* worker_shutdown_timeout passed */
    bool let_go;    /* of what did not stop in a cold shutdown */
    bool again;     /* it shuts down to run anew */
    unsigned long jobs;
    struct cel_worker_counts counts;
    struct cel_notices notices;
    celery_error failure;                      /* why it ended by itself */
    void (*on_ready)(struct celery_worker *w); /* for the command line: "ready." */
    bool purge;
};

/*
 * Makes everything that must be there before threads and connections: reads the settings,
 * prepares the pool (its fork server).
 */
celery_status cel_worker_prepare(celery_app *app, struct celery_worker **ret_worker,
                                 celery_error *err);

/* Opens the loop, the pool and the connections. */
celery_status cel_worker_start(struct celery_worker *w, celery_error *err);

/* Runs the loop until the shutdown is over.  The exit code of Celery's worker. */
int cel_worker_loop(struct celery_worker *w);

/* From the loop's thread: begins, or hardens, a shutdown. */
void cel_worker_shutdown(struct celery_worker *w, enum cel_shutdown how);

/* A request is gone, or may have been the last: asks whether the shutdown is complete. */
void cel_worker_check_shutdown(struct celery_worker *w);

/* The pool may have room, or there is something ready. */
void cel_worker_dispatch(struct celery_worker *w);

/* How many unsettled messages the broker may give us. */
void cel_worker_update_prefetch(struct celery_worker *w);

#endif
