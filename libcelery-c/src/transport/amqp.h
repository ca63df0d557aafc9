/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CEL_TRANSPORT_AMQP_H
#define CEL_TRANSPORT_AMQP_H

#include "transport/transport.h"

/* amqp, pyamqp, amqps: AMQP 0-9-1, RabbitMQ's own protocol. */
extern const struct cel_transport_ops cel_transport_amqp;

#endif
