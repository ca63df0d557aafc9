/* SPDX-License-Identifier: BSD-3-Clause */
/* One read or write on a non-blocking socket, plain or through TLS. */
#ifndef CEL_NET_SOCK_H
#define CEL_NET_SOCK_H

#include "net/tls.h"

/*
 * stream is NULL for a plain socket.  CELERY_OK with *ret_n > 0; CELERY_NONE: nothing can be
 * done now; CELERY_ECLOSED: over.  No SIGPIPE.
 */
celery_status cel_sock_read(int fd, struct cel_tls_stream *stream, void *bytes,
                            size_t size, size_t *ret_n, celery_error *err);
celery_status cel_sock_write(int fd, struct cel_tls_stream *stream, const void *bytes,
                             size_t len, size_t *ret_n, celery_error *err);

#endif
