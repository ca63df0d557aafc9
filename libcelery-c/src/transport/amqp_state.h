/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one AMQP transport, shared by the amqp_*.c files.  Each part of it belongs to the
 * file it is named after; the others read it.
 */
#ifndef CEL_TRANSPORT_AMQP_STATE_H
#define CEL_TRANSPORT_AMQP_STATE_H

#include "base/list.h"
#include "base/uuid.h"
#include "transport/amqp_conn.h"
#include "transport/amqp_options.h"
#include "transport/hold.h"
#include "transport/transport.h"

enum {
    CEL_AMQP_UNLIMITED = 4096, /* prefetch of a consumer when it is lifted */
    CEL_AMQP_LEVELS = 22,      /* delay queues of 1 s to 2^21 s (24 days) */
};

/* The queue through which copies of messages come back to ourselves: amqp_hold.c. */
enum cel_amqp_nest_state {
    CEL_AMQP_NEST_NONE,
    CEL_AMQP_NEST_OPENING,
    CEL_AMQP_NEST_OPEN
};

struct cel_amqp_consumer;

/* A queue by name; lives as long as the transport, because deliveries point to its name. */
struct cel_amqp_queue {
    struct cel_list node;
    char *name;
    struct cel_arena arena;         /* of def */
    struct cel_queue def;           /* as it was last declared; def.name is NULL before */
    bool fanout;                    /* def's exchange is one */
    bool declared;                  /* with def, on this connection */
    bool wanted;                    /* consume() was called */
    bool restoring;                 /* is being declared and consumed again */
    bool dead_declared;             /* its dead-letter queue, on this connection */
    unsigned dead_declaring;        /* answers to that which are not in yet */
    bool delay_bound;               /* to native delayed delivery, on this connection */
    uint8_t nest;                   /* enum cel_amqp_nest_state */
    double delays[CEL_AMQP_LEVELS]; /* when its delay queues were declared */
    struct cel_amqp_consumer *consumer; /* the newest of them */
    unsigned held;                      /* records in the hold */
    unsigned share, slices, held_in;    /* of its consumers: amqp_share.c */
};

enum cel_amqp_held_state {
    CEL_AMQP_HELD,
    CEL_AMQP_ACKING,  /* to be acknowledged when the pass ends */
    CEL_AMQP_MOVING,  /* a copy is on its way to where the message goes */
    CEL_AMQP_NESTING, /* a copy is on its way to become the message: it is still held */
};

/* The record of a delivery in the hold. */
struct cel_amqp_held {
    uint64_t broker_tag;
    uint64_t prev, next; /* in the order of the brokers' tags; 0: none */
    struct cel_amqp_queue *queue;
    struct cel_amqp_consumer *consumer;
    struct cel_envelope *envelope; /* the owner's, alive until it is settled */
    double since;                  /* when the broker's clock for it began to run */
    int64_t starts;                /* counted before this delivery */
    int64_t counted;               /* of this one and before: what our copy says */
    int64_t deliveries; /* of a quorum queue: how often it came back before this one */
    uint8_t state;
    bool redelivered;
    bool started; /* a start of this delivery was counted */
    bool nested;  /* what we hold is a copy from our own queue */
    bool cut;     /* too large: the envelope has no body */
    bool orphan;  /* its queue was deleted: putting it back takes a copy */
    bool warned;  /* of the broker's time-out */
};

/* An acknowledgement that waits for the end of the pass. */
struct cel_amqp_ack {
    uint64_t tag; /* of the hold */
    uint64_t broker_tag;
    struct cel_done done;
};

struct cel_amqp_settling {
    struct cel_amqp_ack *acks;
    size_t n_acks;
    size_t cap_acks;
    struct cel_amqp_ack *spare; /* the array that is not being filled */
    size_t cap_spare;
    uint64_t first, last; /* held deliveries in the order of their tags */
};

struct cel_amqp_consuming {
    struct cel_amqp_channel *channel;
    struct cel_list consumers;
    struct cel_amqp_consumer *latest; /* whose message came last */
    unsigned numbers;                 /* consumers' tags */
    bool warned;                      /* that nobody would tell us of deleted queues */
    unsigned prefetch;
    double changed_at;         /* when a consumer was last replaced */
    struct cel_source *change; /* timer: amqp_share.c */
    bool asked;                /* consume() was called in this pass */
    bool awaiting_change;      /* it was armed because one holds all it may */
    struct cel_source *retry;  /* timer: consume again */
    bool retrying;             /* it is armed */
    unsigned tries;
    double tried_at;
    celery_error failure; /* why it ended last */
};

struct cel_amqp_asking {
    struct cel_amqp_channel *channel;
    struct cel_list waiting; /* struct cel_amqp_ask; the first one is under way */
    bool busy;
    size_t declaring; /* asks of the owner that publishes wait for */
};

struct cel_amqp_publishing {
    struct cel_amqp_channel *channel;
    struct cel_list waiting; /* posts that are not with the channel */
    struct cel_list
        uncertain; /* their channel or connection went: which of them is seen */
    size_t in_flight;
    bool careful; /* one of those before closed the channel: one at a time */
};

struct cel_amqp_holding {
    char id[CEL_UUID_SIZE]; /* in the names of our own queues */
    struct cel_list moves;  /* all copies on their way */
    struct cel_list later;  /* settlements that wait for a copy to have come */
    struct cel_source
        *tick; /* timer: the broker's consumer_timeout, copies that are lost */
    uint64_t numbers;
};

struct cel_amqp_transport {
    struct cel_transport base;
    struct cel_amqp_options set;
    struct cel_url *const *urls;
    size_t n_urls;
    struct cel_tls *tls;

    struct cel_amqp_conn *conn;
    bool connected;
    bool native_delay; /* its levels were declared on this connection */
    unsigned connects; /* tells a callback that it was closed meanwhile */
    struct cel_done on_connected;
    struct cel_source *flush; /* end of a pass */
    struct cel_source *fail;  /* tells of a failure from outside the owner's calls */
    celery_error failure;

    struct cel_list queues;
    struct cel_hold hold;
    struct cel_amqp_settling settling;
    struct cel_amqp_consuming consuming;
    struct cel_amqp_asking asking;
    struct cel_amqp_publishing publishing;
    struct cel_amqp_holding holding;
};

static inline struct cel_amqp_transport *cel_amqp_transport(struct cel_transport *t)
{
    return (struct cel_amqp_transport *)t;
}

/* ---- amqp.c ---- */

/* Ends the connection soon; the owner hears lost(). */
void cel_amqp_abandon(struct cel_amqp_transport *a, const celery_error *why);

/* The queue by name, made when it is not known yet.  NULL: out of memory. */
struct cel_amqp_queue *cel_amqp_find_queue(struct cel_amqp_transport *a,
                                           const char *name);

/* The same without making it. */
struct cel_amqp_queue *cel_amqp_known_queue(struct cel_amqp_transport *a,
                                            struct cel_slice name);

/* Completes with CELERY_ECLOSED, or CELERY_ENOMEM. */
void cel_amqp_refuse(struct cel_done done, celery_status status);

/* True, and done called, when there is no connection. */
bool cel_amqp_is_closed(struct cel_amqp_transport *a, struct cel_done done);

#endif
