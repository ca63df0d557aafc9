/* SPDX-License-Identifier: BSD-3-Clause */
/* One call and its options as a message (celery/app/task.py, app/base.py send_task). */
#ifndef CEL_CANVAS_MESSAGE_H
#define CEL_CANVAS_MESSAGE_H

#include "canvas/canvas.h"

/* Texts are the arena's or the router's, NUL-terminated. */
struct cel_message {
    struct cel_envelope *envelope; /* the caller's to free */
    struct cel_slice id;
    const struct cel_queue *queue; /* to declare */
    const char *exchange;
    const char *routing_key;
    bool ignore_result;
};

/*
 * options: an object with the names of apply_async() and Celery.send_task(), or NULL; what a
 * registered task says of itself is added.  CELERY_EMESSAGE: an option that cannot be read.
 */
celery_status cel_message_make(const struct cel_canvas *c, struct cel_arena *a,
                               struct cel_slice task, const struct cel_node *args,
                               const struct cel_node *kwargs,
                               const struct cel_node *options, struct cel_message *ret,
                               celery_error *err);

#endif
