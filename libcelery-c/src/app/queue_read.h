/* SPDX-License-Identifier: BSD-3-Clause */
/* One queue of the settings (kombu/entity.py Queue, Exchange, Queue.from_dict). */
#ifndef CEL_APP_QUEUE_READ_H
#define CEL_APP_QUEUE_READ_H

#include "message/queue.h"

/* What queues have that say nothing (celery/app/amqp.py Queues). */
struct cel_queue_defaults {
    const char *exchange;
    const char *exchange_type;
    const char *routing_key;
    int64_t max_priority; /* task_queue_max_priority; < 0: none */
};

/* "task_queues: queue <name>: <why>" */
celery_status cel_queue_wrong(struct cel_slice name, const char *key, const char *why,
                              celery_error *err);

/*
 * Reads a queue that is written as a map; null counts as {}.  Texts and arguments are the
 * arena's or the map's.
 */
celery_status cel_queue_read(struct cel_arena *a, const struct cel_queue_defaults *d,
                             struct cel_slice name, const struct cel_node *map,
                             struct cel_queue *ret, celery_error *err);

/*
 * The arguments of a queue that is made without a map: its type ("quorum"; NULL or "classic":
 * none is named) and the priority of the settings.  NULL in *ret: none.
 */
celery_status cel_queue_arguments(struct cel_arena *a, const char *type,
                                  int64_t max_priority, const struct cel_node **ret,
                                  celery_error *err);

#endif
