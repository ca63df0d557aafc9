/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers GET and HEAD on one address.  Made to stand in the way of nobody: a few connections
 * at a time, each with a deadline and small buffers; who is slow or sends nonsense loses its
 * connection, and the oldest gives way to a new one.
 */
#ifndef CEL_NET_HTTP_SERVER_H
#define CEL_NET_HTTP_SERVER_H

#include "loop/loop.h"
#include "net/http.h"

#define CEL_HTTP_CLIENTS_MAX 16

/* Seconds from the connection to the last byte of the answer. */
#define CEL_HTTP_DEADLINE 5.0

struct cel_http_server;

struct cel_http_reply {
    int status; /* 404 before the call */
    const char *content_type;
    struct cel_buf body; /* to be appended to */
};

/* On the loop's thread; must not block, and must not free the server. */
typedef void (*cel_http_fn)(void *ctx, const struct cel_http_request *request,
                            struct cel_http_reply *reply);

/* Listens at once; address as for cel_listen().  Nothing but numbers is resolved. */
celery_status cel_http_server_new(struct cel_loop *loop, const char *address,
                                  cel_http_fn fn, void *ctx,
                                  struct cel_http_server **ret_server, celery_error *err);
struct cel_http_server *cel_http_server_free(struct cel_http_server *server);

/* Connections that are open now. */
unsigned cel_http_server_clients(const struct cel_http_server *server);

#endif
