/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries of dead-letter lists: one line of JSON, a newline, the message's bytes. */
#ifndef CEL_TRANSPORT_REDIS_DEAD_H
#define CEL_TRANSPORT_REDIS_DEAD_H

#include "codec/doc.h"

/* {"reason": ..., "time": seconds since 1970, "queue": ...} and the bytes. */
celery_status cel_redis_dead_write(struct cel_buf *out, struct cel_slice reason,
                                   struct cel_slice queue, struct cel_slice raw);

struct cel_redis_dead {
    struct cel_slice reason; /* in the arena it was read into */
    struct cel_slice queue;
    double time;
    struct cel_slice raw; /* part of the entry */
};

/* False for what was not written by the above; raw is the whole entry then. */
bool cel_redis_dead_read(struct cel_arena *a, struct cel_slice entry,
                         struct cel_redis_dead *ret);

#endif
