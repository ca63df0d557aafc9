/* SPDX-License-Identifier: BSD-3-Clause */
/* What broker_transport_options and the query of a URL say to AMQP. */
#ifndef CEL_TRANSPORT_AMQP_OPTIONS_H
#define CEL_TRANSPORT_AMQP_OPTIONS_H

#include "base/url.h"
#include "codec/doc.h"
#include "net/tls.h"

struct cel_amqp_options {
    double connect_timeout; /* seconds; 0: not given */
    double read_timeout;    /* of any answer of the broker */
    double write_timeout;   /* of a publisher confirm */
    double heartbeat;       /* below 0: not given */
    double
        consumer_timeout; /* seconds the broker lets a delivery be unsettled; 0: ever */
    char *login_method;
    char *name; /* client_properties.connection_name */
};

/*
 * The options of broker_transport_options; what kombu or py-amqp take and we do otherwise
 * (confirm_publish: always) or not at all is skipped.
 */
celery_status cel_amqp_options_read(const struct cel_node *options,
                                    struct cel_amqp_options *ret, celery_error *err);

/* The query of one URL over them, and whether the URL can be used at all. */
celery_status cel_amqp_options_url(const struct cel_url *url,
                                   struct cel_amqp_options *set, celery_error *err);
void cel_amqp_options_fini(struct cel_amqp_options *set);

/* The virtual host of a URL: "", "/" and "//" are "/" (kombu utils/url.py). */
const char *cel_amqp_vhost(const struct cel_url *url);

/* The TLS context of amqps:// and its ssl_ options; NULL for others. */
celery_status cel_amqp_tls(const struct cel_url *url, struct cel_tls **ret_tls,
                           celery_error *err);

#endif
