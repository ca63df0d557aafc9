/* SPDX-License-Identifier: BSD-3-Clause */
/* Names to addresses on a thread of their own, never on the loop. */
#ifndef CEL_NET_RESOLVE_H
#define CEL_NET_RESOLVE_H

#include "loop/loop.h"
#include <netdb.h>

struct cel_resolve;

/*
 * fn is called once on the loop's thread with a getaddrinfo() list (freed after fn
 * returns), or NULL and err.  Numeric addresses are answered without a thread, from inside
 * the next pass.
 */
typedef void (*cel_resolve_fn)(void *ctx, const struct addrinfo *list,
                               const celery_error *err);
celery_status cel_resolve_start(struct cel_loop *loop, const char *host, int port,
                                cel_resolve_fn fn, void *ctx,
                                struct cel_resolve **ret_resolve, celery_error *err);

/* Forgets a running look-up; fn is not called.  After fn: required too.  Returns NULL. */
struct cel_resolve *cel_resolve_free(struct cel_resolve *resolve);

#endif
