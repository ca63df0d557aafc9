/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS on a connected socket.  Only tls.c includes OpenSSL's ssl.h. */
#ifndef CEL_NET_TLS_H
#define CEL_NET_TLS_H

#include <celery/error.h>
#include <stddef.h>

enum cel_tls_verify { CEL_TLS_REQUIRED, CEL_TLS_OPTIONAL, CEL_TLS_NONE };

/* Everything as text, owned by whoever made it; NULL where not given. */
struct cel_tls_options {
    enum cel_tls_verify verify; /* chain (and name, unless check_hostname is false) */
    bool check_hostname;
    char *ca_certs; /* PEM file or folder; NULL: the system's store */
    char *certfile;
    char *keyfile;         /* NULL: the key is in certfile */
    char *server_hostname; /* what the certificate is for; NULL: the host connected to */
};

/* ssl_cert_reqs: "required" or "CERT_REQUIRED" and so on.  False: none of them. */
bool cel_tls_parse_verify(const char *text, enum cel_tls_verify *ret_verify);

struct cel_tls; /* a context: TLS 1.2 or newer, chain and name verified */

/* Reads the files; CELERY_ECONFIG names the one that cannot be read and why. */
celery_status cel_tls_new(const struct cel_tls_options *options, struct cel_tls **ret_tls,
                          celery_error *err);
struct cel_tls *cel_tls_free(struct cel_tls *tls);

/*
 * One TLS connection over a non-blocking socket, which stays the caller's.  Each call does
 * what it can at once; CELERY_NONE: wait for *ret_wait (enum cel_io bits), then call again.
 */
struct cel_tls_stream;

/* host: the name or address that the certificate must be for; NULL: not verified. */
celery_status cel_tls_stream_new(struct cel_tls *tls, int fd, const char *host,
                                 struct cel_tls_stream **ret_stream, celery_error *err);
struct cel_tls_stream *cel_tls_stream_free(struct cel_tls_stream *stream);
celery_status cel_tls_handshake(struct cel_tls_stream *stream, unsigned *ret_wait,
                                celery_error *err);
/* CELERY_OK with *ret_n > 0; CELERY_ECLOSED at the end. */
celery_status cel_tls_read(struct cel_tls_stream *stream, void *bytes, size_t size,
                           size_t *ret_n, unsigned *ret_wait, celery_error *err);
celery_status cel_tls_write(struct cel_tls_stream *stream, const void *bytes, size_t len,
                            size_t *ret_n, unsigned *ret_wait, celery_error *err);

#endif
