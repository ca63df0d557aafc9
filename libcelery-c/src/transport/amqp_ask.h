/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked of the broker about queues and exchanges, on a channel of its own: a refusal
 * closes the channel, and so nothing else.  One request after the other; the methods of
 * one request go out together.
 */
#ifndef CEL_TRANSPORT_AMQP_ASK_H
#define CEL_TRANSPORT_AMQP_ASK_H

#include "transport/amqp_state.h"

struct cel_amqp_ask;

/* An empty request.  NULL: out of memory; the calls below take that. */
struct cel_amqp_ask *cel_amqp_ask_new(struct cel_amqp_transport *a);

/* Adds a method; all of it is copied. */
void cel_amqp_ask_add(struct cel_amqp_ask *ask, const struct cel_amqp_method *method);
void cel_amqp_ask_step(struct cel_amqp_ask *ask, const struct cel_queue_step *step);

/* Forgets a request that was not sent.  NULL is harmless. */
void cel_amqp_ask_drop(struct cel_amqp_ask *give_ask);

/* Sends it when those before have ended.  done gets the count of the last answer. */
void cel_amqp_ask_run(struct cel_amqp_transport *a, struct cel_amqp_ask *give_ask,
                      struct cel_done done);

/* At the end of a pass: goes on after a refusal. */
void cel_amqp_ask_flush(struct cel_amqp_transport *a);

/* The connection is gone: what waits ends with CELERY_ECLOSED. */
void cel_amqp_ask_reset(struct cel_amqp_transport *a);

#endif
