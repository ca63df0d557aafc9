/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's link to the result backend: connects, reconnects with back-off, and tries
 * again what could not be stored until its deadline.
 */
#ifndef CEL_WORKER_RESULTS_H
#define CEL_WORKER_RESULTS_H

#include "backend/backend.h"
#include "base/list.h"

struct cel_results;

/* One final state to be stored; embedded in the request, whose memory meta points into. */
struct cel_store {
    struct cel_list node;
    struct cel_task_meta meta;
    double deadline; /* loop time; set by cel_results_store() */
    /* err NULL: stored, or SUCCESS was there already; otherwise the deadline passed. */
    void (*done)(void *ctx, const celery_error *err);
    void *ctx;
    struct cel_results *results;
};

/* The failover list is taken; n 0: no backend, everything counts as stored. */
celery_status cel_results_new(struct cel_loop *loop, struct cel_url **give_urls, size_t n,
                              const struct cel_config *config, double store_deadline,
                              struct cel_results **ret_results, celery_error *err);
struct cel_results *cel_results_free(struct cel_results *results);

/* Starts to connect; told once when it is known whether that works at all. */
void cel_results_connect(struct cel_results *results);

/* A final state: retried until its deadline. */
void cel_results_store(struct cel_results *results, struct cel_store *store);

/* STARTED and custom states: dropped when the backend is away, because they go stale. */
void cel_results_store_passing(struct cel_results *results,
                               const struct cel_task_meta *meta);

/* Ends all waiting now with an error: the messages go back, the results are not stored. */
void cel_results_give_up(struct cel_results *results);

bool cel_results_enabled(const struct cel_results *results);
bool cel_results_connected(const struct cel_results *results);
size_t cel_results_waiting(const struct cel_results *results); /* not stored yet */

#endif
