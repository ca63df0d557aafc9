/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dead letters of RabbitMQ, Amazon SQS and folders: <queue>.celery-c.dead is a queue.  Reading it means to take all
 * that lies in it and to give it back, which leaves every letter at its place.
 */
#ifndef CEL_CLIENT_DEAD_HELD_H
#define CEL_CLIENT_DEAD_HELD_H

#include "app/app.h"
#include <celery/dead.h>

struct cel_dead_held;

/* Is the app's broker of this kind? */
bool cel_dead_held_is(const celery_app *app);

celery_status cel_dead_held_open(const celery_app *app, struct cel_dead_held **ret,
                                 celery_error *err);
void cel_dead_held_close(struct cel_dead_held *d);

/* As the public calls of the same names. */
celery_status cel_dead_held_count(struct cel_dead_held *d, const char *queue, size_t *ret,
                                  celery_error *err);
celery_status cel_dead_held_queues(struct cel_dead_held *d, celery_dead_queue_fn fn,
                                   void *ctx, celery_error *err);
celery_status cel_dead_held_each(struct cel_dead_held *d, const char *queue,
                                 celery_dead_fn fn, void *ctx, celery_error *err);
celery_status cel_dead_held_at(struct cel_dead_held *d, const char *queue, size_t index,
                               const celery_dead_entry **ret, celery_error *err);
celery_status cel_dead_held_find(struct cel_dead_held *d, const char *queue,
                                 const char *task_id, const celery_dead_entry **ret,
                                 celery_error *err);
celery_status cel_dead_held_take(struct cel_dead_held *d, const celery_dead_entry *entry,
                                 bool replay, celery_error *err);
celery_status cel_dead_held_replay_all(struct cel_dead_held *d, const char *queue,
                                       size_t *ret, celery_error *err);
celery_status cel_dead_held_purge(struct cel_dead_held *d, const char *queue, size_t *ret,
                                  celery_error *err);

#endif
