/* SPDX-License-Identifier: BSD-3-Clause */
/* Bindings as RabbitMQ's management plugin tells them: AMQP itself has no question for it. */
#ifndef CEL_CLIENT_BINDINGS_AMQP_H
#define CEL_CLIENT_BINDINGS_AMQP_H

#include "client/client.h"
#include <celery/queue.h>

/*
 * Asks GET <api>/bindings/<vhost> and calls fn for each: <api> is broker_api, or else the host and
 * the login of the broker's URL at port 15672, with manager_hostname, manager_port,
 * manager_userid and manager_password of broker_transport_options as kombu has them
 * (kombu/utils/amq_manager.py). The client is connected.  Errors say what to do:
 * CELERY_ECLOSED, CELERY_ESYSTEM, CELERY_ETIMEOUT, CELERY_EPROTO and CELERY_EMESSAGE when nobody,
 * or somebody else, answers there, CELERY_EAUTH for a login that is refused.
 */
celery_status cel_client_bindings_amqp(celery_client *client, celery_binding_fn fn,
                                       void *ctx, celery_error *err);

#endif
