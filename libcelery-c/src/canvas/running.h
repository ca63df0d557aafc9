/* SPDX-License-Identifier: BSD-3-Clause */
/* What a running task may do with its own place in a workflow (celery/app/task.py). */
#ifndef CEL_CANVAS_RUNNING_H
#define CEL_CANVAS_RUNNING_H

#include "canvas/canvas.h"

/*
 * Task.replace(): sig takes the place of the running task, with its id, its callbacks and
 * errbacks, the rest of its chain and its part in a chord; the effects send it.  call has its
 * embed; sig is changed (it is the caller's copy).  CELERY_EINVAL: sig cannot replace a task;
 * CELERY_EMESSAGE: what the request carries is no signature.
 */
celery_status cel_sig_replace(const struct cel_canvas *c, struct cel_arena *a,
                              const struct cel_task_call *call, struct cel_sig *sig,
                              struct cel_effects *effects, celery_error *err);

/*
 * Task.add_to_chord(): sig becomes one more part of the chord that the running task is a part
 * of; the effects count and send it.  CELERY_EINVAL: the task is part of no chord.
 */
celery_status cel_sig_add_to_chord(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call, struct cel_sig *sig,
                                   struct cel_effects *effects,
                                   struct cel_node **ret_result, celery_error *err);

#endif
