/* SPDX-License-Identifier: BSD-3-Clause */
/* Which queues a message reaches, decided as kombu/transport/virtual/exchange.py does. */
#ifndef CEL_TRANSPORT_EXCHANGE_H
#define CEL_TRANSPORT_EXCHANGE_H

#include "base/buf.h"

enum cel_exchange_type { CEL_EXCHANGE_DIRECT, CEL_EXCHANGE_TOPIC, CEL_EXCHANGE_FANOUT };

/* "direct", "topic", "fanout"; NULL and "" are direct.  False for others ("headers"). */
bool cel_exchange_type_parse(const char *name, enum cel_exchange_type *ret);

/*
 * True when a binding made with binding_key gets a message with routing_key.  In a topic
 * exchange kombu turns "*" into .*?[^\.] and "#" into .*? (so "*" spans dots, and "a.#" does
 * not match "a"); other words are compared as they are.
 */
bool cel_exchange_match(enum cel_exchange_type type, struct cel_slice binding_key,
                        struct cel_slice routing_key);

/* The regular expression kombu keeps for a topic binding: "^worker\..*?$". */
celery_status cel_exchange_topic_pattern(struct cel_buf *out,
                                         struct cel_slice binding_key);

#endif
