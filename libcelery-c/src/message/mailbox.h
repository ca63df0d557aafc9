/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of remote control (kombu/pidbox.py Mailbox), and what its senders write. */
#ifndef CEL_MESSAGE_MAILBOX_H
#define CEL_MESSAGE_MAILBOX_H

#include "codec/codec.h"
#include "message/queue.h"
#include "message/task.h"

/* What the settings say of them; the names are those that control_exchange gives. */
struct cel_mailbox {
    const char *exchange;       /* "celery.pidbox": commands, a fanout */
    const char *reply_exchange; /* "reply.celery.pidbox": direct */
    double expires, ttl;        /* control_queue_expires, _ttl, seconds; 0: none */
    bool durable, exclusive;    /* control_queue_durable, _exclusive; not both */
};

/* Makes the names; the other members stay. */
celery_status cel_mailbox_init(struct cel_mailbox *m, struct cel_arena *a,
                               const char *control_exchange, celery_error *err);

/* Mailbox.get_queue(): where a worker of that name gets its commands. */
celery_status cel_mailbox_queue(const struct cel_mailbox *m, struct cel_arena *a,
                                const char *node, struct cel_queue *ret,
                                celery_error *err);

/* Mailbox.get_reply_queue(): where the sender of that oid gets its replies. */
celery_status cel_mailbox_reply_queue(const struct cel_mailbox *m, struct cel_arena *a,
                                      const char *oid, struct cel_queue *ret,
                                      celery_error *err);

/* The exchange of commands alone, for who sends them; borrows its name. */
void cel_mailbox_exchange(const struct cel_mailbox *m, struct cel_queue *ret);

/* A command to be sent; everything is borrowed. */
struct cel_command_draft {
    const char *method;
    const struct cel_node *arguments;   /* an object; NULL: {} */
    const struct cel_node *destination; /* an array of node names; NULL: all */
    const char *pattern, *matcher;      /* both or none */
    const char *ticket, *oid;           /* both or none: no replies */
    int64_t clock;                      /* the sender's */
    double timeout;                     /* seconds; 0: the command does not grow old */
};

/* Mailbox._publish(): the message, for the mailbox's exchange. */
celery_status cel_command_write(const struct cel_mailbox *m,
                                const struct cel_command_draft *draft,
                                const struct cel_codec *codec,
                                struct cel_envelope **ret_env, celery_error *err);

/* What came to a reply queue; everything is borrowed from the envelope. */
struct cel_command_reply {
    struct cel_slice ticket;      /* "" without one */
    const struct cel_node *nodes; /* {node: value}; usually one */
    int64_t clock;                /* 0: unknown */
};

/* Total: CELERY_EMESSAGE, CELERY_ECONTENT, CELERY_ELIMIT with the reason, CELERY_ENOMEM. */
celery_status cel_command_reply_read(struct cel_envelope *env,
                                     const struct cel_call_limits *limits,
                                     struct cel_command_reply *ret, celery_error *err);

#endif
