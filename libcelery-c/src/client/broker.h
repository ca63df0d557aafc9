/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to one broker for a tool that waits for each step. */
#ifndef CEL_CLIENT_BROKER_H
#define CEL_CLIENT_BROKER_H

#include "client/client.h"

struct cel_broker {
    struct cel_loop *loop; /* the caller's */
    const char *what;      /* before its errors: "source" */
    /* What came from a queue that is consumed; NULL: nothing is. */
    void (*delivered)(void *ctx, struct cel_delivery *give_delivery);
    void *ctx;

    struct cel_url **urls;
    size_t n_urls;
    struct cel_transport *transport;
    double timeout; /* to connect to one of them */
    bool up;
    celery_error lost; /* status is 0 while it is up */
};

/*
 * Connects to the first of these URLs (NULL: of the settings) that answers, with the settings of
 * connections.  The
 * fields above the gap are set before; close follows also after a failure.
 */
celery_status cel_broker_open(struct cel_broker *b, const char *urls, size_t max_message,
                              const struct cel_config *config, celery_error *err);
void cel_broker_close(struct cel_broker *b);

/* Connects again what was opened and lost; at once when it is up. */
celery_status cel_broker_connect(struct cel_broker *b, celery_error *err);

/*
 * Passes of the loop until the operation has ended.  After so many seconds without that the
 * connection is closed, so that nothing points to w any more.
 */
celery_status cel_broker_wait(struct cel_broker *b, struct cel_waiting *w, double seconds,
                              celery_error *err);

/* The error with what in front. */
celery_status cel_broker_error(const struct cel_broker *b, const celery_error *why,
                               celery_error *err);

/* Declares a queue; one that is there with other arguments (406) is as good. */
celery_status cel_broker_declare(struct cel_broker *b, const struct cel_queue *q,
                                 celery_error *err);

/* How many messages wait in a queue. */
celery_status cel_broker_count(struct cel_broker *b, const char *queue, size_t *ret,
                               celery_error *err);

#endif
