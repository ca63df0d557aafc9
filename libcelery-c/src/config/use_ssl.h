/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings broker_use_ssl and redis_backend_use_ssl. */
#ifndef CEL_CONFIG_USE_SSL_H
#define CEL_CONFIG_USE_SSL_H

#include "base/url.h"
#include "codec/doc.h"

/*
 * Turns redis:// URLs into rediss:// ones and amqp:// into amqps:// with the options of value:
 * true, or an object of ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile,
 * ssl_check_hostname and ssl_server_hostname, or of the same without ssl_ (py-amqp).  What a
 * URL says itself wins.  Nothing happens for NULL, null, false and {}.  setting: its name.
 */
celery_status cel_use_ssl(struct cel_url *const *urls, size_t n,
                          const struct cel_node *value, const char *setting,
                          celery_error *err);

#endif
