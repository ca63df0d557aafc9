/* SPDX-License-Identifier: BSD-3-Clause */
/* Which member holds which job: shared by crew.c and crew_input.c. */
#ifndef CEL_POOL_CREW_HOLD_H
#define CEL_POOL_CREW_HOLD_H

#include "pool/crew.h"

/* Lies in cel_job.pool_data. */
struct cel_seat {
    struct cel_list node; /* in crew.waiting */
    struct cel_member *member;
    uint32_t seq;
    uint32_t accepted;
};
_Static_assert(sizeof(struct cel_seat) <= sizeof(((struct cel_job *)0)->pool_data),
               "a seat fits in pool_data");

static inline struct cel_seat *cel_seat_of(struct cel_job *job)
{
    return (struct cel_seat *)(void *)job->pool_data;
}

static inline struct cel_job *cel_seat_job(struct cel_list *node)
{
    return cel_container_of(node, struct cel_job, pool_data);
}

static inline struct cel_job **cel_member_place(struct cel_member *m, uint32_t seq)
{
    return &m->jobs[seq % CEL_BOARD_RING];
}

/* The oldest job it holds, which it runs or is about to; NULL: it holds none. */
static inline struct cel_job *cel_member_head(struct cel_member *m)
{
    return m->held > 0 ? *cel_member_place(m, m->first) : NULL;
}

void cel_hold_stop_waiting(struct cel_crew *c, struct cel_job *job);

/* The member has nothing more to do with the job. */
void cel_hold_let_go(struct cel_member *m, uint32_t seq);

/* Takes back what the member has not started, but for its head if keep_head. */
void cel_hold_take_back(struct cel_member *m, bool keep_head);

/* Tells accepted(), if it was not told before. */
void cel_hold_accept(struct cel_member *m, struct cel_job *job);

/* The clock starts when a job comes to the head of its member. */
void cel_hold_start_head(struct cel_member *m);

#endif
