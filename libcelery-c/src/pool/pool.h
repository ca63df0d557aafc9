/* SPDX-License-Identifier: BSD-3-Clause */
/* Ways to run tasks: the interface. */
#ifndef CEL_POOL_POOL_H
#define CEL_POOL_POOL_H

#include "app/app.h"
#include "loop/loop.h"

#define CEL_POOL_NAME 32 /* bytes of the name of a child */

enum cel_pool_flags {
    CEL_POOL_ISOLATED = 1 << 0,    /* a task can be killed without hurting the others */
    CEL_POOL_SOFT_LIMITS = 1 << 1, /* a task can be told that its time is nearly up */
};

/*
 * What a pool needs to know of one execution.  Embedded in the worker's request; texts are
 * borrowed and stay until finished() or lost().  It crosses to a child as bytes
 * (prefork_wire), so there is nothing in it that a child could not rebuild.
 */
struct cel_job {
    const struct cel_task_def *task;
    struct cel_task_call call; /* headers; args are decoded where the task runs */
    struct cel_slice
        headers;           /* the JSON object of all headers, then what follows it in the
                                  message up to its closing brace; or empty */
    struct cel_slice body; /* after body_encoding; compressed and serialized */
    struct cel_slice content_type;
    struct cel_slice correlation_id;
    struct cel_slice reply_to;
    struct cel_slice exchange;
    struct cel_slice routing_key;
    int priority;
    bool redelivered;
    bool extended;     /* send args and kwargs back as JSON (result_extended) */
    bool want_repr;    /* send repr of the result back (log line, events) */
    double soft_limit; /* seconds; 0: none */
    double hard_limit;
    unsigned long number; /* job number of this worker, for "Job: N" */

    /* The pool's own; zero at submit. */
    void *pool_data[4];
};

enum cel_outcome_kind {
    CEL_OUTCOME_SUCCESS,
    CEL_OUTCOME_FAILURE,
    CEL_OUTCOME_RETRY,
    CEL_OUTCOME_IGNORE,
    CEL_OUTCOME_REJECT,    /* without requeue */
    CEL_OUTCOME_REQUEUE,   /* reject with requeue */
    CEL_OUTCOME_MALFORMED, /* the body could not be decoded: cel_outcome.fault, reason */
    CEL_OUTCOME_REVOKED,   /* made by the worker, not by pools */
    CEL_OUTCOME_TIMEOUT,   /* made by the worker */
    CEL_OUTCOME_LOST,      /* made by the worker */
};

/* What the message carried beside its arguments. */
enum cel_outcome_follows {
    CEL_FOLLOWS_BODY = 1 << 0,  /* the body was decoded: the other bits are known */
    CEL_FOLLOWS_ANY = 1 << 1,   /* callbacks, errbacks, chain or chord */
    CEL_FOLLOWS_CHORD = 1 << 2, /* it is a part of a chord */
};

/* What came of one execution; texts are borrowed for the call. */
struct cel_outcome {
    enum cel_outcome_kind kind;
    struct cel_slice result_json; /* SUCCESS: JSON text (json.dumps form) */
    struct cel_slice repr;        /* saferepr of the result, if asked for */
    struct cel_slice exc_type;    /* FAILURE, RETRY: "ValueError" */
    struct cel_slice exc_module;  /* "builtins" */
    struct cel_slice exc_args;    /* JSON array text */
    struct cel_slice traceback;
    struct cel_slice reason;    /* REJECT, MALFORMED; RETRY: "Retry in 1s: ..." */
    enum cel_call_fault fault;  /* MALFORMED */
    double countdown;           /* RETRY: seconds */
    double runtime;             /* seconds in the task function */
    struct cel_slice args_json; /* if job.extended */
    struct cel_slice kwargs_json;
    struct cel_slice
        effects;      /* what its end brings about (struct cel_effects); or empty */
    unsigned follows; /* enum cel_outcome_follows, of a body that was decoded */
    long max_rss_kib; /* of the child; 0 unknown */
};

/* Told on the loop's thread, in this order, once each per submitted job. */
struct cel_pool_events {
    /*
     * There is a place for it now.  False: it may not run any more, and the worker has had it
     * back with recall().  NULL: every job may.
     */
    bool (*wanted)(void *ctx, struct cel_job *job);

    /*
     * It runs now, in the process of that pid and name ("ForkPoolWorker-1", at most
     * CEL_POOL_NAME bytes with its end, borrowed for the call); 0 and NULL: in this one.
     */
    void (*accepted)(void *ctx, struct cel_job *job, int pid, const char *name);

    /* Between accepted() and finished(): update_state().  meta_json is JSON text. */
    void (*state)(void *ctx, struct cel_job *job, struct cel_slice state,
                  struct cel_slice meta_json);

    /*
     * Between accepted() and finished(): messages that it sends and notes that it leaves, as
     * bytes of a struct cel_effects.  They are carried out at once, and confirmed before the
     * request ends.
     */
    void (*effects)(void *ctx, struct cel_job *job, struct cel_slice effects);

    /* Its function returned.  Nothing is stored or sent yet.  The outcome is borrowed. */
    void (*finished)(void *ctx, struct cel_job *job, const struct cel_outcome *outcome);

    /* Instead of finished(): the process that ran it is gone.  wait_status of waitpid();
     * timed_out: killed by the pool for its hard limit; killed: by kill(). */
    void (*lost)(void *ctx, struct cel_job *job, int wait_status, bool timed_out);

    /* The soft limit passed (for the log line). */
    void (*soft_limit)(void *ctx, struct cel_job *job);

    /* room() may have grown. */
    void (*room)(void *ctx);

    /* A thread overran its hard limit and cannot be stopped: the process must be replaced. */
    void (*stuck)(void *ctx, struct cel_job *job);
};

struct cel_pool_options {
    celery_app *app;
    const char *hostname; /* node name */
    unsigned slots;
    unsigned max_slots;           /* resize() up to so many must work; 0: slots */
    int64_t max_tasks_per_child;  /* 0: no limit */
    int64_t max_memory_per_child; /* KiB; 0: no limit */
    struct cel_call_limits limits;
    double proc_alive_timeout; /* worker_proc_alive_timeout */
    bool redirect_stdouts;
};

/* One way to run tasks.  Calls are made on the loop's thread and do not block. */
struct cel_pool;
struct cel_pool_ops {
    const char *name; /* "prefork": the -P option */
    unsigned flags;   /* enum cel_pool_flags */
    size_t size;      /* bytes of state, struct cel_pool first; zeroed */

    /*
     * Before anything is opened: makes the fork server (prefork) or nothing.  Called while the
     * process has one thread and no connection.
     */
    celery_status (*prepare)(struct cel_pool *p, celery_error *err);

    /* Makes the children or threads and joins the loop (p->loop is set). */
    celery_status (*start)(struct cel_pool *p, celery_error *err);

    /* Runs a job.  Legal only while room() > 0.  Borrows it until finished() or lost(). */
    celery_status (*submit)(struct cel_pool *p, struct cel_job *job);

    /*
     * How many more jobs it takes now: the free slots, and read-ahead behind tasks that have
     * proved short.  What was read ahead and not started can always be had back with recall().
     */
    unsigned (*room)(const struct cel_pool *p);

    /* A job submitted now is accepted before this pass ends. */
    bool (*idle)(const struct cel_pool *p);

    /* CELERY_OK: it is the caller's again, as if never submitted.  CELERY_NONE: it runs, or
     * nobody knows: accepted/finished/lost will tell. */
    celery_status (*recall)(struct cel_pool *p, struct cel_job *job);

    /* Stops a running job; lost() follows.  NULL unless CEL_POOL_ISOLATED. */
    celery_status (*kill)(struct cel_pool *p, struct cel_job *job, int signal);

    /*
     * Lets go of an accepted job that cannot be killed: lost() is told from inside, with SIGTERM
     * as if that had ended it, and what comes of it later is dropped.  The process is about to end.
     * CELERY_NONE: it is not running any more.  NULL where there is kill().
     */
    celery_status (*abandon)(struct cel_pool *p, struct cel_job *job);

    /* Tells a job that it should stop (celery_task_should_stop). */
    void (*interrupt)(struct cel_pool *p, struct cel_job *job);

    /* Changes the number of slots; running jobs are never interrupted for it. */
    celery_status (*resize)(struct cel_pool *p, unsigned slots);

    /*
     * Ends children and threads.  Jobs still running are lost without an event.  Idempotent;
     * legal inside accepted(), finished(), lost() and room(), unlike cel_pool_free().
     */
    void (*stop)(struct cel_pool *p);

    /* Frees what stop() left; called by cel_pool_free() after stop().  May be NULL. */
    void (*fini)(struct cel_pool *p);

    /* For stats: pids of the children; returns how many were written. */
    size_t (*pids)(const struct cel_pool *p, int *ret_pids, size_t max);
};

struct cel_pool {
    const struct cel_pool_ops *ops;
    const struct cel_pool_events *events;
    void *events_ctx;
    struct cel_loop *loop; /* set between prepare() and start() */
    struct cel_pool_options options;
};

extern const struct cel_pool_ops cel_pool_prefork; /* also "processes" */
extern const struct cel_pool_ops cel_pool_threads;
extern const struct cel_pool_ops cel_pool_solo;

/* By -P name; NULL with err listing them (eventlet, gevent: said to be Python's only). */
const struct cel_pool_ops *cel_pool_find(const char *name, celery_error *err);

celery_status cel_pool_new(const struct cel_pool_ops *ops,
                           const struct cel_pool_options *options,
                           const struct cel_pool_events *events, void *ctx,
                           struct cel_pool **ret_pool, celery_error *err);
struct cel_pool *cel_pool_free(struct cel_pool *p);

#endif
