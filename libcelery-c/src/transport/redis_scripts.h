/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What runs inside Redis.  A message is at no instant neither queued nor held, and nothing is
 * settled by someone who does not hold it: each script does its whole step at once.
 *
 * A delivery is held by a pair: its field in `unacked` (normally the delivery tag) and the
 * score of that field in `unacked_index`.  Scores of this library are unique: the hash
 * <unacked>.celery-c.held names the worker of each.
 */
#ifndef CEL_TRANSPORT_REDIS_SCRIPTS_H
#define CEL_TRANSPORT_REDIS_SCRIPTS_H

#include "net/redis_conn.h"

struct cel_redis_scripts {
    struct cel_redis_script claim;
    struct cel_redis_script take;
    struct cel_redis_script settle;
    struct cel_redis_script move;
    struct cel_redis_script park;
    struct cel_redis_script lay;
    struct cel_redis_script defer;
    struct cel_redis_script start;
    struct cel_redis_script renew;
    struct cel_redis_script orphans;
    struct cel_redis_script fetch;
};

void cel_redis_scripts_init(struct cel_redis_scripts *s);

#endif
