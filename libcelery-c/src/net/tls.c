/* SPDX-License-Identifier: BSD-3-Clause */
/* OpenSSL is loaded with the first context: a worker without TLS has not the megabyte it takes. */
#include "net/tls_driver.h"

#include "base/module.h"
#include "net/hash.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic(const struct cel_tls_driver *) loaded;

const struct cel_tls_driver *cel_tls_driver(celery_error *err)
{
    const struct cel_tls_driver *driver = atomic_load(&loaded);

    if (!driver) {
        driver = cel_module_load("openssl", "tls", err);
        atomic_store(&loaded, driver); /* the same, whoever comes second */
    }
    return driver;
}

celery_status cel_tls_new(const struct cel_tls_options *options, struct cel_tls **ret_tls,
                          celery_error *err)
{
    const struct cel_tls_driver *driver = cel_tls_driver(err);

    return driver ? driver->context_new(options, ret_tls, err) : CELERY_ENOTSUP;
}

struct cel_tls *cel_tls_free(struct cel_tls *tls)
{
    if (tls) {
        atomic_load(&loaded)->context_free(tls);
    }
    return NULL;
}

celery_status cel_tls_stream_new(struct cel_tls *tls, int fd, const char *host,
                                 struct cel_tls_stream **ret_stream, celery_error *err)
{
    return atomic_load(&loaded)->stream_new(tls, fd, host, ret_stream, err);
}

struct cel_tls_stream *cel_tls_stream_free(struct cel_tls_stream *stream)
{
    if (stream) {
        atomic_load(&loaded)->stream_free(stream);
    }
    return NULL;
}

celery_status cel_tls_handshake(struct cel_tls_stream *stream, unsigned *ret_wait,
                                celery_error *err)
{
    return atomic_load(&loaded)->handshake(stream, ret_wait, err);
}

celery_status cel_tls_read(struct cel_tls_stream *stream, void *bytes, size_t size,
                           size_t *ret_n, unsigned *ret_wait, celery_error *err)
{
    return atomic_load(&loaded)->read(stream, bytes, size, ret_n, ret_wait, err);
}

celery_status cel_tls_write(struct cel_tls_stream *stream, const void *bytes, size_t len,
                            size_t *ret_n, unsigned *ret_wait, celery_error *err)
{
    return atomic_load(&loaded)->write(stream, bytes, len, ret_n, ret_wait, err);
}

/* ---- hashes ---- */

bool cel_sha256(struct cel_slice bytes, unsigned char digest[32])
{
    const struct cel_tls_driver *driver = cel_tls_driver(NULL);

    return driver && driver->sha256(bytes.len ? bytes.data : "", bytes.len, digest);
}

bool cel_hmac_sha256(struct cel_slice key, struct cel_slice bytes,
                     unsigned char digest[32])
{
    const struct cel_tls_driver *driver = cel_tls_driver(NULL);

    return driver &&
           driver->hmac_sha256(key.data, key.len, bytes.data, bytes.len, digest);
}

/* ---- options as text ---- */

bool cel_tls_parse_verify(const char *text, enum cel_tls_verify *ret_verify)
{
    static const struct {
        const char *text;
        enum cel_tls_verify verify;
    } known[] = {
        {"required", CEL_TLS_REQUIRED}, {"CERT_REQUIRED", CEL_TLS_REQUIRED},
        {"optional", CEL_TLS_OPTIONAL}, {"CERT_OPTIONAL", CEL_TLS_OPTIONAL},
        {"none", CEL_TLS_NONE},         {"CERT_NONE", CEL_TLS_NONE},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(text, known[i].text) == 0) {
            *ret_verify = known[i].verify;
            return true;
        }
    }
    return false;
}
