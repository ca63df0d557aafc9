/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carries out effects: a batch is one list of them.  Its notes are confirmed by the backend, then
 * its messages are published, many in flight at once over all batches, each confirmed.  What
 * surely did not happen is tried again by task_publish_retry_policy.  Everything runs in the
 * passes of the client's loop.
 */
#ifndef CEL_CLIENT_OUTBOX_H
#define CEL_CLIENT_OUTBOX_H

#include "app/app.h"
#include "base/list.h"
#include "canvas/effects.h"
#include "client/uplink.h"
#include <celery/client.h>

/* task_publish_retry_policy (kombu/utils/functional.py retry_over_time). */
struct cel_retry_policy {
    int64_t max_retries;
    double start;
    double step;
    double max;
};

/* A connection that batches wait for, and how long they do. */
struct cel_road {
    struct cel_uplink *link;
    unsigned rounds; /* the link's count when somebody began to wait */
    double since;
    bool hurried; /* for the round at hand */
    unsigned hurried_round;
    double hurry_at;
};

struct cel_outbox {
    celery_client *client;
    struct cel_retry_policy policy;
    double patience; /* seconds to wait for a connection */
    struct cel_source *hook;
    struct cel_source *timer;
    struct cel_road broker;
    struct cel_road results;

    struct cel_list batches; /* all that have not ended */
    struct cel_list noting;  /* those whose notes are not confirmed */
    struct cel_list sending; /* those with messages that are no posts yet */
    size_t n_batches;
    size_t bytes; /* held by all of them */

    struct cel_list waiting; /* posts to be published before what is in sending */
    struct cel_list resting; /* posts that failed, until they may go again */
    struct cel_list flying;  /* posts the transport has, oldest first */
    size_t bytes_flying;

    const struct cel_queue *declaring; /* for the first of waiting; or NULL */
    bool declared;                     /* the transport has answered */
    bool delaying;                     /* it is native delayed delivery to that queue */
    double declaring_since;
    celery_error declare_err;

    bool giving_up; /* a connection is dropped because it confirms nothing */
    bool closed;
};

struct cel_batch {
    struct cel_list all;  /* in batches */
    struct cel_list node; /* in noting or sending */
    struct cel_outbox *outbox;
    struct cel_effects effects;
    struct cel_slice rest; /* effects that nobody has taken yet */
    size_t bytes;
    size_t n_posts;  /* that have not ended */
    bool noted;      /* all notes are confirmed */
    size_t n_noting; /* notes the backend has */
    double notes_at; /* when they were, or will be, given to it */
    int64_t note_retries;
    celery_error note_err;
    int64_t confirmed;
    celery_error err;
    struct cel_done done;
};

/* A message of a batch; its text stays in the batch's list. */
struct cel_post {
    struct cel_list node;
    struct cel_batch *batch;
    struct cel_envelope envelope;
    struct cel_slice id;
    struct cel_slice queue;
    const char *routing_key; /* behind exchange */
    int64_t retries;
    double at; /* in flight since, or due again */
    char exchange[];
};

celery_status cel_outbox_init(struct cel_outbox *o, celery_client *client,
                              celery_error *err);

/* Ends all batches with CELERY_ECLOSED; the connections are closed already. */
void cel_outbox_fini(struct cel_outbox *o);

/*
 * Takes the effects and their memory; NULL: done is not called.  done is called later, in a
 * pass, and the batch is gone then: with an error when one of the effects failed for good (those
 * behind it were not begun, those in flight have ended); answer: messages confirmed.
 */
struct cel_batch *cel_outbox_add(struct cel_outbox *o, struct cel_effects *give_effects,
                                 struct cel_done done, celery_error *err);

/* Nobody waits any more: what is not in flight is dropped, and done is not called. */
void cel_batch_abandon(struct cel_batch *b);

/* What batches wait for has changed: a connection came, went or failed. */
void cel_outbox_poke(struct cel_outbox *o);

/* ---- between the files of the outbox ---- */

/* Seconds before try number n, from 0. */
double cel_outbox_interval(const struct cel_outbox *o, int64_t n);
void cel_batch_fail(struct cel_batch *b, const celery_error *why);
/* Ends and frees the batch when nothing of it is left. */
void cel_batch_check(struct cel_batch *b);

/* outbox_post.c; the answers: loop time of what must be looked at next, INFINITY: nothing. */
double cel_outbox_send(struct cel_outbox *o);
void cel_outbox_drop_posts(struct cel_outbox *o, const struct cel_batch *of);

/* outbox_note.c */
double cel_outbox_note(struct cel_outbox *o);

#endif
