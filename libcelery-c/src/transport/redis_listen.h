/* SPDX-License-Identifier: BSD-3-Clause */
/* What is consumed from, and the second connection, which tells of it. */
#ifndef CEL_TRANSPORT_REDIS_LISTEN_H
#define CEL_TRANSPORT_REDIS_LISTEN_H

#include "transport/redis_state.h"

/* The slots of the interface. */
celery_status cel_redis_consume(struct cel_transport *t, const char *queue,
                                celery_error *err);
celery_status cel_redis_cancel(struct cel_transport *t, const char *queue,
                               celery_error *err);

#endif
