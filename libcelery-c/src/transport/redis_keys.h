/* SPDX-License-Identifier: BSD-3-Clause */
/* Names in Redis, as kombu/transport/redis.py makes them, and our own beside them. */
#ifndef CEL_TRANSPORT_REDIS_KEYS_H
#define CEL_TRANSPORT_REDIS_KEYS_H

#include "base/buf.h"

enum { CEL_REDIS_MAX_STEPS = 10 };

/* All of them as they are sent: with global_keyprefix in front. */
struct cel_redis_keys {
    char *prefix;        /* global_keyprefix */
    char *sep;           /* "\x06\x16" */
    char *unacked;       /* hash: delivery tag -> [message, exchange, routing key] */
    char *unacked_index; /* sorted set: delivery tag by time */
    char *unacked_mutex;
    char *held;   /* hash: score -> worker; <unacked>.celery-c.held */
    char *leases; /* <unacked>.celery-c.lease. ; the worker's id follows */
    char *starts; /* <unacked>.celery-c.starts. ; the field in unacked follows */
    char *fanout; /* "/0." without global_keyprefix, or "" */
    bool fanout_patterns;
    int steps[CEL_REDIS_MAX_STEPS]; /* ascending, the first is 0 */
    size_t n_steps;
};

void cel_redis_keys_fini(struct cel_redis_keys *k);

/* The priority step of a message: the largest one not over its priority (0..9). */
size_t cel_redis_step(const struct cel_redis_keys *k, int priority);

/* New texts (cel_free), NULL when out of memory. */
char *cel_redis_queue_key(const struct cel_redis_keys *k, struct cel_slice queue,
                          size_t step);
char *cel_redis_dead_key(const struct cel_redis_keys *k, struct cel_slice queue);
char *cel_redis_binding_key(const struct cel_redis_keys *k, struct cel_slice exchange);
char *cel_redis_lease_key(const struct cel_redis_keys *k, const char *worker);
char *cel_redis_starts_key(const struct cel_redis_keys *k, const char *field);

/* The pub/sub channel a fanout exchange publishes on; pattern: what a listener asks for. */
char *cel_redis_channel(const struct cel_redis_keys *k, struct cel_slice exchange,
                        struct cel_slice routing_key, bool pattern);

/* The exchange and routing key of a channel a broadcast came on; false: not one of ours. */
bool cel_redis_channel_split(const struct cel_redis_keys *k, struct cel_slice channel,
                             struct cel_slice *ret_exchange,
                             struct cel_slice *ret_routing_key);

/* A member of a binding set: "<routing key>SEP<pattern>SEP<queue>". */
celery_status cel_redis_member_write(struct cel_buf *out, const struct cel_redis_keys *k,
                                     struct cel_slice routing_key,
                                     struct cel_slice pattern, struct cel_slice queue);
bool cel_redis_member_split(const struct cel_redis_keys *k, struct cel_slice member,
                            struct cel_slice *ret_routing_key,
                            struct cel_slice *ret_queue);

#endif
