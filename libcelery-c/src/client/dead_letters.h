/* SPDX-License-Identifier: BSD-3-Clause */
/* Letters that are held to be looked at, and go back. */
#ifndef CEL_CLIENT_DEAD_LETTERS_H
#define CEL_CLIENT_DEAD_LETTERS_H

#include "client/broker.h"
#include "client/dead_held.h"

/* Seconds that an answer of the broker may take. */
#define CEL_DEAD_ANSWER_TIMEOUT 20.0

struct cel_dead_letter {
    celery_dead_entry entry; /* the first member: entries are letters */
    struct cel_envelope *envelope;
    struct cel_slice id;  /* as it is */
    struct cel_slice raw; /* the bytes as they came; empty: headers and body (RabbitMQ) */
    uint64_t tag;         /* 0: settled */
    bool others;          /* another queue's, to go back */
};

struct cel_dead_held {
    const celery_app *app;
    bool raw; /* messages are one text with their headers: not RabbitMQ */
    bool sqs; /* counts and order are guesses */
    struct cel_loop *loop;
    struct cel_router *router;
    struct cel_broker broker;
    char queue[256];                  /* whose letters are held; "": none */
    struct cel_dead_letter **letters; /* oldest first */
    size_t
        n; /* the queue's own; those of other queues of the redrive policy's target follow */
    size_t n_held, cap, bytes;
    celery_error failed; /* of what came */
};

/* All go back to their places. */
celery_status cel_dead_release(struct cel_dead_held *d, celery_error *err);

/* The name of the target of the queue's redrive policy; false: there is no such thing here. */
bool cel_dead_redrive(const struct cel_dead_held *d, const char *queue, char name[300]);

/* What every call begins with: nothing is held, and there is a connection.  Also the name of the
 * queue of dead letters. */
celery_status cel_dead_begin(struct cel_dead_held *d, const char *queue, char name[300],
                             celery_error *err);

/* Takes all letters of the queue. */
celery_status cel_dead_hold(struct cel_dead_held *d, const char *queue,
                            celery_error *err);

/* The letter as it was before it was parked, for the queue by its name; it borrows from the
 * letter.  NULL: out of memory. */
struct cel_envelope *cel_dead_as_it_was(const struct cel_dead_held *d,
                                        const struct cel_dead_letter *l);

/* One that came, for cel_broker's delivered. */
void cel_dead_on_delivered(void *ctx, struct cel_delivery *give_delivery);

#endif
