/* SPDX-License-Identifier: BSD-3-Clause */
/* The router's inside, for the files that make it up. */
#ifndef CEL_APP_ROUTER_STATE_H
#define CEL_APP_ROUTER_STATE_H

#include "app/app.h"
#include "app/queue_read.h"
#include "app/route.h"

struct cel_router {
    struct cel_arena arena; /* every queue and every text */
    const struct cel_config *config;
    struct cel_queue_defaults defaults;
    struct cel_map by_name;    /* struct cel_queue */
    struct cel_queue **queues; /* defined ones, in their order */
    size_t n_queues, cap;
    struct cel_queue **chosen; /* to be consumed */
    size_t n_chosen, chosen_cap;
    bool amqp;   /* the broker that is published to */
    bool quorum; /* at least one queue is of that type */
    struct cel_route_table routes;
};

/* Copies it; one of the same name takes its place.  ret may be NULL. */
celery_status cel_router_add(struct cel_router *r, const struct cel_queue *like,
                             struct cel_queue **ret, celery_error *err);

/* By name; made if it may be (task_create_missing_queues). */
celery_status cel_router_want(struct cel_router *r, struct cel_slice name,
                              struct cel_queue **ret, celery_error *err);

#endif
