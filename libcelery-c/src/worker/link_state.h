/* SPDX-License-Identifier: BSD-3-Clause */
/* The link's inside, for the files that make it up. */
#ifndef CEL_WORKER_LINK_STATE_H
#define CEL_WORKER_LINK_STATE_H

#include "net/backoff.h"
#include "net/failover.h"
#include "worker/link.h"

enum cel_link_state {
    LINK_IDLE,
    LINK_CONNECTING,
    LINK_GREETING, /* connected(), cel_link_go_on() is awaited */
    LINK_DECLARING,
    LINK_CONSUMING,
    LINK_STOPPED, /* connected, takes no more messages */
    LINK_CLOSED,
};

struct cel_link {
    struct cel_loop *loop;
    const struct cel_worker_policy *policy;
    struct cel_router *router;
    struct cel_transport *transport;
    const struct cel_link_events *events;
    void *ctx;
    struct cel_source *retry; /* timer: connect again */
    struct cel_list waiting;  /* struct cel_publish for which there is no connection */
    struct cel_map declared;  /* names of queues, on this connection */
    struct cel_map delayed; /* those that delayed messages come to, on this connection */
    struct cel_backoff backoff;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_failover failover;
    struct cel_list subscriptions; /* struct cel_subscription */
    enum cel_link_state state;
    unsigned prefetch;
    int64_t tries;    /* since the last success */
    bool hopeful;     /* a URL of this round may work later */
    size_t declaring; /* answers to come */
    bool was_ready;   /* consumed at least once */
    bool purge;       /* --purge: before the first consume */
    bool stopping;    /* takes no more messages, also after a reconnection */
    bool left;        /* subscriptions were ended */
    double stable_since;
    const char *delayed_type;   /* broker_native_delayed_delivery_queue_type */
    struct cel_queue *to_delay; /* for the transport: the queues that can take part */
    size_t n_to_delay;
    struct cel_source *again; /* timer: declare native delayed delivery again */
    unsigned delayed_tries;   /* that failed, on this connection */
    char name[200];
};

/* After a failure: another URL, the same one after a while, or never. */
void cel_link_connect_later(struct cel_link *l, const celery_error *why);

/* Everything is declared: consume. */
void cel_link_consume_all(struct cel_link *l);

/* ---- link_declare.c ---- */

celery_status cel_link_declare_init(struct cel_link *l, const struct cel_config *config,
                                    celery_error *err);
void cel_link_declare_fini(struct cel_link *l);

/* On a new connection: queues, native delayed delivery, then cel_link_consume_all(). */
void cel_link_declare_all(struct cel_link *l);

/* Nothing of this connection is declared any more. */
void cel_link_declare_void(struct cel_link *l);

/* What has to exist before a message is published. */
void cel_link_declare_for(struct cel_link *l, const struct cel_publish *p);

#endif
