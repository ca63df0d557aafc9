/* SPDX-License-Identifier: BSD-3-Clause */
/* One HTTP/1.1 POST on the loop, of which only the status of the answer is of interest. */
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

/* Gives up if it is under way; fn is not called.  Returns NULL. */
struct cel_http_post *cel_http_post_free(struct cel_http_post *post);

#endif
