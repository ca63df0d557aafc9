/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Native delayed delivery (kombu/transport/native_delayed_delivery.py): a message with N
 * seconds to wait passes the queues of the bits that are set in N, 2^27 to 2^0 seconds each,
 * and comes out at one exchange which all delayed queues' exchanges are bound to.
 */
#ifndef CEL_MESSAGE_DELAYED_H
#define CEL_MESSAGE_DELAYED_H

#include "message/queue.h"

#define CEL_DELAYED_LEVELS 28

/* Where delayed messages are published, and where they come out. */
#define CEL_DELAYED_ENTRY    "celery_delayed_27"
#define CEL_DELAYED_DELIVERY "celery_delayed_delivery"

/* Longest wait, seconds: 8.5 years.  Longer ones are cut to it; the ETA does the rest. */
#define CEL_DELAYED_MAX (((int64_t)1 << CEL_DELAYED_LEVELS) - 1)

/*
 * All exchanges, queues and bindings of the levels (declare_native_delayed_delivery_exchanges_
 * and_queues) for queue_type "quorum" or "classic"; texts and arguments are the arena's.
 */
celery_status cel_delayed_steps(struct cel_arena *a, const char *queue_type,
                                struct cel_queue_step **ret_steps, size_t *ret_n,
                                celery_error *err);

/*
 * The bindings that bring delayed messages to a queue (bind_queue_to_native_delayed_delivery_
 * exchange).  Exchanges that match routing keys to the letter cannot take part and are left
 * out; *ret_direct is the name of the first of these, or NULL.
 */
celery_status cel_delayed_bind_steps(struct cel_arena *a, const struct cel_queue *q,
                                     struct cel_queue_step **ret_steps, size_t *ret_n,
                                     const char **ret_direct, celery_error *err);

/* What stands in a log for ret_direct, as upstream says it (size 300 is enough). */
void cel_delayed_direct_text(const char *exchange, char *text, size_t size);

/*
 * The routing key for CEL_DELAYED_ENTRY of a message that waits and then goes to
 * routing_key (calculate_routing_key); a key that was delayed before is not delayed twice.
 * NULL with no error: under a second, or no key: publish as always.  NUL-terminated.
 */
celery_status cel_delayed_key(struct cel_arena *a, double countdown,
                              struct cel_slice routing_key, char **ret_key,
                              celery_error *err);

/*
 * A message that a worker of ours gives back until its time waits in the levels, too, and then
 * goes to its queue alone: by a key of our own, which the queue is bound with.  It could reach
 * others by the key that it was sent with.
 */
#define CEL_DELAYED_BACK "celery-c.back."

/* True if there can be such a key: names that fit, without a topic's wildcards. */
bool cel_delayed_can_return(const char *queue);

/* The queue that a key (without bits) of that kind names; empty: it is none. */
struct cel_slice cel_delayed_returns_to(struct cel_slice key);

/* The binding of such a queue to CEL_DELAYED_DELIVERY; texts are the arena's. */
celery_status cel_delayed_return_step(struct cel_arena *a, const char *queue,
                                      struct cel_queue_step *ret_step, celery_error *err);

/* The key for CEL_DELAYED_ENTRY of a message that is back after so many seconds (1 or more). */
celery_status cel_delayed_return_key(struct cel_arena *a, double seconds,
                                     const char *queue, char **ret_key,
                                     celery_error *err);

/* A routing key without the bits of an earlier delay. */
struct cel_slice cel_delayed_strip(struct cel_slice routing_key);

#endif
