/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to an AMQP 0-9-1 broker, and its channels.  Nothing blocks: every call puts
 * bytes into the outgoing buffer, which leaves at the end of the pass, and answers come
 * through `done`, in order for each channel.
 */
#ifndef CEL_TRANSPORT_AMQP_CONN_H
#define CEL_TRANSPORT_AMQP_CONN_H

#include "loop/done.h"
#include "net/conn.h"
#include "transport/amqp_codec.h"

struct cel_amqp_conn;
struct cel_amqp_channel;

struct cel_amqp_params {
    const char *host;
    int port;
    struct cel_tls *tls; /* NULL: plain */
    const char *user;
    const char *password;
    const char *vhost;     /* "/" */
    const char *mechanism; /* NULL: PLAIN; AMQPLAIN, EXTERNAL */
    const char *name;      /* connection_name, shown by the broker's tools; may be NULL */
    double heartbeat;      /* seconds asked for; 0: none */
    double checkrate;      /* checks for each interval; 0: 2 */
    double connect_timeout; /* seconds from the first packet to open-ok */
    double rpc_timeout;     /* seconds for any answer; 0: 30 */
    double
        confirm_timeout; /* seconds for a publisher confirm; 0: 30.  Not while blocked */
    size_t max_message;  /* bytes; the bodies of larger ones are skipped as they come */
    size_t out_high_water; /* bytes; 0: 16 MiB.  More publishes wait, see below */
};

struct cel_amqp_conn_events {
    /* connection.open-ok came. */
    void (*opened)(void *ctx);
    /* connection.blocked and unblocked, with the broker's reason.  May be NULL. */
    void (*blocked)(void *ctx, bool blocked, struct cel_slice reason);
    /*
     * It is over (or could not be opened).  Last event.  All operations have ended before:
     * what the broker may have acted on with CELERY_EUNCERTAIN, the rest with CELERY_ECLOSED.
     * why->code is the broker's reply-code, if it gave one; wrong credentials and a refused
     * vhost are CELERY_EAUTH, each with a line that says what to change.
     */
    void (*closed)(void *ctx, const celery_error *why);
};

celery_status cel_amqp_conn_open(struct cel_loop *loop,
                                 const struct cel_amqp_params *params,
                                 const struct cel_amqp_conn_events *events, void *ctx,
                                 struct cel_amqp_conn **ret_conn, celery_error *err);

/* Writes now what the end of the pass would write, as far as the socket takes it. */
void cel_amqp_conn_flush(struct cel_amqp_conn *c);

/*
 * Drops it at once with its channels; pending operations end first (as in closed()), no event
 * follows.  What is in the outgoing buffer is written as far as the socket takes it, with
 * connection.close behind it.  Legal inside events.  Returns NULL.
 */
struct cel_amqp_conn *cel_amqp_conn_free(struct cel_amqp_conn *conn);

/* What the server said of itself at the start; valid once opened. */
struct cel_amqp_server {
    char product[32]; /* "RabbitMQ" */
    char version[32]; /* "3.10.8" */
    int major, minor;
    bool confirms, nack, cancel_notify, blocked; /* its capabilities */
};
const struct cel_amqp_server *cel_amqp_conn_server(const struct cel_amqp_conn *conn);
bool cel_amqp_conn_is_blocked(const struct cel_amqp_conn *conn);
double cel_amqp_conn_silence(const struct cel_amqp_conn *conn); /* seconds */
uint32_t cel_amqp_conn_frame_max(const struct cel_amqp_conn *conn);

/* ---- channels ---- */

struct cel_amqp_channel_events {
    /*
     * A message for a consumer of this channel.  malformed: its header could not be read, or it
     * is larger than max_message (CELERY_ELIMIT; then the body is missing).
     */
    void (*delivered)(void *ctx, const struct cel_amqp_method *deliver,
                      struct cel_envelope *give_envelope, const celery_error *malformed);
    /* The broker ended a consumer: its queue was deleted or its node is gone. */
    void (*cancelled)(void *ctx, struct cel_slice consumer_tag);
    /*
     * The broker closed the channel (why->code: 404, 405, 406 ...); the connection goes on.
     * Pending operations have ended before, deliveries went back to their queues.  The
     * channel is of no use any more: free it, in here or later.
     */
    void (*closed)(void *ctx, const celery_error *why);
};

/* Usable at once: what is called before open-ok goes out behind channel.open. */
celery_status cel_amqp_channel_open(struct cel_amqp_conn *conn,
                                    const struct cel_amqp_channel_events *events,
                                    void *ctx, struct cel_amqp_channel **ret_channel,
                                    celery_error *err);

/* channel.close; pending operations end with CELERY_ECLOSED or CELERY_EUNCERTAIN. */
struct cel_amqp_channel *cel_amqp_channel_free(struct cel_amqp_channel *channel);

/*
 * A method that is answered: done gets the answer's count (messages of queue.declare-ok,
 * purge-ok, delete-ok) or 0.  An error: the broker closed the channel because of it (code and
 * text are its own; CELERY_EAUTH for 403, CELERY_ECONFIG for 405 and 406, else
 * CELERY_ENOTSUP), or the channel or the connection went.
 */
void cel_amqp_call(struct cel_amqp_channel *channel, const struct cel_amqp_method *method,
                   struct cel_done done);

/*
 * A method without an answer: ack, nack, reject.  The answer to any later call on the channel says
 * that the broker has it.
 */
void cel_amqp_tell(struct cel_amqp_channel *channel,
                   const struct cel_amqp_method *method);

/*
 * basic.get.  fn is called once: with the message, with NULL and no error when the queue is
 * empty, or with an error; with both when the message is malformed, as in delivered().
 */
struct cel_amqp_got {
    void (*fn)(void *ctx, const celery_error *err, const struct cel_amqp_method *got,
               struct cel_envelope *give_envelope);
    void *ctx;
};
void cel_amqp_get(struct cel_amqp_channel *channel, struct cel_slice queue, bool no_ack,
                  struct cel_amqp_got got);

/*
 * Publishes; the channel selects confirms with its first one.  Borrows the envelope until
 * done is called: no error, the broker has it; CELERY_ENOTSUP with the reply-code (312 NO_ROUTE),
 * it was mandatory and returned; CELERY_ELIMIT, headers too large for a frame, or nacked (a full
 * queue with reject-publish; code 0), or larger than the broker takes (406); CELERY_ENOTSUP or
 * CELERY_EAUTH, its exchange is not there (404) or not for us (403), which costs the channel;
 * CELERY_ECLOSED, it was surely not taken; CELERY_EUNCERTAIN, the connection or the channel went, or
 * no confirm came in time; CELERY_ETIMEOUT, it could not be sent in time.  While the broker is
 * blocked or the outgoing buffer is above high water the message waits here (at most
 * CEL_AMQP_MAX_WAITING, then CELERY_ELIMIT).
 */
void cel_amqp_publish(struct cel_amqp_channel *channel, const char *exchange,
                      const char *routing_key, bool mandatory,
                      const struct cel_envelope *envelope, struct cel_done done);

#define CEL_AMQP_MAX_WAITING 100000
#define CEL_AMQP_MAX_BODY    ((size_t)512 << 20) /* as RabbitMQ */

/* Number of publishes that wait or that no confirm came for. */
size_t cel_amqp_unconfirmed(const struct cel_amqp_channel *channel);

#endif
