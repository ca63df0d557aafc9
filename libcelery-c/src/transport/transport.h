/* SPDX-License-Identifier: BSD-3-Clause */
/* One broker protocol: the interface, and the choice by URL scheme. */
#ifndef CEL_TRANSPORT_TRANSPORT_H
#define CEL_TRANSPORT_TRANSPORT_H

#include "base/url.h"
#include "config/config.h"
#include "loop/done.h"
#include "loop/loop.h"
#include "message/envelope.h"
#include "message/queue.h"

/* max_message of a new transport, bytes. */
#define CEL_TRANSPORT_MAX_MESSAGE ((size_t)16 << 20)

/* max_dead of a new transport. */
#define CEL_TRANSPORT_MAX_DEAD 10000

/* lease_seconds of a new transport. */
#define CEL_TRANSPORT_LEASE 30.0

enum cel_transport_flags {
    CEL_TRANSPORT_CONFIRMS = 1 << 0,   /* publish() is done when the broker has it */
    CEL_TRANSPORT_DELAYS = 1 << 1,     /* the broker can hold a message until its ETA */
    CEL_TRANSPORT_FANOUT = 1 << 2,     /* events and remote control work */
    CEL_TRANSPORT_PRIORITIES = 1 << 3, /* message priority is honoured */
    CEL_TRANSPORT_REDELIVERS = 1 << 4, /* a dead consumer's messages come back */
    CEL_TRANSPORT_RESUMES = 1 << 5,    /* deliveries outlive lost(): see there */
    CEL_TRANSPORT_TOPICS = 1 << 6,     /* events have a topic exchange, not a fanout */
    CEL_TRANSPORT_FINAL = 1 << 7, /* what it refuses at the start, it refuses for good */
    CEL_TRANSPORT_PAID = 1 << 8,  /* broadcasts cost: no mingle, no gossip */
};

/* A message taken from a queue and not settled yet. */
struct cel_delivery {
    struct cel_envelope
        *envelope;     /* owned, and kept until the delivery is settled: it may
                                      have to be published again; there if malformed, too */
    const char *queue; /* borrowed from the consumer's queue table; or NULL */
    uint64_t tag;      /* what ack() and reject() name it by; never 0 */
    bool redelivered;
    bool malformed; /* the envelope could not be read; its raw or body has the bytes */
    char why[120];  /* if malformed */
};

/* What a transport tells its owner (the worker's consumer, or a client). */
struct cel_transport_events {
    /* A message arrived.  The owner of the transport now owns what is in the delivery. */
    void (*delivered)(void *ctx, struct cel_delivery *give_delivery);

    /*
     * The connection is gone.  Called once per successful connect, never from inside
     * a call made by the owner.  Every delivery of this connection is void: do not
     * settle it.  Pending operations have already completed with CELERY_ECLOSED, or
     * CELERY_EUNCERTAIN when the broker may have acted on them.
     *
     * With CEL_TRANSPORT_RESUMES deliveries stay ours: the next connect() goes on renewing
     * them, tags stay valid, a settlement that failed can be made again after it, and
     * taken() tells of those that somebody else got meanwhile.  What was claimed by a request
     * whose answer was lost comes back to its queue at the next connect().
     */
    void (*lost)(void *ctx, const celery_error *why);

    /*
     * A message we held is no longer ours (its lease was taken over): it will run
     * elsewhere; do not settle it.  May be NULL.
     */
    void (*taken)(void *ctx, uint64_t tag);

    /* A broadcast on a subscribed exchange.  NULL: nobody listens. */
    void (*broadcast)(void *ctx, const char *exchange, struct cel_slice routing_key,
                      struct cel_envelope *give_envelope);

    /*
     * A consume() of this connection has taken effect: what is broadcast to the queue's
     * exchange from now on is heard.  Not from inside a call made by the owner.  May be NULL.
     */
    void (*listening)(void *ctx, const char *queue);
};

/* How the broker is to be spoken to; from the settings, see cel_transport_set_up(). */
struct cel_transport_login {
    const char *method; /* broker_login_method; NULL: PLAIN */
    double heartbeat;   /* broker_heartbeat, seconds; 0: none */
    double checkrate;   /* broker_heartbeat_checkrate */
    const char *name;   /* what the broker's tools show for this connection; NULL: ours */
};

/* One binding of an exchange; texts are borrowed for the call. */
typedef void (*cel_binding_fn)(void *ctx, struct cel_slice queue,
                               struct cel_slice routing_key);

/*
 * One broker protocol.  A transport is a static const instance of this struct and
 * keeps all its state in the memory it is given.
 *
 * Calls are made on the loop's thread, one at a time.  No call blocks; a slot may be
 * NULL only where its comment says so.  What is called many times in one pass of the
 * loop (publish, ack, reject) is put together and sent at its end.
 */
struct cel_transport;
struct cel_transport_ops {
    const char *name;           /* in logs and in the build summary */
    const char *const *schemes; /* URL schemes, NULL-terminated: "redis", "rediss" */
    unsigned flags;             /* enum cel_transport_flags */
    size_t size;                /* bytes of state, struct cel_transport first; zeroed */

    /*
     * Checks the URLs (several: a failover list, or sentinels) and the options
     * (broker_transport_options, may be NULL).  Opens nothing.  fini() follows even if this
     * fails.  The URLs must outlive the transport, the options need not.
     */
    celery_status (*init)(struct cel_transport *t, struct cel_url *const *urls, size_t n,
                          const struct cel_node *options, celery_error *err);

    /* Frees what init() allocated.  The transport is closed. */
    void (*fini)(struct cel_transport *t);

    /*
     * Opens the connection and logs in, with the URL of that index.  The answer comes
     * through done.
     */
    void (*connect)(struct cel_transport *t, size_t url_index, struct cel_done done);

    /*
     * Drops the connection at once.  Idempotent.  Pending operations end with
     * CELERY_ECLOSED before it returns; no event follows, not even lost().  Deliveries
     * become void, or with CEL_TRANSPORT_RESUMES wait for the next connect(), as after lost().
     */
    void (*close)(struct cel_transport *t);

    /* Makes the queue, its exchange and its binding exist.  Idempotent. */
    void (*declare)(struct cel_transport *t, const struct cel_queue *q,
                    struct cel_done done);

    /*
     * Routes the envelope.  Borrows it until done is called.  answer, of a broadcast with
     * envelope->counted: how many get it, which may be 0; -1: some.
     */
    void (*publish)(struct cel_transport *t, const char *exchange,
                    const char *routing_key, const struct cel_envelope *envelope,
                    struct cel_done done);

    /*
     * What publish() would write, for whoever shares the server with the broker: *ret_key
     * gets the list that LPUSH goes to, *ret_text the bytes.  CELERY_ENOTSUP: that is not one
     * list (an exchange by name).  NULL: not this kind of broker.
     */
    celery_status (*place)(struct cel_transport *t, const char *exchange,
                           const char *routing_key, const struct cel_envelope *envelope,
                           struct cel_buf *ret_key, struct cel_buf *ret_text);

    /*
     * Makes native delayed delivery exist (kombu/transport/native_delayed_delivery.py): its 28
     * levels of this queue type ("quorum" or "classic") and the bindings of these queues, of
     * which direct ones are refused.  NULL: the broker has none.
     */
    void (*declare_delayed)(struct cel_transport *t, const char *queue_type,
                            const struct cel_queue *queues, size_t n,
                            struct cel_done done);

    /*
     * The name of a queue that is consumed and in which nothing waits, as far as is known without
     * asking: what is published there now would be delivered here next.  It is that of deliveries.
     * NULL: not so; as slot: nothing is known.
     */
    const char *(*quiet)(const struct cel_transport *t, const char *queue);

    /* Starts the flow of delivered() events from one declared queue. */
    celery_status (*consume)(struct cel_transport *t, const char *queue,
                             celery_error *err);

    /* Ends it.  What was delivered already must still be settled. */
    celery_status (*cancel)(struct cel_transport *t, const char *queue,
                            celery_error *err);

    /*
     * Upper bound on unsettled deliveries; 0 lifts it (the transport keeps a sane ceiling).
     * Takes effect on later ones.
     */
    celery_status (*set_prefetch)(struct cel_transport *t, unsigned count);

    /*
     * From now on so many more deliveries, besides what the prefetch count says, until the
     * next call; stays over a reconnection.  What has been asked for already still comes.
     * NULL: the broker pushes and cannot be held to it.
     */
    void (*set_credit)(struct cel_transport *t, unsigned count);

    /* Settles a delivery: it is done.  done.answer: 1 if it was still ours, otherwise 0. */
    void (*ack)(struct cel_transport *t, uint64_t tag, struct cel_done done);

    /*
     * Settles a delivery: back to its queue (to the end of the line; at its head if front), or
     * away (to the dead-letter exchange, or nowhere).  header (may be NULL) and value are
     * added to the message's headers when it goes back.
     */
    void (*reject)(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                   const char *header, int64_t value, struct cel_done done);

    /*
     * Gives a delivery up until then (wall time): meanwhile it is with the broker and nobody's,
     * and a little before then, or soon if that is now, it is back at the head of its
     * queue, for anyone.  NULL: the broker cannot, and the owner keeps it.
     */
    void (*defer)(struct cel_transport *t, uint64_t tag, double until,
                  struct cel_done done);

    /*
     * Settles a delivery by moving its raw bytes to the dead-letter list of its queue, with
     * the reason, in one step.  NULL: the owner rejects without requeue.
     */
    void (*park)(struct cel_transport *t, uint64_t tag, const char *reason,
                 struct cel_done done);

    /*
     * Counts, and has it written by the broker, that a message which was delivered before
     * is started, unless that is so for most of its starts already.  answer: how many of
     * them were counted before this one and never ended; -1: it is no longer ours.  Asked
     * again for the same delivery, it is counted once.  The count outlives its consumer and
     * ends with the settlement; a message that goes back keeps it, unless it was started
     * here.  A broker that counts what comes back itself is asked instead, up to the
     * redelivery_budget.  NULL: the broker cannot.
     */
    void (*count_start)(struct cel_transport *t, uint64_t tag, int64_t most,
                        struct cel_done done);

    /*
     * Writes a message that was settled already to the dead-letter list of its queue: its raw
     * bytes, or headers and body where there are none.  Borrows the envelope until done is
     * called.  NULL: it is dropped.
     */
    void (*bury)(struct cel_transport *t, const char *queue,
                 const struct cel_envelope *envelope, const char *reason,
                 struct cel_done done);

    /* Remove all messages of a queue; answer: how many.  NULL: CELERY_ENOTSUP. */
    void (*purge)(struct cel_transport *t, const char *queue, struct cel_done done);

    /*
     * Removes a queue that was declared here, with its binding and what is in it, and ends
     * its flow.  That it is not there is no error.
     */
    void (*delete_queue)(struct cel_transport *t, const char *queue,
                         struct cel_done done);

    /* answer: how many messages wait in a queue.  NULL: CELERY_ENOTSUP. */
    void (*count)(struct cel_transport *t, const char *queue, struct cel_done done);

    /*
     * Calls fn for each binding of an exchange, in no order, before done.  NULL: the broker
     * does not tell.
     */
    void (*bindings)(struct cel_transport *t, const char *exchange, cel_binding_fn fn,
                     void *ctx, struct cel_done done);

    /*
     * True while messages that nobody reads any more are on their way back to their queues:
     * an owner that is about to end waits a little for it.  NULL: never.
     */
    bool (*returning)(const struct cel_transport *t);

    /* Seconds since the last answer of the broker; the watchdog and /healthz ask. */
    double (*silence)(const struct cel_transport *t);
};

/* The part of a transport that its owner and its implementation share. */
struct cel_transport {
    const struct cel_transport_ops *ops;
    const struct cel_transport_events *events;
    void *events_ctx;
    unsigned flags; /* those of ops; init() may add what the options switch on */
    struct cel_loop *loop;
    double connect_timeout; /* seconds, if the options say nothing; 0: the usual 4 */
    size_t max_message; /* bytes; larger ones are parked unread.  Set before connect */
    size_t max_dead;    /* entries kept in a dead-letter list; the oldest make room */
    int64_t redelivery_budget; /* starts without an end until the owner parks a message */
    double
        lease_seconds; /* until what a silent consumer holds goes to others, 1 or more */
    struct cel_transport_login login; /* borrowed texts.  Set before connect */
};

/* The implementation for a URL scheme; NULL with err listing what this build has. */
const struct cel_transport_ops *cel_transport_find(const char *scheme, celery_error *err);
const char *const *cel_transport_names(void);

/* Allocates, sets the shared part and calls init(). */
celery_status cel_transport_new(struct cel_loop *loop, struct cel_url *const *urls,
                                size_t n, const struct cel_node *options,
                                const struct cel_transport_events *events, void *ctx,
                                struct cel_transport **ret_t, celery_error *err);

/*
 * The broker's URLs: of role ("broker_read_url" or "broker_write_url") or else broker_url,
 * or Celery's default, with broker_use_ssl applied.  What was read is to be freed even if
 * this fails.
 */
celery_status cel_transport_urls(const struct cel_config *config, const char *role,
                                 struct cel_url ***ret_urls, size_t *ret_n,
                                 celery_error *err);

/* The shared part as the settings have it: time-outs, ceilings, login.  Before connect. */
void cel_transport_set_up(struct cel_transport *t, const struct cel_config *config);

/* close(), fini(), free.  Returns NULL. */
struct cel_transport *cel_transport_free(struct cel_transport *t);

#endif
