/* SPDX-License-Identifier: BSD-3-Clause */
/* A task call, free of the version of the protocol it came in. */
#ifndef CEL_MESSAGE_TASK_H
#define CEL_MESSAGE_TASK_H

#include "message/envelope.h"

enum cel_tristate { CEL_UNSET = -1, CEL_NO = 0, CEL_YES = 1 };

/* Texts are borrowed from the envelope (or from arena for protocol 1); absent: {NULL, 0}. */
struct cel_task_call {
    struct cel_slice id;
    struct cel_slice task;
    struct cel_slice shadow;
    struct cel_slice root_id;
    struct cel_slice parent_id;
    struct cel_slice group;
    int64_t group_index; /* -1: none */
    int64_t retries;
    struct cel_slice eta; /* text as sent; eta_us when it could be read */
    struct cel_slice expires;
    int64_t eta_us;         /* microseconds since 1970 UTC; INT64_MIN: none */
    int64_t expires_us;     /* the same */
    double time_limit;      /* hard; < 0: none */
    double soft_time_limit; /* < 0: none */
    struct cel_slice argsrepr;
    struct cel_slice kwargsrepr;
    struct cel_slice origin;
    enum cel_tristate ignore_result;
    int64_t replaced_task_nesting;
    const struct cel_node *stamped_headers; /* or NULL */
    const struct cel_node *stamps;
    struct cel_slice compression; /* header; empty: none */
    /* W3C Trace Context, passed on with what the task brings about; {NULL, 0}: none. */
    struct cel_slice traceparent;
    struct cel_slice tracestate;
    int protocol; /* 1 or 2 */

    /*
     * Protocol 2: NULL until cel_task_call_body().  Protocol 1: set at once, because there
     * the body says which task it is.
     */
    const struct cel_node *args;   /* array */
    const struct cel_node *kwargs; /* object */
    const struct cel_node *embed;  /* object or NULL: callbacks, errbacks, chain, chord */
    size_t chain_last; /* of a chain that is CEL_KIND_RAW: where its last step begins */
};

struct cel_call_limits {
    struct cel_json_limits json;
    size_t max_body;           /* bytes after decompression; 0: 16 MiB */
    const char *const *accept; /* accept_content */
};

/* Why a message is no task call: what Celery does about it differs (protocol.md 1.6). */
enum cel_call_fault {
    CEL_CALL_OK,
    CEL_CALL_UNKNOWN, /* no task anywhere: unknown message */
    CEL_CALL_INVALID, /* id missing, eta unreadable, wrong type of a header */
    CEL_CALL_DECODE,  /* the body cannot be decoded */
    CEL_CALL_CONTENT, /* content type not accepted */
    CEL_CALL_NOMEM,   /* out of memory: not the message's fault, it may be tried again */
};

/* A header of this library: how often the task ended its worker process. */
#define CEL_HEADER_CRASHES "x-celery-c-crashes"

/* A call with nothing set: unset numbers are not 0, see the fields. */
void cel_task_call_init(struct cel_task_call *call);

/*
 * Reads headers (protocol 2) or body (protocol 1).  Total; looks at the body of a protocol 2
 * message only when its headers have no id.  On a fault err says why, and ret_call->id (and
 * task, root_id, parent_id, group) are set if they are legible.
 */
enum cel_call_fault cel_task_call_read(struct cel_envelope *env,
                                       const struct cel_call_limits *limits,
                                       struct cel_task_call *ret_call, celery_error *err);

/*
 * Decompresses and decodes a body into args, kwargs, embed; memory from a.  Separate from the
 * envelope, because a child process does it.  hybrid (protocol 2 headers over a protocol 1
 * body) is understood.
 */
enum cel_call_fault cel_task_call_body(struct cel_arena *a, struct cel_slice body,
                                       struct cel_slice content_type,
                                       struct cel_slice compression,
                                       const struct cel_call_limits *limits,
                                       struct cel_task_call *call, celery_error *err);

/* ---- sending (AMQP.as_task_v2) ---- */

/* Enough for the name of a process. */
#define CEL_ANON_NODENAME 300

/* gen<pid>@<host>, the length (celery/utils/nodenames.py anon_nodename). */
size_t cel_anon_nodename(char text[CEL_ANON_NODENAME]);

struct cel_task_send {
    /*
     * From cel_task_call_init() or a received call.  args and kwargs NULL: none; embed NULL:
     * four nulls.  eta and expires: text, or made from eta_us and expires_us.
     */
    struct cel_task_call call;
    int64_t expiration_ms; /* the property; 0: from the time left until expires */
    const struct cel_node *headers;           /* extra ones, merged flat; or NULL */
    struct cel_slice traceparent, tracestate; /* unless headers has a traceparent */
    struct cel_slice reply_to;
    struct cel_slice exchange;
    struct cel_slice routing_key;
    int priority;
    int delivery_mode;       /* 0: 2 (persistent) */
    const char *serializer;  /* name; NULL: json */
    const char *compression; /* name; NULL: none */
    int repr_levels;         /* of argsrepr, as cel_saferepr() takes it */
};

/*
 * Makes the envelope of a protocol 2 message: headers in Celery's order, argsrepr and kwargsrepr
 * made when empty, expiration from expires, root_id falling back to id.
 */
celery_status cel_task_send_envelope(const struct cel_task_send *send,
                                     struct cel_envelope **ret_env, celery_error *err);

#endif
