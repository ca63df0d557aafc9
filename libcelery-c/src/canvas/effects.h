/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What applying a signature, or the end of a task, brings about: messages to publish and
 * notes to leave at the result backend.  A list of plain data, made without any I/O (in a child,
 * in a thread, in a client) and carried out by whoever owns the connections: a client at once, a
 * worker as part of the request's report.
 *
 * Order: all notes (everything but PUBLISH) are confirmed by the backend before the first
 * message is published; messages are published in the order of the list.  That is stricter than
 * celery/canvas.py group._apply_tasks, which sets the chord's size just before its last part.
 */
#ifndef CEL_CANVAS_EFFECTS_H
#define CEL_CANVAS_EFFECTS_H

#include "base/buf.h"
#include "codec/doc.h"
#include "message/envelope.h"

enum cel_effect_kind {
    CEL_EFFECT_PUBLISH = 1, /* a message */
    CEL_EFFECT_CHORD_SIZE,  /* Backend.set_chord_size(id, number) */
    CEL_EFFECT_SAVE_GROUP, /* Backend.save_group(id, json): [[gid, parent], [child ...]] */
    CEL_EFFECT_CHORD_GROW, /* Backend.add_to_chord(id): one more part (INCR .t) */
    CEL_EFFECT_CHILD, /* a child of the running task: its result tuple as JSON text */
    CEL_EFFECT_EVENT, /* an event, tried once: type and members as cel_event_text() writes */
};

/* One entry; texts are borrowed from the list (reading) or from the caller (adding). */
struct cel_effect {
    enum cel_effect_kind kind;
    struct cel_slice id;    /* group id; PUBLISH: task id; EVENT: type */
    int64_t number;         /* CHORD_SIZE; PUBLISH: priority */
    struct cel_slice json;  /* SAVE_GROUP, CHILD: JSON text; PUBLISH: kombu's envelope */
    struct cel_slice queue; /* PUBLISH: the queue to declare; empty: none */
    struct cel_slice exchange;    /* PUBLISH */
    struct cel_slice routing_key; /* PUBLISH */
};

/* The list as bytes: it crosses from a child to its worker as it is. */
struct cel_effects {
    struct cel_buf bytes;
    size_t n;
};

/* CELERY_ENOMEM, or CELERY_ELIMIT at the ceiling of bytes.max. */
celery_status cel_effects_add(struct cel_effects *list, const struct cel_effect *effect);

/* PUBLISH of an envelope, which stays the caller's. */
celery_status cel_effects_publish(struct cel_effects *list, struct cel_slice id,
                                  const struct cel_envelope *envelope,
                                  struct cel_slice queue, struct cel_slice exchange,
                                  struct cel_slice routing_key);

/*
 * EVENT task-sent of the message that was added before (task_send_sent_event).  queue: {NULL, 0}:
 * it is the routing key, or with an exchange none is known.
 */
celery_status cel_effects_sent(struct cel_effects *list,
                               const struct cel_envelope *envelope,
                               struct cel_slice queue, struct cel_slice exchange,
                               struct cel_slice routing_key);

/*
 * The first or next entry; total, because bytes may come from a child that went wrong.  True with
 * *ret; false at the end; *ret_bad (may be NULL) is set when the bytes are no list.
 */
bool cel_effects_next(struct cel_slice *rest, struct cel_effect *ret, bool *ret_bad);

void cel_effects_clear(struct cel_effects *list);
void cel_effects_fini(struct cel_effects *list);

#endif
