/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection that is kept up: tries URL after URL, with back-off from round to round. */
#ifndef CEL_CLIENT_UPLINK_H
#define CEL_CLIENT_UPLINK_H

#include "loop/done.h"
#include "loop/loop.h"
#include "net/backoff.h"
#include "net/failover.h"
#include <stddef.h>

enum cel_uplink_state {
    CEL_UPLINK_OFF,
    CEL_UPLINK_DOWN,
    CEL_UPLINK_CONNECTING,
    CEL_UPLINK_UP
};

struct cel_uplink {
    struct cel_loop *loop;
    size_t n_urls;
    const char *strategy; /* broker_failover_strategy; NULL: round-robin */
    void (*connect)(void *ctx, size_t url_index, struct cel_done done);
    void (*up)(void *ctx);     /* may be NULL */
    void (*failed)(void *ctx); /* an attempt did; may be NULL */
    void *ctx;

    enum cel_uplink_state state;
    struct cel_failover urls;
    unsigned rounds; /* that failed, ever */
    struct cel_backoff backoff;
    struct cel_source *timer;
    double next;       /* loop time of the next try, while it is down */
    celery_error last; /* why it is down */
};

/* The fields above the gap are set by the owner before. */
celery_status cel_uplink_start(struct cel_uplink *link, celery_error *err);

/* Before the owner closes what the link connects; nothing is called any more. */
void cel_uplink_stop(struct cel_uplink *link);

/* The owner was told that the connection is gone. */
void cel_uplink_lost(struct cel_uplink *link, const celery_error *why);

/* Somebody waits: try now instead of when the back-off is over. */
void cel_uplink_hurry(struct cel_uplink *link);

/* It is down for a reason that takes longer: the next try is so many seconds away. */
void cel_uplink_postpone(struct cel_uplink *link, double wait);

#endif
