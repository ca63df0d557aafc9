/* SPDX-License-Identifier: BSD-3-Clause */
/* What a dead letter says of itself, where its queue is read as any other. */
#ifndef CEL_TRANSPORT_DEAD_LETTER_H
#define CEL_TRANSPORT_DEAD_LETTER_H

#include "message/envelope.h"

#define CEL_DEAD_SUFFIX ".celery-c.dead"

/* On SQS, for tools: the target of the redrive policy of the queue before it. */
#define CEL_REDRIVE_SUFFIX ".celery-c.redrive"

/* Headers: why, when (seconds since 1970), and which queue it was in. */
#define CEL_DEAD_REASON "x-celery-c-dead-reason"
#define CEL_DEAD_TIME   "x-celery-c-dead-time"
#define CEL_DEAD_QUEUE  "x-celery-c-dead-queue"

/* True for the names of queues of dead letters, "celery.celery-c.dead", also with ".fifo". */
bool cel_dead_is(const char *queue);

/*
 * Puts reason, time and queue among the envelope's headers, which are made if there are none; its
 * raw bytes stay as they came.  CELERY_ENOMEM.
 */
celery_status cel_dead_describe(struct cel_envelope *env, struct cel_slice reason,
                                double time, struct cel_slice queue);

#endif
