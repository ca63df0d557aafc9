/* SPDX-License-Identifier: BSD-3-Clause */
/* Remote control by a client: its mailbox for replies, and the call that waits for some. */
#ifndef CEL_CLIENT_CONTROL_H
#define CEL_CLIENT_CONTROL_H

#include "client/client.h"
#include "codec/codec.h"
#include "message/control.h"
#include "message/mailbox.h"
#include <celery/control.h>

/* One answer; with its memory. */
struct cel_answer {
    char *node;
    const struct cel_node *value;
    struct cel_envelope *envelope; /* owned by the first answer of a message; or NULL */
};

struct celery_replies {
    struct cel_answer *answers;
    size_t n;
    size_t bytes; /* of all messages */
    size_t dropped;
    char why[240]; /* the first of these was */
};

/* A call that waits; on its stack. */
struct cel_asking {
    struct celery_replies *replies;
    char ticket[CEL_UUID_SIZE];
    size_t limit;      /* 0: none */
    double heard;      /* loop time of the last answer, or of the beginning */
    celery_error lost; /* the connection */
};

/* What a client needs for commands; made with the first of them. */
struct cel_remote {
    struct cel_arena arena;
    struct cel_mailbox mailbox;
    struct cel_queue commands; /* the exchange of commands, nothing is bound to it */
    struct cel_queue replies;
    char oid[CEL_UUID_SIZE];
    const struct cel_codec *codec;
    struct cel_call_limits limits;
    int64_t clock;             /* Lamport's */
    struct cel_asking *asking; /* NULL: nobody waits */
};

/* NULL with err. */
struct cel_remote *cel_remote_of(celery_client *client, celery_error *err);
struct cel_remote *cel_remote_free(struct cel_remote *remote);

/* Sends a command and waits until the broker has it. */
celery_status cel_remote_send(celery_client *client,
                              const struct cel_command_draft *draft, celery_error *err);

/* ---- control_replies.c ---- */

/* A message came to a queue of the client. */
void cel_remote_delivered(celery_client *client, struct cel_delivery *give_delivery);

/* The connection is gone. */
void cel_remote_lost(celery_client *client, const celery_error *why);

#endif
