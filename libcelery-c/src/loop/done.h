/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CEL_LOOP_DONE_H
#define CEL_LOOP_DONE_H

#include <celery/error.h>
#include <stdint.h>

/*
 * Completion of one operation.  Called exactly once, on the loop's thread, possibly
 * before the call that started the operation returns.  err is NULL on success.
 * fn may be NULL when nobody wants to know.
 */
struct cel_done {
    void (*fn)(void *ctx, const celery_error *err, int64_t answer);
    void *ctx;
};

static inline void cel_done(struct cel_done done, const celery_error *err, int64_t answer)
{
    if (done.fn) {
        done.fn(done.ctx, err, answer);
    }
}

#endif
