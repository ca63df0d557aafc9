/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of one entry of SendMessageBatch (kombu/transport/SQS.py Channel._put). */
#ifndef CEL_TRANSPORT_SQS_ENTRY_H
#define CEL_TRANSPORT_SQS_ENTRY_H

#include "base/md5.h"
#include "transport/sqs_state.h"

/* MD5 of what an entry has, for comparison with what the service says that it got. */
struct cel_sqs_digests {
    char body[CEL_MD5_HEX];
    char attributes[CEL_MD5_HEX];
    bool
        has_attributes; /* otherwise there are none, or of a kind that is not known here */
};

/* Of a map of attributes as in MessageAttributes.  False: as has_attributes. */
bool cel_sqs_attributes_md5(const struct cel_node *map, char ret_md5[CEL_MD5_HEX]);

/*
 * Appends {"Id": "i", "MessageBody": ...} for the queue.  text is scratch.  CELERY_ELIMIT with
 * both sizes when the message is larger than the queue takes.
 */
celery_status cel_sqs_entry_write(struct cel_buf *out, struct cel_buf *text,
                                  const struct cel_sqs_queue *q, size_t i,
                                  const struct cel_envelope *envelope,
                                  const struct cel_sqs_extra *extra,
                                  struct cel_sqs_digests *ret_digests, celery_error *err);

/* Its parts: the message as kombu's JSON into text, which is cleared; */
celery_status cel_sqs_text_write(struct cel_buf *text, const struct cel_envelope *env,
                                 const struct cel_sqs_extra *extra);
/* the same behind out as a JSON string, in base64 unless plain; */
celery_status cel_sqs_body_write(struct cel_buf *out, struct cel_buf *text, bool plain,
                                 const struct cel_envelope *envelope, celery_error *err);
/* and ", \"MessageAttributes\": {...}" where there are some. */
void cel_sqs_attributes_write(struct cel_buf *out, const struct cel_envelope *envelope,
                              const struct cel_sqs_extra *extra);

/*
 * What makes one publish of a FIFO queue: the task's id and a digest of headers and body, so
 * that a publish repeated is one message, and a retry (whose headers differ) another.
 */
enum { CEL_SQS_DEDUP_SIZE = 129 };
void cel_sqs_dedup(const struct cel_envelope *envelope, char text[CEL_SQS_DEDUP_SIZE]);

/* Seconds that the service is to hold a message with an ETA: 0 to 900. */
int64_t cel_sqs_delay(const struct cel_envelope *envelope, double now);

#endif
