/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of chords (celery/backends/redis.py on_chord_part_return). */
#ifndef CEL_WORKER_CHORD_H
#define CEL_WORKER_CHORD_H

#include "worker/follow.h"

/* A part that has ended; borrowed until done. */
struct cel_chord_end {
    struct cel_slice task_id;
    struct cel_slice group_id;
    int64_t group_index; /* -1: none */
    struct cel_slice state;
    struct cel_slice result_json;
    const struct cel_node *body; /* NULL: the chord of the request's own call */
};

/*
 * Counts it.  When it is the last one, a claim is added to r->follow, with the messages of the
 * body, or (a part has failed) with those of its errbacks, and then with ends.
 */
void cel_chord_return(struct cel_request *r, const struct cel_chord_end *end,
                      struct cel_carry_done done);

/* Sends what the first claim has, and ends its chord. */
void cel_chord_settle(struct cel_request *r, struct cel_carry_done done);

#endif
