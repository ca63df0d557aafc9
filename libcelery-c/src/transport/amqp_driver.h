/* SPDX-License-Identifier: BSD-3-Clause */
/* What the module rabbitmq.so offers of rabbitmq-c: methods and properties, as bytes and back. */
#ifndef CEL_TRANSPORT_AMQP_DRIVER_H
#define CEL_TRANSPORT_AMQP_DRIVER_H

#include <celery/error.h>

/* <amqp.h> of newer versions warns that it has moved. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

/* Each is the function of rabbitmq-c with that name. */
struct cel_amqp_driver {
    void (*init_pool)(amqp_pool_t *pool, size_t page);
    void (*empty_pool)(amqp_pool_t *pool);
    int (*decode_method)(amqp_method_number_t id, amqp_pool_t *pool, amqp_bytes_t encoded,
                         void **ret_decoded);
    int (*decode_properties)(uint16_t class_id, amqp_pool_t *pool, amqp_bytes_t encoded,
                             void **ret_decoded);
    int (*encode_method)(amqp_method_number_t id, void *decoded, amqp_bytes_t encoded);
    int (*encode_properties)(uint16_t class_id, void *decoded, amqp_bytes_t encoded);
};

/* Loads the module once; NULL with err. */
const struct cel_amqp_driver *cel_amqp_driver(celery_error *err);

#endif
