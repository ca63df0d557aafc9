/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending messages, and finding the queues of an exchange. */
#ifndef CEL_TRANSPORT_REDIS_PUBLISH_H
#define CEL_TRANSPORT_REDIS_PUBLISH_H

#include "transport/redis_state.h"

/* The slots of the interface. */
void cel_redis_publish(struct cel_transport *t, const char *exchange,
                       const char *routing_key, const struct cel_envelope *envelope,
                       struct cel_done done);
celery_status cel_redis_place(struct cel_transport *t, const char *exchange,
                              const char *routing_key,
                              const struct cel_envelope *envelope,
                              struct cel_buf *ret_key, struct cel_buf *ret_text);

/* ---- redis_route.c ---- */

/*
 * The type is what this side declared (true); kombu takes an unknown exchange for direct.
 */
bool cel_redis_exchange_type(const struct cel_redis_transport *r,
                             struct cel_slice exchange, enum cel_exchange_type *ret);

/* queues[n]: without doubles, borrowed for the call; or err. */
typedef void (*cel_redis_route_fn)(void *ctx, const struct cel_slice *queues, size_t n,
                                   const celery_error *err);

/*
 * The queues a message of this exchange and key reaches.  The default exchange is answered
 * from inside the call, others by their binding set; texts are copied.
 */
void cel_redis_route(struct cel_redis_transport *r, struct cel_slice exchange,
                     struct cel_slice routing_key, cel_redis_route_fn fn, void *ctx);

/* The slot of the interface: what lies in the exchange's set. */
void cel_redis_bindings(struct cel_transport *t, const char *exchange, cel_binding_fn fn,
                        void *ctx, struct cel_done done);

/* ---- redis_queue.c: slots of the interface ---- */

void cel_redis_declare(struct cel_transport *t, const struct cel_queue *q,
                       struct cel_done done);
void cel_redis_purge(struct cel_transport *t, const char *queue, struct cel_done done);
void cel_redis_delete_queue(struct cel_transport *t, const char *queue,
                            struct cel_done done);
void cel_redis_count(struct cel_transport *t, const char *queue, struct cel_done done);
void cel_redis_bury(struct cel_transport *t, const char *queue,
                    const struct cel_envelope *envelope, const char *reason,
                    struct cel_done done);

#endif
