/* SPDX-License-Identifier: BSD-3-Clause */
/* From a host name or a path to a connected, non-blocking socket, before a deadline. */
#ifndef CEL_NET_DIAL_H
#define CEL_NET_DIAL_H

#include "loop/loop.h"

#include <stdbool.h>

struct cel_dial;

struct cel_dial_to {
    const char *host; /* TCP */
    int port;
    const char *unix_path; /* instead of host; "@name" is an abstract one */
    double timeout;        /* seconds for the name and all of its addresses */
    double user_timeout;   /* TCP_USER_TIMEOUT, seconds */
    bool keepalive;
};

/*
 * Called once, from the loop, with a socket that the callee owns, or -1 and err.  It frees
 * the dial, in here or later.
 */
typedef void (*cel_dial_fn)(void *ctx, int fd, const celery_error *err);

/* Texts are copied. */
celery_status cel_dial_start(struct cel_loop *loop, const struct cel_dial_to *to,
                             cel_dial_fn fn, void *ctx, struct cel_dial **ret_dial,
                             celery_error *err);

/* Gives up; fn is not called.  Returns NULL. */
struct cel_dial *cel_dial_free(struct cel_dial *dial);

#endif
