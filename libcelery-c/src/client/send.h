/* SPDX-License-Identifier: BSD-3-Clause */
/* From a signature to a batch of the outbox, and to the future of what was sent. */
#ifndef CEL_CLIENT_SEND_H
#define CEL_CLIENT_SEND_H

#include "canvas/effects.h"
#include <celery/client.h>

/* A signature that is about to be sent: its messages, and the result they will have. */
struct cel_sending {
    struct cel_effects effects;
    celery_result *result;
};

/*
 * Applies the signature; nothing is sent, and afterwards nothing is left that could fail but the
 * sending.  with_result: fills ret->result.
 */
celery_status cel_sending_init(struct cel_sending *ret, celery_client *client,
                               const celery_sig *sig, celery_error *err);
void cel_sending_fini(struct cel_sending *s);

/* Takes effects, and waits until all of them are confirmed. */
celery_status cel_send_effects(celery_client *client, struct cel_effects *give_effects,
                               celery_error *err);

/* Passes of the loop until the outbox holds less than its ceiling. */
celery_status cel_send_make_room(celery_client *client, celery_error *err);

#endif
