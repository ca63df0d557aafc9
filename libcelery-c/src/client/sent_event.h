/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events that a client sends: task-sent, behind its messages.  They are tried once; what
 * becomes of them changes nothing for the messages, but a batch ends only when they have gone.
 */
#ifndef CEL_CLIENT_SENT_EVENT_H
#define CEL_CLIENT_SENT_EVENT_H

#include "base/list.h"
#include "canvas/effects.h"
#include "message/event.h"
#include <celery/client.h>

struct cel_batch;

enum cel_sent_state {
    CEL_SENT_UNKNOWN, /* the exchange was not declared on this connection */
    CEL_SENT_ASKED,
    CEL_SENT_READY,
    CEL_SENT_REFUSED, /* none are sent until the next connection */
};

/* In struct celery_client; zero is valid. */
struct cel_sent_events {
    enum cel_sent_state state;
    struct cel_event_source source;
    char name[CEL_ANON_NODENAME]; /* empty: nothing is prepared */
    const char *exchange;
    const struct cel_codec *codec;
    struct cel_queue declaration;
    struct cel_list waiting; /* for the answer to the declaration */
    uint64_t clock;          /* Lamport's, of this client's events */
    bool adding;             /* whoever adds looks after the batch */
};

/* An EVENT of a batch; the connection is up. */
void cel_sent_event(celery_client *client, struct cel_batch *b,
                    const struct cel_effect *e);

/* The connection is gone. */
void cel_sent_events_lost(celery_client *client);
void cel_sent_events_fini(celery_client *client);

#endif
