/* SPDX-License-Identifier: BSD-3-Clause */
/* One message as it travels: properties, headers, body.  Knows nothing of tasks. */
#ifndef CEL_MESSAGE_ENVELOPE_H
#define CEL_MESSAGE_ENVELOPE_H

#include "codec/doc.h"

/*
 * Texts are borrowed from the envelope's arena; absent ones are {NULL, 0}.  The arena also
 * holds the raw bytes the envelope was read from (raw), which a dead-letter queue keeps.
 */
struct cel_envelope {
    struct cel_arena arena;
    struct cel_slice raw;
    const struct cel_node
        *root; /* what raw says; NULL when it is no map or was not read */

    struct cel_slice content_type;
    struct cel_slice content_encoding;
    struct cel_slice body; /* after body_encoding; still compressed and serialized */
    const struct cel_node *headers;    /* an object, or NULL */
    const struct cel_node *properties; /* all of them, for what is not named below */

    struct cel_slice correlation_id;
    struct cel_slice reply_to;
    struct cel_slice expiration;   /* milliseconds as text */
    struct cel_slice delivery_tag; /* virtual transports: uuid4 text */
    struct cel_slice exchange;     /* delivery_info */
    struct cel_slice routing_key;
    int delivery_mode; /* 2: persistent */
    int priority;
    bool redelivered; /* delivery_info.redelivered or headers.redelivered */
    bool body_plain;  /* body_encoding null/"utf-8": the body is text in the JSON */
    bool
        optional; /* to be sent: dropped without an error when there is no queue for it */
    bool counted; /* to be broadcast: publish() answers how many get it; see there */
    /* Of an optional one, where queues are keys: how long it may lie there unread; 0: ever. */
    int64_t unread_ms;
    bool written; /* to be sent: raw is kombu's JSON as it goes out, and beside it only
                         priority counts */
};

struct cel_envelope *cel_envelope_new(void); /* NULL: no memory */

/* The same with room for size bytes in the arena's first chunk. */
struct cel_envelope *cel_envelope_new_sized(size_t size);
struct cel_envelope *cel_envelope_free(struct cel_envelope *env); /* NULL is harmless */

/*
 * All properties as JSON text, under the names that Python has for them: as they stood in a
 * message that was JSON, otherwise (raw is empty) the fields and what is beside them.
 */
celery_status cel_envelope_write_properties(struct cel_buf *out,
                                            const struct cel_envelope *env);

/* A header of the message; NULL when absent or when there are no headers. */
const struct cel_node *cel_envelope_header(const struct cel_envelope *env,
                                           struct cel_slice name);

#endif
