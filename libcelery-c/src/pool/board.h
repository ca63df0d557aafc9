/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a pool and one of its members both write: who may run which job, and whether the
 * running one should stop.  Lies in shared memory for children; lock-free, so that a
 * member may be killed at any instruction.
 */
#ifndef CEL_POOL_BOARD_H
#define CEL_POOL_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CEL_BOARD_RING 128 /* jobs between the newest given and the oldest not passed */

/* What became of a job that was given to the member, by its seq. */
enum cel_claim {
    CEL_CLAIM_WAITING, /* whoever changes this first has it */
    CEL_CLAIM_RUNNING, /* the member took it */
    CEL_CLAIM_ENDED,   /* its function returned */
    CEL_CLAIM_BACK,    /* the pool took it back: the member skips it */
};

struct cel_board {
    _Atomic uint64_t stop;   /* seq << 8 | enum cel_stop bits; written by the pool */
    _Atomic uint32_t passed; /* seq of the last job the member ran or skipped */
    _Atomic uint8_t claims[CEL_BOARD_RING];
};

/* ---- the pool ---- */

/* A fresh member.  seq: of the job before the first. */
static inline void cel_board_reset(struct cel_board *b, uint32_t seq)
{
    atomic_store(&b->stop, 0);
    atomic_store(&b->passed, seq);
}

/* Before the job's frame is sent. */
static inline void cel_board_give(struct cel_board *b, uint32_t seq)
{
    atomic_store_explicit(&b->claims[seq % CEL_BOARD_RING], CEL_CLAIM_WAITING,
                          memory_order_release);
}

/* True: the member will never run it. */
static inline bool cel_board_take_back(struct cel_board *b, uint32_t seq)
{
    uint8_t waiting = CEL_CLAIM_WAITING;
    return atomic_compare_exchange_strong(&b->claims[seq % CEL_BOARD_RING], &waiting,
                                          CEL_CLAIM_BACK);
}

static inline enum cel_claim cel_board_claim_of(struct cel_board *b, uint32_t seq)
{
    return (enum cel_claim)atomic_load(&b->claims[seq % CEL_BOARD_RING]);
}

static inline void cel_board_ask_stop(struct cel_board *b, uint32_t seq, unsigned why)
{
    uint64_t now = atomic_load_explicit(&b->stop, memory_order_relaxed);
    uint64_t bits = (uint32_t)(now >> 8) == seq ? (now & 0xff) : 0;
    atomic_store(&b->stop, (uint64_t)seq << 8 | bits | why);
}

/* ---- the member ---- */

/* True: the job is the member's, and runs. */
static inline bool cel_board_claim(struct cel_board *b, uint32_t seq)
{
    uint8_t waiting = CEL_CLAIM_WAITING;
    bool mine = atomic_compare_exchange_strong(&b->claims[seq % CEL_BOARD_RING], &waiting,
                                               CEL_CLAIM_RUNNING);
    atomic_store_explicit(&b->passed, seq, memory_order_release);
    return mine;
}

static inline void cel_board_end(struct cel_board *b, uint32_t seq)
{
    atomic_store_explicit(&b->claims[seq % CEL_BOARD_RING], CEL_CLAIM_ENDED,
                          memory_order_release);
}

/* enum cel_stop bits for the job; async-signal-safe. */
static inline unsigned cel_board_stopping(struct cel_board *b, uint32_t seq)
{
    uint64_t now = atomic_load_explicit(&b->stop, memory_order_relaxed);
    return (uint32_t)(now >> 8) == seq ? (unsigned)(now & 0xff) : 0;
}

#endif
