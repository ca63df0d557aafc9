/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_copy.h"
#include "transport/amqp_state.h"

/* NULL: out of memory. */
static struct cel_node *without(struct cel_arena *a, const struct cel_node *object,
                                const char *name)
{
    struct cel_node *copy = cel_node_new(a, CELERY_KIND_OBJECT);

    for (const struct cel_node *k = cel_node_first(object), *v; copy && k; k = v->next) {
        v = k->next;
        if (!cel_slice_is(cel_node_text(k), name) &&
            cel_node_put(a, copy, cel_node_text(k), cel_node_copy(a, v)) < 0) {
            return NULL;
        }
    }
    return copy;
}

/* RabbitMQ refuses messages in the name of another user than the connection's. */
static const struct cel_node *without_user(struct cel_arena *a,
                                           const struct cel_node *properties)
{
    return cel_node_get(properties, CEL_SLICE("user_id"))
               ? without(a, properties, "user_id")
               : properties;
}

struct cel_envelope *cel_amqp_copy(const struct cel_envelope *env)
{
    struct cel_envelope *copy = cel_envelope_new();
    struct cel_arena arena;

    if (!copy) {
        return NULL;
    }
    arena = copy->arena;
    *copy = *env;
    copy->arena = arena;
    /* The broker's own count is of what the copy replaces. */
    copy->headers = without(&copy->arena, env->headers, CEL_AMQP_DELIVERY_COUNT);
    if (env->properties) {
        copy->properties = without_user(&copy->arena, env->properties);
    }
    if (!copy->headers || (env->properties && !copy->properties)) {
        return cel_envelope_free(copy);
    }
    copy->optional = copy->written = false;
    return copy;
}

bool cel_amqp_copy_node(struct cel_envelope *copy, const char *name,
                        struct cel_node *value)
{
    /* The copy's headers were made by cel_amqp_copy(). */
    struct cel_node *headers = (struct cel_node *)(uintptr_t)copy->headers;

    return cel_node_put(&copy->arena, headers, cel_slice_of(name), value) == 0;
}

bool cel_amqp_copy_int(struct cel_envelope *copy, const char *name, int64_t value)
{
    return cel_amqp_copy_node(copy, name, cel_node_new_int(&copy->arena, value));
}

bool cel_amqp_copy_text(struct cel_envelope *copy, const char *name,
                        struct cel_slice value)
{
    return cel_amqp_copy_node(copy, name, cel_node_new_string(&copy->arena, value));
}

bool cel_amqp_copy_redelivered(struct cel_envelope *copy)
{
    return cel_amqp_copy_node(copy, "redelivered", cel_node_new_bool(&copy->arena, true));
}

bool cel_amqp_copy_deliveries(struct cel_envelope *copy, const struct cel_amqp_held *h,
                              int64_t more)
{
    return !cel_queue_is_quorum(&h->queue->def) || h->deliveries + more == 0 ||
           cel_amqp_copy_int(copy, CEL_AMQP_DELIVERIES, h->deliveries + more);
}
