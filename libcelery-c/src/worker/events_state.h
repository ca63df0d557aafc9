/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatcher's inside, for the files that make it up. */
#ifndef CEL_WORKER_EVENTS_STATE_H
#define CEL_WORKER_EVENTS_STATE_H

#include "worker/events.h"
#include "worker/request.h"

/* A message on its way; it lies in its envelope's arena. */
struct cel_events_message {
    struct cel_list node;
    struct cel_events *events;
    struct cel_envelope *envelope;
    size_t count; /* events in it */
    size_t size;  /* bytes */
    char routing_key[CEL_EVENT_TYPE_MAX];
};

struct cel_events {
    struct celery_worker *w;
    struct cel_event_source source;
    struct cel_event_source sender; /* of task-sent: this process, not its node */
    char sender_name[CEL_ANON_NODENAME];
    struct cel_observer observer; /* of tasks */
    const struct cel_codec *codec;
    const char *exchange;
    struct cel_queue declaration;
    struct cel_source
        *flush; /* hook: the batch goes at the end of a pass, or waits a little */
    struct cel_source *gather; /* timer: it has waited */
    bool gathering;            /* that is armed */
    double batch_at;           /* when the last one went */
    struct cel_source *beat;   /* timer */
    double interval;           /* of heartbeats; 0: none */
    double period;             /* of looking at how it goes */
    struct cel_buf single;     /* one event of the worker's */
    struct cel_buf batch;      /* events of tasks: "[{...}, {...}" */
    size_t n_batch;

    bool open;               /* logged in at the broker */
    bool declared;           /* on this connection */
    bool refused;            /* on this connection the broker lets us send none */
    struct cel_list waiting; /* struct cel_events_message, the oldest first */
    struct cel_list unsent;  /* taken, and surely not sent: before the waiting ones */
    size_t bytes;            /* of both */
    size_t in_flight;
    uint64_t dropped;        /* events, since the last line about it */
    uint64_t dropped_before; /* until then */
};

/* One more event of a task in the batch: begin, fields, end. */
struct cel_buf *cel_events_task_begin(struct cel_events *e);
void cel_events_task_end(struct cel_events *e, const char *type, int64_t time_us);

/* Now and then: says what was dropped when that is over. */
void cel_events_look(struct cel_events *e);

/* ---- events_task.c ---- */

/* For the observer. */
void cel_events_on_notice(void *ctx, const struct cel_notice *n);

/* The notices that become events. */
unsigned cel_events_kinds(void);

/* ---- heartbeat.c (celery/worker/heartbeat.py) ---- */

celery_status cel_heartbeat_init(struct cel_events *e, celery_error *err);
void cel_heartbeat_fini(struct cel_events *e);
void cel_heartbeat_start(struct cel_events *e);
void cel_heartbeat_stop(struct cel_events *e);
void cel_heartbeat_end(struct cel_events *e); /* worker-offline */

#endif
