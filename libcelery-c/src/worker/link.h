/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's link to the broker: connects through the failover list, declares and consumes
 * the queues, reconnects with back-off, and publishes again what the broker did not get.
 */
#ifndef CEL_WORKER_LINK_H
#define CEL_WORKER_LINK_H

#include "app/app.h"
#include "base/list.h"
#include "transport/transport.h"
#include "worker/policy.h"

struct cel_link;

struct cel_link_events {
    void (*delivered)(void *ctx, struct cel_delivery *give_delivery);
    void (*taken)(void *ctx, uint64_t tag);
    /* Consuming from all queues; again after each reconnection. */
    void (*ready)(void *ctx);
    /* The connection is gone; resumes: deliveries stay ours. */
    void (*lost)(void *ctx, bool resumes);
    /* Tries are used up, or the broker refused for good: the worker ends with exit code 1. */
    void (*failed)(void *ctx, const celery_error *why);
    /*
     * A new connection, of which nothing is declared yet; cel_link_go_on() follows, now or
     * soon.  NULL: at once.
     */
    void (*connected)(void *ctx);
};

/* A queue of this worker's own whose messages need no acknowledgement. */
struct cel_subscription {
    struct cel_list node;
    const struct cel_queue *queue; /* no_ack; must outlive the link */
    const char *what;              /* in lines about it */
    bool on_demand;                /* only while cel_link_open() asks for it */
    void (*received)(void *ctx, struct cel_slice routing_key,
                     struct cel_envelope *give_envelope);
    void *ctx;
    struct cel_link *link;
};

/* One message to be published with confirmation; embedded, borrowed until done. */
struct cel_publish {
    struct cel_list node;
    struct cel_envelope *envelope;
    const struct cel_queue *queue; /* made to exist first; NULL: none */
    const char *exchange;
    const char *routing_key;
    double deadline; /* loop time */
    void (*done)(void *ctx, const celery_error *err);
    void *ctx;
    struct cel_link *link;
};

celery_status cel_link_new(struct cel_loop *loop, const struct cel_worker_policy *policy,
                           const struct cel_config *config, struct cel_router *router,
                           const struct cel_link_events *events, void *ctx,
                           struct cel_link **ret_link, celery_error *err);
struct cel_link *cel_link_free(struct cel_link *link);

/*
 * Declares and consumes it on each connection, until that is closed; before start.  Borrowed.
 * False: the broker has no broadcasts.
 */
bool cel_link_subscribe(struct cel_link *link, struct cel_subscription *subscription);

/* Declares and consumes it now, on this connection.  An error has had its line. */
void cel_link_open(struct cel_subscription *subscription);

/* After connected(): declares and consumes the rest. */
void cel_link_go_on(struct cel_link *link);

void cel_link_start(struct cel_link *link, bool purge);

/* Stops the flow of new messages; what was delivered must still be settled. */
void cel_link_stop_consuming(struct cel_link *link);

/* Nothing is to be heard any more: ends subscriptions that would outlive the connection. */
void cel_link_leave(struct cel_link *link);

/* The connection must go now and stay away (end of the worker). */
void cel_link_close(struct cel_link *link);

/* One more queue of the router's, and one that was. */
void cel_link_consume(struct cel_link *link, const struct cel_queue *queue);
void cel_link_cancel(struct cel_link *link, const struct cel_queue *queue);

void cel_link_set_prefetch(struct cel_link *link, unsigned count);
unsigned cel_link_prefetch(const struct cel_link *link);

/* So many more messages, besides the prefetch count; false: this broker cannot do that. */
bool cel_link_set_credit(struct cel_link *link, unsigned count);

void cel_link_publish(struct cel_link *link, struct cel_publish *publish);

/* Of the broker, when there is only one; otherwise NULL. */
const struct cel_url *cel_link_url(const struct cel_link *link);
/* The failover list, from the one that is used now. */
size_t cel_link_count_urls(const struct cel_link *link);
const struct cel_url *cel_link_url_at(const struct cel_link *link, size_t i);
struct cel_transport *cel_link_transport(struct cel_link *link);
bool cel_link_connected(const struct cel_link *link);
bool cel_link_consuming(const struct cel_link *link);   /* and not stopped */
const char *cel_link_name(const struct cel_link *link); /* URL without password */

#endif
