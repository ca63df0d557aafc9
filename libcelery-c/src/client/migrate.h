/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of migration share. */
#ifndef CEL_CLIENT_MIGRATE_H
#define CEL_CLIENT_MIGRATE_H

#include "client/broker.h"
#include <celery/queue.h>

/* A queue of the source and its name at the destination. */
struct cel_migrate_queue {
    const struct cel_queue *from;
    const char *to;
};

/* What goes back to the source; the transport needs its envelope until then. */
struct cel_migrate_kept {
    uint64_t tag;
    struct cel_envelope *envelope;
};

struct cel_migrate {
    const celery_app *app;
    const celery_migration *what;
    struct cel_loop *loop;
    struct cel_router *router;
    struct cel_arena arena;
    struct cel_broker source;
    struct cel_broker destination;
    struct cel_migrate_queue *queues;
    size_t n_queues;
    struct cel_map tasks; /* names, to anything; empty: all */

    celery_migrated now;
    size_t started; /* messages given to the destination */
    size_t flying; /* that it has not confirmed, or whose acknowledgement has not ended */
    double last;   /* loop time of the latest message, or of the start */
    bool stopping; /* nothing more is begun */
    struct cel_migrate_kept *kept; /* oldest first */
    size_t kept_bytes;
    size_t n_kept;
    size_t cap_kept;
    celery_error err; /* the first one */
};

/* migrate_flow.c: moves until the end, then gives back what is to be given back. */
celery_status cel_migrate_flow(struct cel_migrate *m, celery_error *err);

/* The slot of the source. */
void cel_migrate_delivered(void *migrate, struct cel_delivery *give_delivery);

#endif
