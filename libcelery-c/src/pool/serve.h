/* SPDX-License-Identifier: BSD-3-Clause */
/* The side of a member that runs jobs: the same loop in a child and in a thread. */
#ifndef CEL_POOL_SERVE_H
#define CEL_POOL_SERVE_H

#include "pool/board.h"
#include "pool/run_task.h"
#include "pool/wire.h"

struct cel_serve_io {
    void *ctx;
    /* Waits for frames and appends them to in.  False: there will be none any more. */
    bool (*fill)(void *ctx, struct cel_buf *in);
    /*
     * Keeps finished frames where they survive the death of the member, and empties out.
     * They are sent with the next flush(), or when room is short.
     */
    void (*put)(void *ctx, struct cel_buf *out);
    void (*flush)(void *ctx);
};

struct cel_serve {
    const struct cel_pool_options *options;
    struct cel_serve_io io;
    struct cel_board *board;
    struct cel_runner *runner;
    struct cel_buf in;
    struct cel_buf out;
    uint32_t number;       /* of the last frame sent */
    volatile uint32_t seq; /* the running job; also read by the signal handler */
    unsigned unsent;       /* outcomes since the last flush */
    bool full;             /* grew over max_memory_per_child: takes no more jobs */
    double unsent_time;    /* seconds they took to make */
};

celery_status cel_serve_init(struct cel_serve *s, const struct cel_pool_options *options,
                             struct cel_board *board, const struct cel_serve_io *io);
void cel_serve_fini(struct cel_serve *s);

/* Runs jobs until fill() says that there are no more.  False: it was sent nonsense. */
bool cel_serve_run(struct cel_serve *s);

/* For the signal handler: tells the running task if its soft limit has passed. */
void cel_serve_nudge(struct cel_serve *s);

#endif
