/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of queues at SQS (kombu/transport/SQS.py Channel.entity_name). */
#ifndef CEL_TRANSPORT_SQS_NAME_H
#define CEL_TRANSPORT_SQS_NAME_H

#include "base/slice.h"

/*
 * prefix and name as SQS has them: "." becomes "-", other punctuation but "-" and "_" becomes
 * "_"; ".fifo" at the end stays.  Owned by the caller; NULL: out of memory.
 */
char *cel_sqs_name(const char *prefix, const char *name);

bool cel_sqs_name_is_fifo(const char *name);

/* What comes after the last slash of a queue's URL. */
const char *cel_sqs_name_of_url(const char *url);

/* Where the dead letters of a queue go: NAME.celery-c.dead, with ".fifo" at the end if NAME
 * has it.  Owned by the caller; NULL: out of memory. */
char *cel_sqs_name_of_dead(const char *name);

#endif
