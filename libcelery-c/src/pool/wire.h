/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames between a pool and its members (child processes or threads of the same build on
 * the same machine, so numbers are in native form).  No I/O.
 */
#ifndef CEL_POOL_WIRE_H
#define CEL_POOL_WIRE_H

#include "pool/pool.h"

#define CEL_FRAME_MAX (512u * 1024 * 1024) /* payload of one frame */

enum cel_frame_type {
    CEL_FRAME_JOB = 1, /* to a member */
    CEL_FRAME_UP,      /* from a member: it has started */
    CEL_FRAME_STATE,   /* update_state() */
    CEL_FRAME_DONE,    /* an outcome */
    CEL_FRAME_EFFECTS, /* what a running task sends */
};

struct cel_frame {
    enum cel_frame_type type;
    uint32_t number; /* counts up within one direction of one member */
    struct cel_slice payload;
};

/* A job on its way: seq counts the jobs of one member. */
struct cel_wire_job {
    uint32_t seq;
    bool brief; /* known to be short: results of others may wait for it */
    struct cel_job job;
};

struct cel_wire_state {
    uint32_t seq;
    struct cel_slice state;
    struct cel_slice meta_json;
};

/*
 * Cuts the next frame off *rest.  CELERY_OK; CELERY_NONE: not complete yet; CELERY_EPROTO:
 * these bytes are no frame.
 */
celery_status cel_frame_next(struct cel_slice *rest, struct cel_frame *ret_frame);

/* Writers append one frame; on failure nothing is appended.  CELERY_ENOMEM, CELERY_ELIMIT. */
celery_status cel_wire_write_job(struct cel_buf *out, uint32_t number, uint32_t seq,
                                 bool brief, const struct cel_job *job);
celery_status cel_wire_write_up(struct cel_buf *out, uint32_t number);
celery_status cel_wire_write_state(struct cel_buf *out, uint32_t number,
                                   const struct cel_wire_state *state);
celery_status cel_wire_write_effects(struct cel_buf *out, uint32_t number, uint32_t seq,
                                     struct cel_slice effects);
celery_status cel_wire_write_done(struct cel_buf *out, uint32_t number, uint32_t seq,
                                  const struct cel_outcome *outcome);

/* Readers borrow texts from the payload.  False: not the payload of such a frame. */
bool cel_wire_read_job(const celery_app *app, struct cel_slice payload,
                       struct cel_wire_job *ret_job);
bool cel_wire_read_state(struct cel_slice payload, struct cel_wire_state *ret_state);
bool cel_wire_read_effects(struct cel_slice payload, uint32_t *ret_seq,
                           struct cel_slice *ret_effects);
bool cel_wire_read_done(struct cel_slice payload, uint32_t *ret_seq,
                        struct cel_outcome *ret_outcome);

#endif
