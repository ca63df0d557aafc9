/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/queue.h"

bool cel_queue_is_quorum(const struct cel_queue *q)
{
    return cel_slice_is(
        cel_node_text(cel_node_get(q->arguments, CEL_SLICE("x-queue-type"))), "quorum");
}

static bool has_name(const char *exchange)
{
    return exchange && exchange[0];
}

/* The server's own exchanges are there (Exchange._can_declare). */
static bool can_declare(const char *exchange, bool no_declare)
{
    return !no_declare && has_name(exchange) && strncmp(exchange, "amq.", 4) != 0;
}

static struct cel_queue_step exchange_step(const struct cel_binding *b)
{
    return (struct cel_queue_step){
        .kind = CEL_DECLARE_EXCHANGE,
        .name = b->exchange,
        .type = has_name(b->exchange_type) ? b->exchange_type : "direct",
        .arguments = b->exchange_arguments,
        .durable = !b->exchange_transient,
        .auto_delete = b->exchange_auto_delete,
        .passive = b->exchange_passive,
    };
}

static struct cel_queue_step bind_step(const struct cel_queue *q,
                                       const struct cel_binding *b)
{
    return (struct cel_queue_step){
        .kind = CEL_BIND_QUEUE,
        .name = q->name,
        .source = b->exchange,
        .routing_key = b->routing_key ? b->routing_key : "",
        .arguments = b->arguments,
    };
}

static struct cel_queue_step queue_step(const struct cel_queue *q)
{
    return (struct cel_queue_step){
        .kind = CEL_DECLARE_QUEUE,
        .name = q->name,
        .arguments = q->arguments,
        .durable = q->durable,
        .auto_delete = q->auto_delete,
        .exclusive = q->exclusive,
    };
}

/* The queue's own exchange, in the form of the others. */
static struct cel_binding first_binding(const struct cel_queue *q)
{
    return (struct cel_binding){
        .exchange = q->exchange,
        .exchange_type = q->exchange_type,
        .routing_key = q->routing_key,
        .arguments = q->binding_arguments,
        .exchange_arguments = q->exchange_arguments,
        .exchange_transient = q->exchange_transient,
        .exchange_auto_delete = q->exchange_auto_delete,
        .exchange_passive = q->exchange_passive,
        .exchange_no_declare = q->exchange_no_declare,
    };
}

/* The order is that of Queue.declare(): exchange, queue, binding; exchange and binding ... */
bool cel_queue_step(const struct cel_queue *q, size_t i, struct cel_queue_step *ret)
{
    struct cel_binding b = first_binding(q);
    if (q->no_declare || (q->exchange_only && i > 0)) {
        return false;
    }
    if (can_declare(b.exchange, b.exchange_no_declare) && i-- == 0) {
        *ret = exchange_step(&b);
        return true;
    }
    if (i-- == 0) {
        *ret = queue_step(q);
        return true;
    }
    if (has_name(b.exchange) && i-- == 0) {
        *ret = bind_step(q, &b);
        return true;
    }
    for (size_t n = 0; n < q->n_bindings; n++) {
        b = q->bindings[n];
        if (can_declare(b.exchange, b.exchange_no_declare) && i-- == 0) {
            *ret = exchange_step(&b);
            return true;
        }
        if (has_name(b.exchange) && i-- == 0) {
            *ret = bind_step(q, &b);
            return true;
        }
    }
    return false;
}

static celery_status put_ms(struct cel_arena *a, struct cel_node *arguments,
                            const char *key, double seconds)
{
    return seconds <= 0 ? CELERY_OK
                        : cel_node_put(a, arguments, cel_slice_of(key),
                                       cel_node_new_int(a, (int64_t)(seconds * 1000)));
}

struct cel_node *cel_queue_lifetime(struct cel_arena *a, double expires, double ttl)
{
    struct cel_node *arguments = cel_node_new(a, CELERY_KIND_OBJECT);

    return arguments && put_ms(a, arguments, "x-expires", expires) == 0 &&
                   put_ms(a, arguments, "x-message-ttl", ttl) == 0
               ? arguments
               : NULL;
}
