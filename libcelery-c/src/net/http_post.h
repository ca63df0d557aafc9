/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request of HTTP on the loop: a POST of which only the status of the answer is of interest,
 * or a GET whose answer is read.
 */
#ifndef CEL_NET_HTTP_POST_H
#define CEL_NET_HTTP_POST_H

#include "net/conn.h"

struct cel_http_post;

struct cel_http_post_to {
    struct cel_endpoint
        endpoint;     /* its texts are copied, its tls must outlive the post */
    const char *path; /* "/v1/traces" */
    const char
        *headers; /* "Name: value\r\n" ..., besides Host, Content-* and Connection */
    const char *content_type;
    double timeout; /* seconds for all of it */
};

/* Called once, from the loop: the status (200 ...), or 0 and why.  The post may be freed. */
typedef void (*cel_http_post_fn)(void *ctx, int status, const celery_error *err);

/* Starts it; the body is copied. */
celery_status cel_http_post_start(struct cel_loop *loop,
                                  const struct cel_http_post_to *to,
                                  struct cel_slice body, cel_http_post_fn fn, void *ctx,
                                  struct cel_http_post **ret_post, celery_error *err);

/* The same of a GET; body is borrowed for the call, and empty with an error. */
typedef void (*cel_http_get_fn)(void *ctx, int status, struct cel_slice body,
                                const celery_error *err);

/*
 * Starts it; content_type is of no meaning, and a larger answer than so many bytes is an error,
 * as is one that is cut off.
 */
celery_status cel_http_get_start(struct cel_loop *loop, const struct cel_http_post_to *to,
                                 size_t answer_max, cel_http_get_fn fn, void *ctx,
                                 struct cel_http_post **ret_get, celery_error *err);

/* Gives up if it is under way; fn is not called.  Returns NULL. */
struct cel_http_post *cel_http_post_free(struct cel_http_post *post);

#endif
