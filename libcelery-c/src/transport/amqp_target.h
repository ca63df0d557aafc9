/* SPDX-License-Identifier: BSD-3-Clause */
/* How one URL of an AMQP broker is connected to: it, broker_transport_options, the settings. */
#ifndef CEL_TRANSPORT_AMQP_TARGET_H
#define CEL_TRANSPORT_AMQP_TARGET_H

#include "transport/amqp_conn.h"
#include "transport/amqp_options.h"
#include "transport/transport.h"

struct cel_amqp_target {
    struct cel_amqp_params
        params; /* borrows from url, options, login and what is below */
    struct cel_amqp_options of_url;
    struct cel_tls *tls; /* NULL: plain; whoever keeps it beyond fini takes it out */
};

/*
 * options: of broker_transport_options; connect_timeout: of the settings, 0: 4 s.
 * cel_amqp_target_fini() is due even after a failure.
 */
celery_status cel_amqp_target_init(struct cel_amqp_target *target,
                                   const struct cel_url *url,
                                   const struct cel_amqp_options *options,
                                   const struct cel_transport_login *login,
                                   double connect_timeout, celery_error *err);
void cel_amqp_target_fini(struct cel_amqp_target *target);

#endif
