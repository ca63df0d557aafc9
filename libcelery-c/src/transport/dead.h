/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dead-letter lists, for tools: what was parked, with the bytes as they came.  Calls block, on a
 * loop of their own.  Redis alone keeps such lists.
 */
#ifndef CEL_TRANSPORT_DEAD_H
#define CEL_TRANSPORT_DEAD_H

#include "base/url.h"
#include "codec/doc.h"

struct cel_dead;

/* One parked message; borrowed for the call that shows it. */
struct cel_dead_entry {
    size_t index;            /* 0 is the newest */
    double time;             /* when it was parked, seconds since 1970; 0: not known */
    struct cel_slice reason; /* empty: the entry was not written by this library */
    struct cel_slice raw;
    struct cel_slice task_id; /* as far as they are legible */
    struct cel_slice task;
};

/* URLs and options as for a transport; the first URL that answers is used. */
celery_status cel_dead_open(struct cel_url *const *urls, size_t n,
                            const struct cel_node *options, struct cel_dead **ret_dead,
                            celery_error *err);
struct cel_dead *cel_dead_close(struct cel_dead *d); /* NULL is harmless */

/* Calls fn for each queue that has a dead-letter list, with how many entries. */
celery_status cel_dead_queues(struct cel_dead *d,
                              void (*fn)(void *ctx, struct cel_slice queue, size_t count),
                              void *ctx, celery_error *err);

/* Calls fn for entries from first on, the newest first, at most max of them (0: all). */
celery_status cel_dead_list(struct cel_dead *d, const char *queue, size_t first,
                            size_t max,
                            void (*fn)(void *ctx, const struct cel_dead_entry *entry),
                            void *ctx, celery_error *err);

enum { CEL_DEAD_ALL = -1 };

/*
 * Puts one entry, or all there are now (CEL_DEAD_ALL, the oldest first), back to the end of the
 * queue, each in one step.  *ret_n says how many; CELERY_NONE: no such entry.
 */
celery_status cel_dead_replay(struct cel_dead *d, const char *queue, int64_t index,
                              size_t *ret_n, celery_error *err);

/* Removes one entry or all of them. */
celery_status cel_dead_purge(struct cel_dead *d, const char *queue, int64_t index,
                             size_t *ret_n, celery_error *err);

#endif
