/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows the end of a task: pure functions from a call and its outcome to effects
 * (celery/app/trace.py _dispatch_callbacks_and_chain, celery/backends/base.py
 * mark_as_failure, _fail_chain, _call_task_errbacks, chord_error_from_stack; 5.7.0).
 */
#ifndef CEL_CANVAS_CONTINUE_H
#define CEL_CANVAS_CONTINUE_H

#include "canvas/canvas.h"

/* Whether a call carries anything that this file would have to look at. */
bool cel_continue_needed(const struct cel_task_call *call);

/* Whether it carries a chord that it is a part of. */
bool cel_continue_is_part(const struct cel_task_call *call);

/*
 * Callbacks and the next step of the chain, to be published before SUCCESS is stored; each adds
 * a CHILD.  call has its embed; result: the return value; priority: to be inherited
 * (task_inherit_parent_priority), or -1.  CELERY_EMESSAGE: a signature is none: the task
 * fails with that text.
 */
celery_status cel_continue_success(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call,
                                   const struct cel_node *result, int priority,
                                   struct cel_effects *effects, celery_error *err);

/* An exception as results have it; args_json is a JSON array. */
struct cel_continue_exc {
    struct cel_slice type;
    struct cel_slice module;
    struct cel_slice args_json;
    struct cel_slice traceback; /* {NULL, 0}: none */
};

/* A failure that is not the failed task's own: a later step of its chain, or a chord's body. */
struct cel_continue_copy {
    struct cel_slice task_id; /* store FAILURE under it; empty: only the chord part */
    struct cel_slice group_id;
    struct cel_slice parent_id;
    int64_t group_index;          /* -1: none */
    const struct cel_node *chord; /* it was a part of this chord; or NULL */
    bool bare;                    /* stored without a traceback */
    /*
     * Of a chord's body: its document lists the children of the task that was the last part,
     * and these (result tuples as JSON, separated): the errbacks by then.
     */
    bool trail;
    struct cel_slice children;
    bool original; /* with the part's exception, not with ChordError */
};

/* Copies in the order in which they are to be stored. */
struct cel_continue_copies {
    struct cel_continue_copy *items; /* in the arena */
    size_t n, cap;
};

/*
 * After FAILURE is stored: the copies for what waits behind the task, and the messages of its
 * errbacks.  Parts that cannot be read are skipped, and named in err with CELERY_OK as
 * result, because nothing may stop the others.
 */
celery_status cel_continue_failure(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call,
                                   const struct cel_continue_exc *exc,
                                   struct cel_effects *effects,
                                   struct cel_continue_copies *copies, celery_error *err);

/*
 * All parts of a chord are in: its body is applied to their results (a list).  last: the task
 * that was the last part, from which the body takes ids and priority that it has not.
 */
celery_status cel_continue_chord(const struct cel_canvas *c, struct cel_arena *a,
                                 const struct cel_task_call *last,
                                 const struct cel_node *body,
                                 const struct cel_node *results, int priority,
                                 struct cel_effects *effects, celery_error *err);

/*
 * A part of a chord failed: FAILURE for the body (copies: every id that waits for it) and its
 * errbacks.  exc: the ChordError; original: what the part raised, or NULL; last: the task
 * that was the last part.  Skips as cel_continue_failure().
 */
celery_status cel_continue_chord_error(
    const struct cel_canvas *c, struct cel_arena *a, const struct cel_task_call *last,
    const struct cel_node *body, const struct cel_continue_exc *exc,
    const struct cel_continue_exc *original, struct cel_effects *effects,
    struct cel_continue_copies *copies, celery_error *err);

#endif
