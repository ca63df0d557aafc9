/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "base/error.h"
#include "base/module.h"
#include "loop/loop.h"
#include "net/tls_driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct cel_tls {
    SSL_CTX *ctx;
    BIO_METHOD *bio;
    bool check_hostname;
    char *server_hostname; /* or NULL */
};

struct cel_tls_stream {
    SSL *ssl;
    int fd;
    int last_errno; /* of send() or recv() */
};

/*
 * OpenSSL's own socket BIO writes without MSG_NOSIGNAL, and a library may not change how
 * its program handles SIGPIPE.
 */
static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct cel_tls_stream *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    ssize_t n = send(s->fd, bytes, (size_t)len, MSG_NOSIGNAL);
    if (n < 0) {
        s->last_errno = errno;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
            BIO_set_retry_write(bio);
        }
    }
    return (int)n;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
    struct cel_tls_stream *s = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    ssize_t n = recv(s->fd, bytes, (size_t)size, 0);
    if (n < 0) {
        s->last_errno = errno;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
            BIO_set_retry_read(bio);
        }
    }
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long num, void *arg)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method_new(void)
{
    /* No number of its own: BIO_get_new_index() has only 127 of them to give. */
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");

    if (m) {
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

/* The reason of OpenSSL's oldest queued error, which is the cause of those behind it. */
static const char *reason(void)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return text ? text : "unknown reason";
}

/* A key with a pass phrase is refused: OpenSSL would ask for it on the terminal. */
static int no_pass_phrase(char *text, int size, int writing, void *arg)
{
    return 0;
}

static celery_status bad_file(const char *option, const char *path, celery_error *err)
{
    if (access(path, R_OK) < 0) {
        return cel_error_sys(err, CELERY_ECONFIG, errno, "%s: cannot read %s", option,
                             path);
    }
    return cel_error_set(err, CELERY_ECONFIG, "%s: cannot use %s: %s", option, path,
                         reason());
}

static celery_status load_authorities(SSL_CTX *ctx, const char *path, celery_error *err)
{
    struct stat st;

    if (!path) {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "the system's certificate store cannot be read: %s",
                                 reason());
        }
        return CELERY_OK;
    }
    if (stat(path, &st) < 0) {
        return bad_file("ssl_ca_certs", path, err);
    }
    int ok = S_ISDIR(st.st_mode) ? SSL_CTX_load_verify_dir(ctx, path)
                                 : SSL_CTX_load_verify_file(ctx, path);
    return ok == 1 ? CELERY_OK : bad_file("ssl_ca_certs", path, err);
}

static celery_status load_own(SSL_CTX *ctx, const struct cel_tls_options *options,
                              celery_error *err)
{
    if (!options->certfile) {
        return CELERY_OK;
    }
    const char *key = options->keyfile ? options->keyfile : options->certfile;
    SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, options->certfile) != 1) {
        return bad_file("ssl_certfile", options->certfile, err);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        return bad_file("ssl_keyfile", key, err);
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        return cel_error_set(err, CELERY_ECONFIG,
                             "ssl_keyfile %s does not belong to ssl_certfile %s", key,
                             options->certfile);
    }
    return CELERY_OK;
}

static celery_status context_init(struct cel_tls *tls,
                                  const struct cel_tls_options *options,
                                  celery_error *err)
{
    tls->bio = bio_method_new();
    tls->ctx = SSL_CTX_new(TLS_client_method());
    if (!tls->bio || !tls->ctx) {
        return cel_error_set(err, CELERY_ENOMEM, "cannot set up TLS: %s", reason());
    }
    SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(tls->ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls->ctx, 1);
    /* For a client, Python's CERT_OPTIONAL verifies like CERT_REQUIRED. */
    bool verify = options->verify != CEL_TLS_NONE;
    SSL_CTX_set_verify(tls->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    tls->check_hostname = verify && options->check_hostname;

    celery_status status =
        verify ? load_authorities(tls->ctx, options->ca_certs, err) : CELERY_OK;
    return status < 0 ? status : load_own(tls->ctx, options, err);
}

static void context_free(struct cel_tls *tls)
{
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->bio);
    cel_free(tls->server_hostname);
    cel_free(tls);
}

static celery_status context_new(const struct cel_tls_options *options,
                                 struct cel_tls **ret_tls, celery_error *err)
{
    struct cel_tls *tls = cel_calloc(1, sizeof *tls);

    if (!tls) {
        return cel_error_nomem(err);
    }
    ERR_clear_error();
    if (options->server_hostname) {
        tls->server_hostname = cel_strdup(options->server_hostname);
        if (!tls->server_hostname) {
            context_free(tls);
            return cel_error_nomem(err);
        }
    }
    celery_status status = context_init(tls, options, err);
    if (status < 0) {
        context_free(tls);
        return status;
    }
    *ret_tls = tls;
    return CELERY_OK;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* An address must be among the certificate's IP names; a name also goes out as SNI. */
static bool expect_name(SSL *ssl, const char *host, bool check)
{
    if (is_address(host)) {
        return !check || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 &&
           (!check || SSL_set1_host(ssl, host));
}

static celery_status stream_init(struct cel_tls_stream *s, struct cel_tls *tls,
                                 const char *host, celery_error *err)
{
    s->ssl = SSL_new(tls->ctx);
    BIO *bio = BIO_new(tls->bio);
    if (!s->ssl || !bio) {
        BIO_free(bio);
        return cel_error_set(err, CELERY_ENOMEM, "cannot set up TLS: %s", reason());
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_connect_state(s->ssl);
    host = tls->server_hostname ? tls->server_hostname : host;
    if (host && !expect_name(s->ssl, host, tls->check_hostname)) {
        return cel_error_set(err, CELERY_ECONFIG, "host name not usable with TLS: %s",
                             reason());
    }
    return CELERY_OK;
}

static void stream_free(struct cel_tls_stream *s)
{
    SSL_free(s->ssl);
    cel_free(s);
}

static celery_status stream_new(struct cel_tls *tls, int fd, const char *host,
                                struct cel_tls_stream **ret_stream, celery_error *err)
{
    struct cel_tls_stream *s = cel_calloc(1, sizeof *s);

    if (!s) {
        return cel_error_nomem(err);
    }
    s->fd = fd;
    ERR_clear_error();
    celery_status status = stream_init(s, tls, host, err);
    if (status < 0) {
        stream_free(s);
        return status;
    }
    *ret_stream = s;
    return CELERY_OK;
}

static celery_status wait_for(unsigned *ret_wait, unsigned what)
{
    *ret_wait = what;
    return CELERY_NONE;
}

static celery_status refused(struct cel_tls_stream *s, celery_error *err)
{
    long verdict = SSL_get_verify_result(s->ssl);

    if (verdict != X509_V_OK) {
        ERR_clear_error();
        const char *hint = "";
        if (verdict == X509_V_ERR_HOSTNAME_MISMATCH ||
            verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
            hint = ": use the name the certificate was made for";
        } else if (verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                   verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
                   verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) {
            hint = ": name its issuer with ssl_ca_certs";
        }
        return cel_error_set(err, CELERY_ECONNECT,
                             "the server's certificate is refused: %s%s",
                             X509_verify_cert_error_string(verdict), hint);
    }
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER) {
        return cel_error_set(err, CELERY_ECONNECT,
                             "TLS failed: the server does not speak it on this port (%s)",
                             reason());
    }
    return cel_error_set(err, CELERY_ECONNECT, "TLS failed: %s", reason());
}

/* What a result <= 0 of an SSL_ function means. */
static celery_status judge(struct cel_tls_stream *s, int result, unsigned *ret_wait,
                           celery_error *err)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(ret_wait, CEL_READ);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(ret_wait, CEL_WRITE);
    case SSL_ERROR_ZERO_RETURN:
        return cel_error_set(err, CELERY_ECLOSED, "closed by the server");
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        if (s->last_errno) {
            return cel_error_sys(err, CELERY_ECLOSED, s->last_errno, "connection lost");
        }
        return cel_error_set(err, CELERY_ECLOSED, "closed by the server");
    default:
        break;
    }
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return cel_error_set(err, CELERY_ECLOSED, "closed by the server");
    }
    return refused(s, err);
}

static celery_status tls_handshake(struct cel_tls_stream *s, unsigned *ret_wait,
                                   celery_error *err)
{
    ERR_clear_error();
    s->last_errno = 0;
    int result = SSL_do_handshake(s->ssl);
    if (result == 1) {
        return CELERY_OK;
    }
    celery_status status = judge(s, result, ret_wait, err);
    return status == CELERY_ECLOSED
               ? cel_error_prefix(err, CELERY_ECONNECT, "TLS handshake: ")
               : status;
}

static int clamp(size_t len)
{
    return len > INT_MAX ? INT_MAX : (int)len;
}

static celery_status tls_read(struct cel_tls_stream *s, void *bytes, size_t size,
                              size_t *ret_n, unsigned *ret_wait, celery_error *err)
{
    ERR_clear_error();
    s->last_errno = 0;
    int n = SSL_read(s->ssl, bytes, clamp(size));
    if (n > 0) {
        *ret_n = (size_t)n;
        return CELERY_OK;
    }
    return judge(s, n, ret_wait, err);
}

static celery_status tls_write(struct cel_tls_stream *s, const void *bytes, size_t len,
                               size_t *ret_n, unsigned *ret_wait, celery_error *err)
{
    ERR_clear_error();
    s->last_errno = 0;
    int n = SSL_write(s->ssl, bytes, clamp(len));
    if (n > 0) {
        *ret_n = (size_t)n;
        return CELERY_OK;
    }
    return judge(s, n, ret_wait, err);
}

/* ---- hashes ---- */

static bool sha256(const void *bytes, size_t len, unsigned char digest[32])
{
    return SHA256(bytes, len, digest) != NULL;
}

static bool hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                        unsigned char digest[32])
{
    return key_len <= INT_MAX &&
           HMAC(EVP_sha256(), key, (int)key_len, bytes, len, digest, NULL) != NULL;
}

static const struct cel_tls_driver driver = {
    .context_new = context_new,
    .context_free = context_free,
    .stream_new = stream_new,
    .stream_free = stream_free,
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .sha256 = sha256,
    .hmac_sha256 = hmac_sha256,
};

CEL_MODULE("tls", &driver);
