/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the module openssl.so offers: TLS and the two hashes of request signatures.  It comes with
 * a copy of base/alloc.c and base/error.c of its own.
 */
#ifndef CEL_NET_TLS_DRIVER_H
#define CEL_NET_TLS_DRIVER_H

#include "net/tls.h"

/* Each is the function of net/tls.h with that name. */
struct cel_tls_driver {
    celery_status (*context_new)(const struct cel_tls_options *options,
                                 struct cel_tls **ret_tls, celery_error *err);
    void (*context_free)(struct cel_tls *tls);
    celery_status (*stream_new)(struct cel_tls *tls, int fd, const char *host,
                                struct cel_tls_stream **ret_stream, celery_error *err);
    void (*stream_free)(struct cel_tls_stream *stream);
    celery_status (*handshake)(struct cel_tls_stream *stream, unsigned *ret_wait,
                               celery_error *err);
    celery_status (*read)(struct cel_tls_stream *stream, void *bytes, size_t size,
                          size_t *ret_n, unsigned *ret_wait, celery_error *err);
    celery_status (*write)(struct cel_tls_stream *stream, const void *bytes, size_t len,
                           size_t *ret_n, unsigned *ret_wait, celery_error *err);
    bool (*sha256)(const void *bytes, size_t len, unsigned char digest[32]);
    bool (*hmac_sha256)(const void *key, size_t key_len, const void *bytes, size_t len,
                        unsigned char digest[32]);
};

/* Loads the module once; NULL with err. */
const struct cel_tls_driver *cel_tls_driver(celery_error *err);

#endif
