/* SPDX-License-Identifier: BSD-3-Clause */
/* Several commands with one completion. */
#ifndef CEL_TRANSPORT_REDIS_SEVERAL_H
#define CEL_TRANSPORT_REDIS_SEVERAL_H

#include "transport/redis_state.h"

struct cel_redis_several {
    struct cel_redis_transport *r;
    struct cel_done done;
    const char *what;
    size_t left;
    int64_t sum; /* of the answers */
    celery_error err;
};

/* With one command left, to be ended by the caller.  NULL: no memory, done was told. */
struct cel_redis_several *cel_redis_several_new(struct cel_redis_transport *r,
                                                const char *what, struct cel_done done);

/* Sends r->args as one of them. */
void cel_redis_several_send(struct cel_redis_several *s);

void cel_redis_several_end(struct cel_redis_several *s);

/* True when there is no connection: done has been told. */
bool cel_redis_closed(struct cel_redis_transport *r, struct cel_done done);

void cel_redis_done_nomem(struct cel_done done);

#endif
