/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carries out a list of effects: all notes are confirmed by the backend, then all messages by
 * the broker, as many at a time as they take.
 */
#ifndef CEL_WORKER_CARRY_H
#define CEL_WORKER_CARRY_H

#include "canvas/effects.h"
#include "worker/worker.h"

struct cel_request;

struct cel_carry;

struct cel_carry_done {
    /* err NULL: everything is confirmed.  May be called before cel_carry_start() returns. */
    void (*fn)(void *ctx, const celery_error *err);
    void *ctx;
};

/*
 * Copies the list.  children (may be NULL): where the CHILD entries are appended at once,
 * separated by ", ".  Ends by itself, whatever becomes of broker and backend.
 */
void cel_carry_start(struct celery_worker *w, struct cel_slice effects,
                     struct cel_buf *children, struct cel_carry_done done);

/* The same with what the end of r brings about, of which a step may be run at once. */
void cel_carry_follow(const struct cel_request *r, struct cel_buf *children,
                      struct cel_carry_done done);

#endif
