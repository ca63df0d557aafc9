/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS settings.  Only tls.c includes OpenSSL's ssl.h. */
#ifndef CEL_NET_TLS_H
#define CEL_NET_TLS_H

#include <celery/error.h>

enum cel_tls_verify { CEL_TLS_REQUIRED, CEL_TLS_OPTIONAL, CEL_TLS_NONE };

/* Everything as text, owned by whoever made it; NULL where not given. */
struct cel_tls_options {
    enum cel_tls_verify verify; /* chain (and name, unless check_hostname is false) */
    bool check_hostname;
    char *ca_certs; /* PEM file or folder; NULL: the system's store */
    char *certfile;
    char *keyfile;
};

struct cel_tls; /* a context: TLS 1.2 or newer, chain and name verified */

/* Reads the files; CELERY_ECONFIG names the one that cannot be read and why. */
celery_status cel_tls_new(const struct cel_tls_options *options, struct cel_tls **ret_tls,
                          celery_error *err);
struct cel_tls *cel_tls_free(struct cel_tls *tls);

#endif
