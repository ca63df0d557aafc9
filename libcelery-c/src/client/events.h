/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the receiver of events share. */
#ifndef CEL_CLIENT_EVENTS_H
#define CEL_CLIENT_EVENTS_H

#include "app/app.h"
#include "base/uuid.h"
#include "client/uplink.h"
#include "message/mailbox.h"
#include "message/task.h"
#include "transport/transport.h"
#include <celery/events.h>
#include <signal.h>

enum {
    CEL_EVENTS_KEYS = 16,
    CEL_EVENTS_NODES =
        1 << 20, /* of one message; upstream sends up to 24 events in one */
};

struct celery_events {
    const celery_app *app;         /* NULL: opened by a URL */
    struct cel_config *own_config; /* then these are the settings */
    const struct cel_config *config;
    celery_event_fn fn;
    celery_events_link_fn link_fn;
    void *ctx;
    bool no_wakeup;

    struct cel_loop *loop;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_transport *transport;
    struct cel_uplink link;
    struct cel_backoff refused; /* the queue could not be had */
    volatile sig_atomic_t stop;

    struct cel_arena arena; /* of the queues and what they name */
    struct cel_mailbox mailbox;
    const char *keys[CEL_EVENTS_KEYS];
    size_t n_keys;
    char names[CEL_EVENTS_KEYS][256];
    struct cel_queue
        queues[CEL_EVENTS_KEYS]; /* one, or where bindings are none, one a key */
    struct cel_binding bindings[CEL_EVENTS_KEYS];
    size_t n_queues;
    size_t to_declare; /* answers that are awaited */
    size_t to_delete;  /* queues, at the end */
    unsigned heard;    /* bit i: queue i is listened to */
    bool listening;    /* to all of them */

    struct cel_call_limits limits;
    const char *accept[3];
    int64_t clock;     /* Lamport's */
    char last_tag[64]; /* of the latest message, to know it again */
    double complained; /* loop time of the latest line about a malformed message */
    uint64_t untold;   /* of them since */
    celery_events_counts counts;
};

/* ---- events_link.c ---- */

extern const struct cel_transport_events cel_events_transport_events;

/* Fills link and starts it; the transport is there. */
celery_status cel_events_link_start(struct celery_events *ev, celery_error *err);

/* Sends the command heartbeat to all workers. */
celery_status cel_events_wake_up(struct celery_events *ev, celery_error *err);

/* ---- events_queue.c ---- */

/* Makes the queues and their bindings, under a new name. */
celery_status cel_events_queues(struct celery_events *ev, celery_error *err);
void cel_events_rename(struct celery_events *ev);

/* ---- events_read.c ---- */

void cel_events_receive(struct celery_events *ev, struct cel_envelope *give_envelope);

#endif
