/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watching a cluster: the worker-* and task-* events that workers and clients send
 * (celery/events/receiver.py EventReceiver).  celery/state.h makes a picture of them.  Stable.
 *
 * A handle has a connection of its own, which comes back by itself, and belongs to the thread
 * that made it.  Nothing is kept: an event that nobody waits for is lost after
 * event_queue_ttl, and on Redis at once.  A call on a NULL handle fails and leaves err alone.
 */
#ifndef CELERY_EVENTS_H
#define CELERY_EVENTS_H

#include <celery/app.h>
#include <celery/value.h>
#include <stddef.h>

CELERY_BEGIN_DECLS

/* A receiver of events. */
typedef struct celery_events celery_events;

/*
 * One event.  Borrowed for the call that gives it, with everything in it; texts are UTF-8 as
 * their sender wrote them, not escaped.
 */
typedef struct celery_event {
    const char *type; /* "task-received" */
    const char
        *hostname;    /* the worker's node name, of task-sent the client's; NULL: none */
    const char *uuid; /* the task's id; NULL: none */
    double
        timestamp; /* seconds since 1970 by this machine's clock (utcoffset is heeded); 0:
                         none */
    double received; /* the same: when it came here (local_received) */
    int64_t clock;   /* Lamport's, over 0; of task-sent and of who has none: ours */
    int64_t pid;     /* 0: none */
    /*
     * All of it, an object, as handlers of Celery get it: timestamp and clock as above, with
     * local_received.
     */
    const celery_value *fields;
} celery_event;

/*
 * Is given each event, in the order they came.  Runs in a pass of the handle's loop; may call
 * celery_events_stop(), but not wait for anything and not close the handle.
 */
typedef void (*celery_event_fn)(void *ctx, const celery_event *event);

/*
 * The link to the broker changed: err is NULL when events come from now on; otherwise it was
 * lost, or a try has failed, and the next one is wait seconds away.  As celery_event_fn.
 */
typedef void (*celery_events_link_fn)(void *ctx, const celery_error *err, double wait);

/* How to receive; {0} is upstream's way. */
typedef struct celery_events_options {
    /*
     * Which events: routing keys are types with a dot for the dash, "*" is one word, "#" any
     * number; NULL-terminated.  NULL: {"#", NULL}, all.  Workers send their task-* events
     * in lists under "task.multi", so "task.#" is all tasks, and "task.succeeded" only what
     * somebody sends alone.  At most 16.
     */
    const char *const *routing_keys;
    celery_events_link_fn link; /* may be NULL */
    bool no_wakeup; /* do not ask all workers for a heartbeat when the link is there */
    bool patient;   /* opening does not wait for the link, which may come later */
} celery_events_options;

/*
 * Opens a receiver of an app's broker (broker_read_url, else broker_url) with CELERY_* read from
 * the environment, and freezes the app, which must outlive the handle; or of a broker by its
 * URL.  options may be NULL and is not kept; ctx goes to fn and link.  When it returns, what
 * is sent from now on is received.
 *
 * The queue is <event_queue_prefix>.<uuid>, bound to event_exchange, with event_queue_ttl,
 * event_queue_expires, event_queue_exclusive and event_queue_durable; on Redis there is none
 * but a subscription.  event_serializer and json are read.
 *
 * NULL with err: CELERY_ECONNECT, CELERY_EAUTH, CELERY_ETIMEOUT (after
 * broker_connection_timeout for each URL), unless patient; CELERY_ECONFIG; CELERY_ENOTSUP,
 * the broker has no broadcasts; CELERY_EINVAL, fn is NULL or a routing key is empty.
 */
CELERY_API celery_events *celery_events_open(celery_app *app,
                                             const celery_events_options *options,
                                             celery_event_fn fn, void *ctx,
                                             celery_error *err);
CELERY_API celery_events *celery_events_open_url(const char *broker_url,
                                                 const celery_events_options *options,
                                                 celery_event_fn fn, void *ctx,
                                                 celery_error *err);

/* Not from inside fn or link.  NULL is harmless. */
CELERY_API void celery_events_close(celery_events *events);

/* For a host's own event loop: poll this descriptor for reading, then step(events, 0). */
CELERY_API int celery_events_fd(const celery_events *events);

/*
 * Makes one pass, waiting at most timeout seconds (negative: for ever) for something to do.
 * A link that is down is no failure.  CELERY_ESYSTEM.
 */
CELERY_API celery_status celery_events_step(celery_events *events, double timeout,
                                            celery_error *err);

/*
 * Passes, one at least, until celery_events_stop() (CELERY_OK) or for timeout seconds
 * (CELERY_NONE; negative: no limit), as EventReceiver.capture().  CELERY_ESYSTEM.
 */
CELERY_API celery_status celery_events_run(celery_events *events, double timeout,
                                           celery_error *err);

/* Ends the run that goes on, or the next.  From any thread, or a signal handler. */
CELERY_API void celery_events_stop(celery_events *events);

/*
 * Asks all workers for a heartbeat now (EventReceiver.wakeup_workers()); it is sent in the
 * passes that follow.  CELERY_ECLOSED: the link is down.
 */
CELERY_API celery_status celery_events_wakeup(celery_events *events, celery_error *err);

/* What has happened since the handle was opened. */
typedef struct celery_events_counts {
    uint64_t messages;
    uint64_t events; /* given to fn */
    uint64_t
        malformed;  /* messages that could not be read, and what in them is no event */
    uint64_t links; /* how often events began to come */
    bool connected; /* they come now */
} celery_events_counts;

CELERY_API void celery_events_count(const celery_events *events,
                                    celery_events_counts *ret);

CELERY_END_DECLS

#endif
