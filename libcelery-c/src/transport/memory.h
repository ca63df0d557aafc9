/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A broker inside the process: memory://name.  Transports of one name share their queues, also
 * between threads.  What a closed transport had not settled goes back.
 */
#ifndef CEL_TRANSPORT_MEMORY_H
#define CEL_TRANSPORT_MEMORY_H

#include "transport/transport.h"

extern const struct cel_transport_ops cel_transport_memory;

/* For tests: puts bytes into a queue of a named broker as they are. */
celery_status cel_memory_push(const char *broker, const char *queue,
                              struct cel_slice raw);

/* For tests and dead-letter tools: how many raw messages were parked from a queue. */
size_t cel_memory_parked(const char *broker, const char *queue);

#endif
