/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dead letters: messages that a worker could not read, or whose task it does not have or
 * that ended its processes too often.  They wait in "<queue>.celery-c.dead" with the reason,
 * bytes as they came.  Redis: a list; RabbitMQ, Amazon SQS, filesystem://: a queue.  On SQS those
 * that lie in the target of the queue's redrive policy are among them.  Stable.
 *
 * But for Redis they are shown only to who takes them: each call takes all letters of the queue and
 * gives them back to their places, so that nobody else sees them meanwhile (after
 * celery_dead_at() and celery_dead_find(): until the next call).  65535 letters and 512 MiB at
 * most: CELERY_ELIMIT.
 *
 * A handle belongs to the thread that made it.  Every call has a deadline.  A call on a
 * NULL handle fails and leaves err alone.
 */
#ifndef CELERY_DEAD_H
#define CELERY_DEAD_H

#include <celery/app.h>
#include <stddef.h>

CELERY_BEGIN_DECLS

/* A connection to the broker's dead letters. */
typedef struct celery_dead celery_dead;

/*
 * One dead letter, borrowed from the handle.  The texts come from strangers: they are
 * escaped as in log lines and cut at 255 bytes.
 */
typedef struct celery_dead_entry {
    size_t index;       /* 0 is the oldest; what is parked later does not change it */
    double time;        /* seconds since 1970; 0 when it is not known */
    const char *reason; /* "" when it is not known */
    const char *queue;
    const char *task;    /* NULL: not legible */
    const char *task_id; /* NULL: not legible */
    size_t size;         /* bytes of the message */
    const void *message; /* the bytes as they came, never NULL; RabbitMQ: of the body */
    size_t message_size; /* how many of them are here: all, unless size is over 32 MiB */
} celery_dead_entry;

/*
 * Connects to the app's broker (broker_url and what belongs to it) with CELERY_* read from
 * the environment, and freezes the app, which must outlive the handle.  CELERY_ECONNECT,
 * CELERY_EAUTH, CELERY_ECONFIG; CELERY_ENOTSUP: dead letters of this broker cannot be read.
 */
CELERY_API celery_dead *celery_dead_open(celery_app *app, celery_error *err);
CELERY_API void celery_dead_close(celery_dead *dead);

/* How many letters a queue has. */
CELERY_API celery_status celery_dead_count(celery_dead *dead, const char *queue,
                                           size_t *ret_count, celery_error *err);

/*
 * Calls fn for each queue that has dead letters; names are escaped, in no order.  but for
 * Redis of the queues of the settings.
 */
typedef void (*celery_dead_queue_fn)(void *ctx, const char *queue, size_t count);
CELERY_API celery_status celery_dead_queues(celery_dead *dead, celery_dead_queue_fn fn,
                                            void *ctx, celery_error *err);

/*
 * Calls fn for each letter of a queue, newest first, until it returns false.  fn may replay
 * or remove the entry it is given; that is valid until fn returns.
 */
typedef bool (*celery_dead_fn)(void *ctx, const celery_dead_entry *entry);
CELERY_API celery_status celery_dead_each(celery_dead *dead, const char *queue,
                                          celery_dead_fn fn, void *ctx,
                                          celery_error *err);

/*
 * The letter with an index; the newest one with a task id.  Valid until the next of these two
 * calls.  CELERY_NONE: there is none.
 */
CELERY_API celery_status celery_dead_at(celery_dead *dead, const char *queue,
                                        size_t index, const celery_dead_entry **ret_entry,
                                        celery_error *err);
CELERY_API celery_status celery_dead_find(celery_dead *dead, const char *queue,
                                          const char *task_id,
                                          const celery_dead_entry **ret_entry,
                                          celery_error *err);

/*
 * Moves the message to the head of its queue exactly as it was, or removes it for good, in one
 * step of the broker.  RabbitMQ: to the end of its queue, published and confirmed before the
 * letter is acknowledged: at the worst there are two.  CELERY_NONE: this very entry is not there any more.
 * CELERY_EUNCERTAIN: it may have happened.
 */
CELERY_API celery_status celery_dead_replay(celery_dead *dead,
                                            const celery_dead_entry *entry,
                                            celery_error *err);
CELERY_API celery_status celery_dead_remove(celery_dead *dead,
                                            const celery_dead_entry *entry,
                                            celery_error *err);

/*
 * All of a queue that are there now.  Replayed messages keep their order: the oldest is the
 * first of them in the end.  ret_count (may be NULL) is set also after a failure.
 */
CELERY_API celery_status celery_dead_replay_all(celery_dead *dead, const char *queue,
                                                size_t *ret_count, celery_error *err);
CELERY_API celery_status celery_dead_purge(celery_dead *dead, const char *queue,
                                           size_t *ret_count, celery_error *err);

CELERY_END_DECLS

#endif
