/* SPDX-License-Identifier: BSD-3-Clause */
/* HTTP requests of the module curl.so, on our loop. */
#ifndef CEL_AWS_WEB_H
#define CEL_AWS_WEB_H

#include "aws/http_driver.h"
#include "base/slice.h"
#include "loop/loop.h"

struct cel_web;
struct cel_web_call;

/* Borrowed for the call of the function it is given to, or until its web is freed. */
struct cel_web_reply {
    int status; /* 0: none came */
    struct cel_slice headers;
    struct cel_slice body;
    bool sent;               /* the request may have reached the peer */
    const celery_error *err; /* NULL: a whole answer, whatever its status */
};

typedef void (*cel_web_fn)(void *ctx, const struct cel_web_reply *reply);

/* The table of curl.so; NULL with err CELERY_ENOTSUP. */
const struct cel_http_driver *cel_web_driver(celery_error *err);

celery_status cel_web_new(struct cel_loop *loop, const struct cel_http_driver *driver,
                          const struct cel_http_options *options,
                          struct cel_web **ret_web, celery_error *err);

/* Legal from a cel_web_fn of its own.  Returns NULL. */
struct cel_web *cel_web_free(struct cel_web *web);

/*
 * Starts a request; the body stays until fn was called, once, from the loop, never from in here.
 * NULL: out of memory.  The call is over when fn is called.
 */
struct cel_web_call *cel_web_start(struct cel_web *web,
                                   const struct cel_http_order *order, cel_web_fn fn,
                                   void *ctx);

/* fn is not called, the connection is closed.  Returns NULL. */
struct cel_web_call *cel_web_cancel(struct cel_web_call *call);

/* A header's value without blanks around it; the last of its name.  {NULL, 0}: none. */
struct cel_slice cel_web_header(const struct cel_web_reply *reply, const char *name);

#endif
