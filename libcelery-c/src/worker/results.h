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

/*
 * Something the backend must do once: tried again, after reconnections too, until its deadline.
 * Embedded in what it is about, whose memory stays until done().  What may have been done
 * already is done again, so it must be harmless to do twice.
 */
struct cel_errand {
    struct cel_list node;
    /* Asks the backend; the answer goes to cel_errand_answer(), at once or later. */
    void (*start)(struct cel_errand *errand, struct cel_backend *backend);
    /* err NULL: it is done; otherwise the deadline passed, or it never can be. */
    void (*done)(void *ctx, const celery_error *err);
    void *ctx;
    double deadline; /* loop time; set by cel_results_run() */
    struct cel_results *results;
};

/* A struct cel_done whose ctx is an errand. */
void cel_errand_answer(void *errand, const celery_error *err, int64_t answer);

/* One final state to be stored; answer SUCCESS was there already counts as stored. */
struct cel_store {
    struct cel_errand errand;
    struct cel_task_meta meta; /* points into the owner's memory */
};

/* The failover list is taken; n 0: no backend, everything counts as stored. */
celery_status cel_results_new(struct cel_loop *loop, struct cel_url **give_urls, size_t n,
                              const struct cel_config *config, double store_deadline,
                              struct cel_results **ret_results, celery_error *err);
struct cel_results *cel_results_free(struct cel_results *results);

/* Starts to connect; told once when it is known whether that works at all. */
void cel_results_connect(struct cel_results *results);

/* Without a backend it counts as done. */
void cel_results_run(struct cel_results *results, struct cel_errand *errand);

/* A final state: an errand, whose done and ctx are set. */
void cel_results_store(struct cel_results *results, struct cel_store *store);

/* STARTED and custom states: dropped when the backend is away, because they go stale. */
void cel_results_store_passing(struct cel_results *results,
                               const struct cel_task_meta *meta);

/* Ends all waiting now with an error: the messages go back, the results are not stored. */
void cel_results_give_up(struct cel_results *results);

/*
 * The documents of tasks, as they come from load(); valid until removed.  A listener hears of all
 * that is loaded and looks for its own.
 */
struct cel_results_listener {
    struct cel_list node;
    void (*meta)(struct cel_results_listener *listener, struct cel_slice task_id,
                 const struct cel_node *doc);
};
void cel_results_listen(struct cel_results *results,
                        struct cel_results_listener *listener);

/* The backend, NULL without one; and its URL, when there is only one. */
const struct cel_backend_ops *cel_results_ops(const struct cel_results *results);
const struct cel_url *cel_results_url(const struct cel_results *results);

/* The backend counts the parts of chords itself. */
bool cel_results_count(const struct cel_results *results);

bool cel_results_enabled(const struct cel_results *results);
bool cel_results_connected(const struct cel_results *results);
size_t cel_results_waiting(const struct cel_results *results); /* not stored yet */

/* fn is called after each errand that has ended, of whomever: fewer wait. */
void cel_results_on_fewer(struct cel_results *results, void (*fn)(void *ctx), void *ctx);

#endif
