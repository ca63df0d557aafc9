/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of several URLs is tried next (kombu/connection.py failover_strategies). */
#ifndef CEL_NET_FAILOVER_H
#define CEL_NET_FAILOVER_H

#include <stdbool.h>
#include <stddef.h>

struct cel_failover {
    size_t n;     /* URLs, at least one */
    size_t at;    /* the one in use */
    size_t tried; /* that failed, since the last success or the last full round */
    bool shuffle; /* by chance; otherwise round-robin */
};

/* strategy: broker_failover_strategy; NULL: round-robin.  A shuffle begins anywhere. */
void cel_failover_init(struct cel_failover *f, size_t n, const char *strategy);

/* The one in use failed.  True: as many failed as there are; time to wait. */
bool cel_failover_next(struct cel_failover *f);

/* The one in use works. */
void cel_failover_works(struct cel_failover *f);

#endif
