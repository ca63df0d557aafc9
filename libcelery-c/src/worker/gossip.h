/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listening to the events of other workers (celery/worker/consumer/gossip.py): who is there, how
 * late their clocks are, and elections, by which one worker of all does something.
 */
#ifndef CEL_WORKER_GOSSIP_H
#define CEL_WORKER_GOSSIP_H

#include "worker/worker.h"

struct cel_gossip;

/* The link has not started.  *ret_gossip: NULL when it is off; the calls below take that. */
celery_status cel_gossip_new(struct celery_worker *w, struct cel_gossip **ret_gossip,
                             celery_error *err);
struct cel_gossip *cel_gossip_free(struct cel_gossip *gossip);

/*
 * Gossip.election(): stands for it.  Of all who do, the one with the lowest clock, and of these
 * the one whose "node.pid" is first, acts: topic "task" sends the signature action.
 */
void cel_gossip_election(struct cel_gossip *gossip, struct cel_slice id,
                         struct cel_slice topic, const struct cel_node *action);

/* Other workers that are alive. */
size_t cel_gossip_neighbors(const struct cel_gossip *gossip);

#endif
