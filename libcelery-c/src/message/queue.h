/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues, exchanges and bindings (kombu/entity.py), and what declaring them takes. */
#ifndef CEL_MESSAGE_QUEUE_H
#define CEL_MESSAGE_QUEUE_H

#include "codec/doc.h"

/* One more exchange that a queue is bound to (kombu.binding). */
struct cel_binding {
    const char *exchange;
    const char *exchange_type;
    const char *routing_key;
    const struct cel_node *arguments;          /* of the binding; or NULL */
    const struct cel_node *exchange_arguments; /* or NULL */
    bool exchange_transient;                   /* not durable */
    bool exchange_auto_delete;
    bool exchange_passive;
    bool exchange_no_declare;
};

/*
 * A queue with its exchange and binding (kombu.Queue).  Arguments are whole: max_priority and
 * its like are among them already.
 */
struct cel_queue {
    const char *name;
    const char *exchange;      /* "" is the default exchange */
    const char *exchange_type; /* "direct", "topic", "fanout", "headers" */
    const char *routing_key;
    const struct cel_node *arguments; /* queue_arguments; or NULL */
    bool durable;
    bool auto_delete;
    bool no_declare;
    bool exclusive; /* this connection's alone (AMQP) */
    bool
        no_ack; /* what it delivers is settled already: replies.  Its tags are not used */
    bool exchange_transient; /* not durable */
    bool exchange_auto_delete;
    bool exchange_passive; /* it must be there, nothing is made */
    bool exchange_no_declare;
    bool exchange_only; /* for who sends to a fanout: nothing is bound to it */
    int delivery_mode;  /* of what is sent to it; 0: unset */
    const struct cel_node *exchange_arguments; /* or NULL */
    const struct cel_node *binding_arguments;  /* or NULL */
    const struct cel_node *consumer_arguments; /* of basic.consume; or NULL */
    const struct cel_binding *bindings;        /* besides the first */
    size_t n_bindings;
};

/* True for x-queue-type: quorum. */
bool cel_queue_is_quorum(const struct cel_queue *q);

/*
 * What kombu makes of a queue's expires and message_ttl, in seconds; 0: none.  An object; NULL:
 * out of memory.
 */
struct cel_node *cel_queue_lifetime(struct cel_arena *a, double expires, double ttl);

enum cel_queue_step_kind {
    CEL_DECLARE_EXCHANGE,
    CEL_DECLARE_QUEUE,
    CEL_BIND_QUEUE,
    CEL_BIND_EXCHANGE,
};

/* One method for the broker. */
struct cel_queue_step {
    enum cel_queue_step_kind kind;
    const char *name;   /* what is declared, or the destination of a binding */
    const char *type;   /* of an exchange that is declared */
    const char *source; /* the exchange that a binding comes from */
    const char *routing_key;
    const struct cel_node *arguments; /* NULL: none */
    bool durable, auto_delete, exclusive, passive;
};

/*
 * The i-th step of kombu's Queue.declare(); false: there are no more.  What lies with the
 * broker already (exchanges without a name or named amq.*, no_declare) is left out.
 */
bool cel_queue_step(const struct cel_queue *q, size_t i, struct cel_queue_step *ret);

#endif
