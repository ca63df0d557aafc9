/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One non-blocking connection, TCP or Unix, with or without TLS.  Crash-only: on any doubt
 * the owner frees it and makes another; nothing is repaired in place.
 */
#ifndef CEL_NET_CONN_H
#define CEL_NET_CONN_H

#include "base/buf.h"
#include "loop/loop.h"
#include "net/tls.h"

struct cel_conn;

struct cel_endpoint {
    const char *host; /* TCP; name or address */
    int port;
    const char *unix_path;  /* instead of host */
    struct cel_tls *tls;    /* NULL: plain.  Must outlive the connection */
    double connect_timeout; /* seconds for resolving, connecting and the TLS handshake */
    double user_timeout;    /* TCP_USER_TIMEOUT; 0: 20 s */
    bool keepalive;         /* SO_KEEPALIVE 15/5/3 */
    size_t in_max;          /* ceilings of the buffers; 0: 64 MiB */
    size_t out_max;
};

struct cel_conn_events {
    /* Connected, TLS included. */
    void (*opened)(void *ctx);
    /*
     * Bytes arrived: in->data, in->len is all that is not consumed yet.  The owner drops what it
     * used with cel_buf_drop(), and may free the connection.
     */
    void (*readable)(void *ctx, struct cel_buf *in);
    /*
     * It is over (also: could not be opened).  Last event; the owner frees the connection,
     * in here or later.
     */
    void (*closed)(void *ctx, const celery_error *why);
    /* What was in the outgoing buffer is with the operating system.  May be NULL. */
    void (*drained)(void *ctx);
};

/* Starts to connect.  The endpoint's texts are copied.  No event comes from inside. */
celery_status cel_conn_open(struct cel_loop *loop, const struct cel_endpoint *endpoint,
                            const struct cel_conn_events *events, void *ctx,
                            struct cel_conn **ret_conn, celery_error *err);

/* Drops it at once; no event follows.  Legal inside events.  Returns NULL. */
struct cel_conn *cel_conn_free(struct cel_conn *conn);

/*
 * Before cel_conn_free(), so that what was flushed still arrives: with input that nobody read, the
 * system would reset the connection and forget what it has not sent yet.
 */
void cel_conn_hang_up(struct cel_conn *conn);

/*
 * The outgoing buffer: append to it, then call cel_conn_flush(), which writes what it can now
 * and the rest when the socket allows.  CELERY_ELIMIT when the ceiling was hit, CELERY_ECLOSED
 * when the connection broke: closed() then comes from the loop, never from in here.
 */
struct cel_buf *cel_conn_out(struct cel_conn *conn);
celery_status cel_conn_flush(struct cel_conn *conn);

/* Bytes that arrived and were not consumed; as readable() gives them. */
struct cel_buf *cel_conn_in(struct cel_conn *conn);

/* Bytes handed to the operating system since it was opened. */
uint64_t cel_conn_sent(const struct cel_conn *conn);

/* Asks for cel_conn_flush() at the end of this pass of the loop. */
void cel_conn_flush_later(struct cel_conn *conn);

/* Stop or go on reading: back-pressure. */
void cel_conn_pause(struct cel_conn *conn, bool paused);

/*
 * TCP_USER_TIMEOUT from now on; 0: the system's own.  The kernel also counts the time in which
 * a living peer does not read.
 */
void cel_conn_set_user_timeout(struct cel_conn *conn, double seconds);

/* Loop time when bytes last arrived. */
double cel_conn_last_read(const struct cel_conn *conn);

/* "redis1:6379" or the path, for messages. */
const char *cel_conn_name(const struct cel_conn *conn);

#endif
