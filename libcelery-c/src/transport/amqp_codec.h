/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AMQP 0-9-1 frames, methods and content headers to bytes and back; no I/O.  Everything read
 * comes from the network: whatever it says, the answer is a value or an error.
 */
#ifndef CEL_TRANSPORT_AMQP_CODEC_H
#define CEL_TRANSPORT_AMQP_CODEC_H

#include "message/envelope.h"
#include <sys/types.h>

/* ---- frames ---- */

enum cel_amqp_frame_type {
    CEL_AMQP_METHOD = 1,
    CEL_AMQP_HEADER = 2,
    CEL_AMQP_BODY = 3,
    CEL_AMQP_HEARTBEAT = 8,
};

struct cel_amqp_frame {
    uint8_t type;
    uint16_t channel;
    struct cel_slice payload; /* borrowed from the input */
};

/*
 * The first frame of the input: bytes it takes, 0 when more must arrive, CELERY_EPROTO when
 * this is no frame, is larger than frame_max (0: no limit yet), or the server answered with a
 * protocol header of its own ("AMQP" and a version).
 */
ssize_t cel_amqp_frame_next(struct cel_slice in, uint32_t frame_max,
                            struct cel_amqp_frame *ret_frame, celery_error *err);

/* Protocol header, heartbeat and body frames (a body longer than frame_max becomes several). */
celery_status cel_amqp_put_hello(struct cel_buf *out);
celery_status cel_amqp_put_heartbeat(struct cel_buf *out);
celery_status cel_amqp_put_body(struct cel_buf *out, uint16_t channel,
                                struct cel_slice body, uint32_t frame_max);

/* ---- methods ---- */

/* Class and method number, as they stand on the wire. */
#define CEL_AMQP_METHODS(X)         \
    X(CONNECTION_START, 10, 10)     \
    X(CONNECTION_START_OK, 10, 11)  \
    X(CONNECTION_SECURE, 10, 20)    \
    X(CONNECTION_TUNE, 10, 30)      \
    X(CONNECTION_TUNE_OK, 10, 31)   \
    X(CONNECTION_OPEN, 10, 40)      \
    X(CONNECTION_OPEN_OK, 10, 41)   \
    X(CONNECTION_CLOSE, 10, 50)     \
    X(CONNECTION_CLOSE_OK, 10, 51)  \
    X(CONNECTION_BLOCKED, 10, 60)   \
    X(CONNECTION_UNBLOCKED, 10, 61) \
    X(CHANNEL_OPEN, 20, 10)         \
    X(CHANNEL_OPEN_OK, 20, 11)      \
    X(CHANNEL_FLOW, 20, 20)         \
    X(CHANNEL_FLOW_OK, 20, 21)      \
    X(CHANNEL_CLOSE, 20, 40)        \
    X(CHANNEL_CLOSE_OK, 20, 41)     \
    X(EXCHANGE_DECLARE, 40, 10)     \
    X(EXCHANGE_DECLARE_OK, 40, 11)  \
    X(EXCHANGE_BIND, 40, 30)        \
    X(EXCHANGE_BIND_OK, 40, 31)     \
    X(QUEUE_DECLARE, 50, 10)        \
    X(QUEUE_DECLARE_OK, 50, 11)     \
    X(QUEUE_BIND, 50, 20)           \
    X(QUEUE_BIND_OK, 50, 21)        \
    X(QUEUE_PURGE, 50, 30)          \
    X(QUEUE_PURGE_OK, 50, 31)       \
    X(QUEUE_DELETE, 50, 40)         \
    X(QUEUE_DELETE_OK, 50, 41)      \
    X(BASIC_QOS, 60, 10)            \
    X(BASIC_QOS_OK, 60, 11)         \
    X(BASIC_CONSUME, 60, 20)        \
    X(BASIC_CONSUME_OK, 60, 21)     \
    X(BASIC_CANCEL, 60, 30)         \
    X(BASIC_CANCEL_OK, 60, 31)      \
    X(BASIC_PUBLISH, 60, 40)        \
    X(BASIC_RETURN, 60, 50)         \
    X(BASIC_DELIVER, 60, 60)        \
    X(BASIC_GET, 60, 70)            \
    X(BASIC_GET_OK, 60, 71)         \
    X(BASIC_GET_EMPTY, 60, 72)      \
    X(BASIC_ACK, 60, 80)            \
    X(BASIC_REJECT, 60, 90)         \
    X(BASIC_NACK, 60, 120)          \
    X(CONFIRM_SELECT, 85, 10)       \
    X(CONFIRM_SELECT_OK, 85, 11)

enum cel_amqp_id {
#define X(name, class_id, method_id) CEL_AMQP_##name = (class_id) << 16 | (method_id),
    CEL_AMQP_METHODS(X)
#undef X
};

enum cel_amqp_bits {
    CEL_AMQP_PASSIVE = 1 << 0,
    CEL_AMQP_DURABLE = 1 << 1,
    CEL_AMQP_EXCLUSIVE = 1 << 2, /* queue.declare, basic.consume */
    CEL_AMQP_AUTO_DELETE = 1 << 3,
    CEL_AMQP_NO_ACK = 1 << 4, /* basic.consume, basic.get */
    CEL_AMQP_MANDATORY = 1 << 5,
    CEL_AMQP_MULTIPLE = 1 << 6, /* ack, nack */
    CEL_AMQP_REQUEUE = 1 << 7,  /* reject, nack */
    CEL_AMQP_REDELIVERED = 1 << 8,
    CEL_AMQP_CANCEL_OK = 1 << 9, /* flow: active; cancel: no answer wanted */
    CEL_AMQP_IF_UNUSED = 1 << 10,
    CEL_AMQP_IF_EMPTY = 1 << 11,
};

/*
 * Any method: which fields count depends on its id, by their names in the specification.  What
 * was decoded is borrowed from the frame, tables are in the arena.
 */
struct cel_amqp_method {
    uint32_t id;    /* enum cel_amqp_id */
    unsigned bits;  /* enum cel_amqp_bits */
    uint64_t tag;   /* delivery tag */
    uint32_t count; /* messages; prefetch count */
    uint32_t consumers;
    uint16_t code;                   /* reply-code */
    uint16_t class_id, method_id;    /* of what a close complains about */
    uint16_t channel_max, heartbeat; /* tune */
    uint32_t frame_max;
    struct cel_slice text; /* reply-text; reason of blocked; locale(s) */
    struct cel_slice queue;
    struct cel_slice exchange; /* of exchange.bind: the destination */
    struct cel_slice source;   /* of exchange.bind */
    struct cel_slice type;     /* of an exchange */
    struct cel_slice routing_key;
    struct cel_slice consumer_tag;
    struct cel_slice mechanism; /* start: mechanisms; start-ok: the chosen one */
    struct cel_slice response;  /* start-ok, secure-ok */
    struct cel_slice vhost;
    const struct cel_node *table; /* arguments; server and client properties */
};

/* Reads a METHOD frame's payload.  A method not in the list: CELERY_EPROTO. */
celery_status cel_amqp_method_read(struct cel_slice payload, struct cel_arena *arena,
                                   struct cel_amqp_method *ret_method, celery_error *err);

/* Appends a METHOD frame.  CELERY_EINVAL: a name is longer than 255 bytes. */
celery_status cel_amqp_method_put(struct cel_buf *out, uint16_t channel,
                                  const struct cel_amqp_method *method,
                                  celery_error *err);

/* "basic.publish"; "?" for what is not in the list. */
const char *cel_amqp_method_name(uint32_t id);

/* ---- content headers ---- */

/*
 * Reads a HEADER frame's payload into the envelope; all of it is copied into its arena.
 * Properties without a field of their own are in env->properties ("type", "app_id",
 * "message_id", "user_id", "timestamp", "cluster_id"), if there are any.  Times in headers
 * become kombu's typed datetime, decimals its decimal, text that is no WTF-8 bytes; absent
 * delivery_mode and priority are 0.  CELERY_EMESSAGE: the envelope has what could be read
 * (the body size is always right), the message is to be parked.  CELERY_EPROTO: not even the
 * body size could be read.
 */
celery_status cel_amqp_header_read(struct cel_slice payload, struct cel_envelope *env,
                                   uint64_t *ret_body_size, celery_error *err);

/*
 * Appends a HEADER frame for a body of that size.  Header values as py-amqp's write_item()
 * types them (amqp/serialization.py): None V, bool t, int I or L, float d, str S, bytes x,
 * list A, dict F; and kombu's typed datetime T, decimal D.  "timestamp" in env->properties is
 * the property.  An envelope that is `written` goes through cel_amqp_plain_envelope() first.
 * CELERY_ELIMIT: larger than frame_max (a header must fit into one frame).  CELERY_EINVAL: an
 * integer over 64 bits, a name or property over 255 bytes, deeper than CEL_AMQP_MAX_DEPTH.
 */
celery_status cel_amqp_header_put(struct cel_buf *out, uint16_t channel,
                                  const struct cel_envelope *env, uint64_t body_size,
                                  uint32_t frame_max, celery_error *err);

/*
 * What was written as kombu's JSON (env->written) as an envelope with headers, properties
 * and body, which a content header can be made of.  Free it with cel_envelope_free().
 */
celery_status cel_amqp_plain_envelope(const struct cel_envelope *env,
                                      struct cel_envelope **ret_env, celery_error *err);

/* Nesting of tables that is still read; deeper ones are refused before anything decodes them. */
#define CEL_AMQP_MAX_DEPTH 32

#endif
