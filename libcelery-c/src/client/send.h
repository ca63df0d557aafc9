/* SPDX-License-Identifier: BSD-3-Clause */
/* From a signature to a batch of the outbox, and to the future of what was sent. */
#ifndef CEL_CLIENT_SEND_H
#define CEL_CLIENT_SEND_H

#include "canvas/canvas.h"
#include <celery/client.h>

/* A signature that is about to be sent: its messages, and the tuple of its result. */
struct cel_sending {
    celery_client *client;
    struct cel_arena arena;
    struct cel_effects effects;
    struct cel_node *tuple;
    bool ignored; /* there will be no result */
};

/* Applies the signature; nothing is sent. */
celery_status cel_sending_init(struct cel_sending *ret, celery_client *client,
                               const celery_sig *sig, celery_error *err);
void cel_sending_fini(struct cel_sending *s);

/* Borrowed until fini. */
struct cel_slice cel_sending_id(const struct cel_sending *s);
celery_result *cel_sending_result(const struct cel_sending *s, celery_error *err);

/* The result of a tuple, which is copied. */
celery_result *cel_result_of_tuple(celery_client *client, const struct cel_node *tuple,
                                   celery_error *err);

/* Takes effects, and waits until all of them are confirmed. */
celery_status cel_send_effects(celery_client *client, struct cel_effects *give_effects,
                               celery_error *err);

/* Passes of the loop until the outbox holds less than its ceiling. */
celery_status cel_send_make_room(celery_client *client, celery_error *err);

#endif
