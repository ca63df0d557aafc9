/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hands jobs to members (children or threads), each of which runs one at a time and reads
 * ahead only behind short ones; takes back what waits behind a slow one.  Owns the order
 * of events.  How frames reach a member is the business of prefork.c and threads.c.
 */
#ifndef CEL_POOL_CREW_H
#define CEL_POOL_CREW_H

#include "base/list.h"
#include "pool/board.h"
#include "pool/limits.h"
#include "pool/pace.h"
#include "pool/pool.h"
#include "pool/wire.h"

struct cel_crew;

struct cel_member {
    struct cel_crew *crew;
    struct cel_board *board;
    unsigned index;
    int pid;                  /* 0: this process */
    char name[CEL_POOL_NAME]; /* of that process; empty: this one */
    bool up;                  /* takes jobs */
    bool leaving;             /* gets no more jobs, and is dismissed when it holds none */
    bool brief;               /* all it holds is known to be short */
    bool doomed;      /* signalled by kill(): gets no more jobs while that one runs */
    uint32_t first;   /* seq of the oldest job it holds, or next */
    uint32_t next;    /* seq of the next job it gets */
    uint32_t stalled; /* first, a tick ago */
    unsigned held;
    size_t held_bytes;
    unsigned long given; /* jobs in its life */
    uint32_t number_in;  /* of the last frame it sent */
    uint32_t number_out;
    struct cel_limit limit;
    struct cel_buf out; /* frames to be sent */
    struct cel_job *jobs[CEL_BOARD_RING];
};

/* All are called on the loop's thread. */
struct cel_crew_ops {
    /* Sends what is in m->out; what cannot go now stays and goes later. */
    void (*send)(struct cel_member *m);
    /* Brings in (cel_crew_input) what the member has finished and not told yet. */
    void (*harvest)(struct cel_member *m);
    /* The board says that job seq should stop: make a waiting system call return. */
    void (*nudge)(struct cel_member *m, uint32_t seq);
    /* Its running job overran its hard limit; all others were taken back. */
    void (*overdue)(struct cel_member *m, struct cel_job *job, uint32_t seq);
    /* It holds nothing and is leaving: end it. */
    void (*dismiss)(struct cel_member *m);
};

struct cel_crew {
    struct cel_pool *pool;
    const struct cel_crew_ops *ops;
    struct cel_member **members;
    unsigned n_members;
    unsigned seats; /* members that take part in room() */
    struct cel_list waiting;
    unsigned n_waiting;
    unsigned held;   /* by all members */
    unsigned ahead;  /* jobs a member may hold, by the last task that ended */
    unsigned cursor; /* member that gets the next job */
    bool ticking;
    bool room_news;
    bool stopped;
    struct cel_pace pace;
    struct cel_limits limits;
    struct cel_source *hook;
    struct cel_source *tick;
};

celery_status cel_crew_init(struct cel_crew *c, struct cel_pool *pool,
                            const struct cel_crew_ops *ops, celery_error *err);
void cel_crew_fini(struct cel_crew *c);

/* Slots of cel_pool_ops. */
celery_status cel_crew_submit(struct cel_crew *c, struct cel_job *job);
unsigned cel_crew_room(const struct cel_crew *c);
bool cel_crew_idle(const struct cel_crew *c);
celery_status cel_crew_recall(struct cel_crew *c, struct cel_job *job);
void cel_crew_interrupt(struct cel_crew *c, struct cel_job *job);

/*
 * Before an accepted job is killed by a signal: the member that runs it, with all that
 * waited behind it taken back and none to follow.  NULL: it had not begun, and lost() has
 * been told as if the signal had hit it.
 */
struct cel_member *cel_crew_single_out(struct cel_crew *c, struct cel_job *job,
                                       int signo);

/* ---- the life of a member ---- */

/* Before it is started (again). */
void cel_crew_reset_member(struct cel_member *m);

/*
 * Frames from it; what is complete is cut off *rest.  Frames that were brought in before are
 * skipped.  CELERY_NONE: stopped before a frame whose predecessors are still on their way by
 * another road; CELERY_EPROTO: it talks nonsense.
 */
celery_status cel_crew_input(struct cel_member *m, struct cel_slice *rest);

/* It gets no more jobs; what it has not started goes to others.  Dismissed when idle. */
void cel_crew_leave(struct cel_member *m);

/*
 * It is dead: its running job is lost, what it had not started goes to others.  All that
 * it has sent must have been brought in before.
 */
void cel_crew_gone(struct cel_member *m, int wait_status, bool timed_out);

/* Job seq is lost though the member lives: a thread cannot be killed. */
void cel_crew_give_up(struct cel_member *m, uint32_t seq);

/* The same for cel_pool_ops.abandon(). */
celery_status cel_crew_abandon(struct cel_crew *c, struct cel_job *job);

/* Jobs are handed out, and frames sent, at the end of this pass; or a moment later. */
void cel_crew_wake(struct cel_crew *c);
void cel_crew_again(struct cel_crew *c);

#endif
