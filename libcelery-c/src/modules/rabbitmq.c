/* SPDX-License-Identifier: BSD-3-Clause */
/* A module of its own also because rabbitmq-c brings OpenSSL along, whether it is used or not. */
#include "base/module.h"
#include "transport/amqp_driver.h"

static const struct cel_amqp_driver driver = {
    .init_pool = init_amqp_pool,
    .empty_pool = empty_amqp_pool,
    .decode_method = amqp_decode_method,
    .decode_properties = amqp_decode_properties,
    .encode_method = amqp_encode_method,
    .encode_properties = amqp_encode_properties,
};

CEL_MODULE("amqp", &driver);
