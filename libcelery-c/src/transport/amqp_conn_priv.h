/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of an AMQP connection share.  Nobody else includes it. */
#ifndef CEL_TRANSPORT_AMQP_CONN_PRIV_H
#define CEL_TRANSPORT_AMQP_CONN_PRIV_H

#include "base/list.h"
#include "transport/amqp_conn.h"

/* Seconds that the peer's system may leave bytes unacknowledged. */
#define CEL_AMQP_USER_TIMEOUT 20.0

enum cel_amqp_phase {
    CEL_AMQP_CONNECTING, /* TCP, TLS */
    CEL_AMQP_GREETING,   /* connection.start is awaited */
    CEL_AMQP_LOGIN,      /* tune, or a refusal */
    CEL_AMQP_ENTERING,   /* open-ok of the vhost */
    CEL_AMQP_UP,
    CEL_AMQP_OVER,
};

struct cel_amqp_conn {
    struct cel_loop *loop;
    const struct cel_amqp_conn_events *events;
    void *ctx;
    enum cel_amqp_phase phase;
    bool freed;
    unsigned inside;
    struct cel_conn *conn;

    char *user;
    char *password;
    char *vhost;
    char *mechanism;
    char *name;
    char *text; /* "amqps://user@host:5671", in front of every error */
    bool tls;
    double asked_heartbeat;
    double checkrate;
    double connect_timeout;
    double rpc_timeout;
    double confirm_timeout;
    size_t max_message;
    size_t out_high_water;

    struct cel_amqp_server server;
    bool refuses_aloud; /* the server closes with a text when a login fails */
    uint32_t frame_max;
    uint16_t channel_max;
    double heartbeat; /* negotiated; 0: none */
    bool blocked;
    double unblocked_at; /* also: opened at.  No deadline counts from before */

    struct cel_source *timer;
    double due;         /* when the timer fires; 0: not set */
    double deadline;    /* of the handshake */
    double beat_at;     /* next look at the heartbeat */
    uint64_t beat_sent; /* cel_conn_sent() at the last look */
    double late_since;  /* something was found overdue then; 0: nothing */

    struct cel_buf early;   /* frames that go out behind open-ok */
    uint64_t put;           /* bytes ever put into the outgoing buffer */
    uint64_t sent;          /* of them sent, once it is over */
    struct cel_arena arena; /* tables of the method that is being looked at */

    struct cel_amqp_channel **channels; /* by number; 0 is not used */
    size_t n_channels;
    struct cel_list all; /* channels, also those without a number */
    bool sweep;          /* one of them can be freed */
};

/* A method whose answer is awaited. */
struct cel_amqp_op {
    struct cel_list link;
    uint32_t id;
    struct cel_done done;
    struct cel_amqp_got got; /* of basic.get, instead */
    double at;               /* loop time when it was written */
    uint64_t end;            /* where it ends in `put`; UINT64_MAX: not there yet */
    size_t tag_len;
    char tag[]; /* consumer tag of consume and cancel */
};

/* A message that was written and not confirmed. */
struct cel_amqp_confirm {
    struct cel_done done;
    uint64_t end;
    double at;
    uint64_t mark;     /* what a return of it looks like; 0: not mandatory */
    uint64_t exchange; /* cel_hash() of its name */
    size_t size;       /* of the body */
    bool told;         /* done has been called */
    bool settled;      /* the broker acked or nacked it */
};

/* A message that may not be written yet. */
struct cel_amqp_waiting {
    struct cel_list link;
    struct cel_done done;
    const struct cel_envelope *envelope;
    double at;
    bool mandatory;
    const char *key; /* behind the exchange */
    char exchange[];
};

/* A message that is arriving: method, then header, then body frames. */
struct cel_amqp_content {
    struct cel_amqp_method method; /* id 0: none */
    struct cel_amqp_op *op;        /* the basic.get it answers */
    struct cel_envelope *envelope; /* once the header came */
    char *fill;                    /* where the body goes on; NULL: it is skipped */
    uint64_t size;                 /* of the body */
    uint64_t left;
    celery_error malformed; /* status 0: it is not */
    char names[3 * 256];    /* the method's texts until there is an envelope */
};

struct cel_amqp_channel {
    struct cel_list link;
    struct cel_amqp_conn *conn;
    const struct cel_amqp_channel_events *events;
    void *ctx;
    uint16_t number;
    bool held;     /* by its owner, who will free it */
    bool numbered; /* in conn->channels; if not held, until close-ok */
    bool over;     /* nothing can be started any more */
    bool stopped;  /* channel.flow */
    bool confirming;

    struct cel_list ops;

    struct cel_amqp_confirm *ring;
    size_t ring_size; /* a power of two, or 0 */
    size_t head;
    size_t count;
    uint64_t first_tag; /* of the head */
    uint64_t
        return_from; /* returns come in the order of publishing: the next to compare */
    uint64_t check_from; /* older ones were told */
    size_t untold;

    struct cel_list waiting;
    size_t n_waiting;

    struct cel_amqp_content content;
};

/* ---- amqp_conn.c ---- */

/* Between them the memory of the connection and its channels stays. */
void cel_amqp_enter(struct cel_amqp_conn *c);
void cel_amqp_leave(struct cel_amqp_conn *c);

/* Ends the connection from inside one of the loop's callbacks; closed() is told. */
void cel_amqp_break(struct cel_amqp_conn *c, const celery_error *why);
void cel_amqp_fail(struct cel_amqp_conn *c, celery_status status, const char *fmt, ...)
    CELERY_PRINTF(3, 4);

/* Where frames of channels go now; what was appended is then reported. */
struct cel_buf *cel_amqp_out(struct cel_amqp_conn *c);
void cel_amqp_wrote(struct cel_amqp_conn *c, const struct cel_buf *out, size_t before);
/* Takes back what was appended since: a frame that could not be finished. */
void cel_amqp_unwrite(struct cel_buf *out, size_t before);
/* A whole method. */
celery_status cel_amqp_send(struct cel_amqp_conn *c, uint16_t channel,
                            const struct cel_amqp_method *method, celery_error *err);
/* Where something written now ends, for cel_amqp_outcome(). */
uint64_t cel_amqp_position(const struct cel_amqp_conn *c);

/* ---- amqp_login.c ---- */

void cel_amqp_hello(struct cel_amqp_conn *c);
/* Methods of channel 0. */
void cel_amqp_conn_method(struct cel_amqp_conn *c, const struct cel_amqp_method *method);

/* ---- amqp_refusal.c ---- */

/* What connection.close means, in plain words. */
void cel_amqp_explain_close(const struct cel_amqp_conn *c,
                            const struct cel_amqp_method *method, celery_error *err);
/* What it means that the socket broke in this phase. */
void cel_amqp_explain_lost(const struct cel_amqp_conn *c, const celery_error *why,
                           celery_error *err);
/* What channel.close means. */
void cel_amqp_explain_channel(const struct cel_amqp_method *method, celery_error *err);
/* Whether its words are about this message (an exchange by cel_hash(), bytes of a body). */
bool cel_amqp_complains_of(const struct cel_amqp_method *method, uint64_t exchange,
                           size_t size);

/* ---- amqp_beat.c ---- */

celery_status cel_amqp_timer(struct cel_amqp_conn *c, celery_error *err);
/* Have a look at the deadlines at that time, if not earlier. */
void cel_amqp_due(struct cel_amqp_conn *c, double at);
/* tune-ok went out. */
void cel_amqp_start_beat(struct cel_amqp_conn *c);

/* ---- amqp_channel.c ---- */

struct cel_amqp_channel *cel_amqp_channel_at(struct cel_amqp_conn *c, uint16_t number);
void cel_amqp_channel_method(struct cel_amqp_channel *ch,
                             const struct cel_amqp_method *method);
/*
 * Everything that is pending ends; sent: bytes that surely reached the system; close: what the
 * broker complained about, or NULL.
 */
void cel_amqp_channel_end(struct cel_amqp_channel *ch, uint64_t sent,
                          const celery_error *why, const struct cel_amqp_method *close);
void cel_amqp_channel_destroy(struct cel_amqp_channel *ch);

/* ---- amqp_call.c ---- */

void cel_amqp_answer(struct cel_amqp_channel *ch, const struct cel_amqp_method *method);
/* NULL: none is awaited. */
struct cel_amqp_op *cel_amqp_op_for(struct cel_amqp_channel *ch,
                                    const struct cel_amqp_method *answer);
void cel_amqp_op_end(struct cel_amqp_op *op, const celery_error *err, int64_t answer);
void cel_amqp_ops_end(struct cel_amqp_channel *ch, uint64_t sent, const celery_error *why,
                      uint32_t culprit);
/*
 * Whether something is overdue, which ends if act is set; otherwise the timer is set for
 * what is next.
 */
bool cel_amqp_ops_check(struct cel_amqp_channel *ch, double now, bool act);
/* EUNCERTAIN or ECLOSED. */
celery_status cel_amqp_outcome(uint64_t end, uint64_t sent);

/* ---- amqp_publish.c ---- */

/* Writes what waits as far as it may be written now. */
void cel_amqp_pump(struct cel_amqp_channel *ch);
void cel_amqp_pump_all(struct cel_amqp_conn *c);
void cel_amqp_waiting_end(struct cel_amqp_channel *ch, const celery_error *why);
bool cel_amqp_waiting_check(struct cel_amqp_channel *ch, double now, bool act);

/* ---- amqp_confirm.c ---- */

celery_status cel_amqp_confirm_reserve(struct cel_amqp_channel *ch, celery_error *err);
void cel_amqp_confirm_push(struct cel_amqp_channel *ch, const char *exchange,
                           const char *key, bool mandatory,
                           const struct cel_envelope *env, struct cel_done done);
/* basic.ack and basic.nack of the broker. */
void cel_amqp_confirm(struct cel_amqp_channel *ch, const struct cel_amqp_method *method);
/* A message came back whole. */
void cel_amqp_returned(struct cel_amqp_channel *ch, const struct cel_amqp_method *method,
                       const struct cel_envelope *envelope, uint64_t body_size);
void cel_amqp_confirms_end(struct cel_amqp_channel *ch, uint64_t sent,
                           const celery_error *why, const struct cel_amqp_method *close);
bool cel_amqp_confirms_check(struct cel_amqp_channel *ch, double now, bool act);

/* ---- amqp_content.c ---- */

void cel_amqp_content_begin(struct cel_amqp_channel *ch,
                            const struct cel_amqp_method *method);
void cel_amqp_content_header(struct cel_amqp_channel *ch, struct cel_slice payload);
void cel_amqp_content_body(struct cel_amqp_channel *ch, struct cel_slice payload);
void cel_amqp_content_drop(struct cel_amqp_channel *ch);

#endif
