/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_copy.h"

/* RabbitMQ refuses messages in the name of another user than the connection's. */
static const struct cel_node *without_user(struct cel_arena *a,
                                           const struct cel_node *properties)
{
    struct cel_node *copy;

    if (!cel_node_get(properties, CEL_SLICE("user_id"))) {
        return properties;
    }
    copy = cel_node_new(a, CELERY_KIND_OBJECT);
    for (const struct cel_node *k = cel_node_first(properties), *v; copy && k;
         k = v->next) {
        v = k->next;
        if (!cel_slice_is(cel_node_text(k), "user_id") &&
            cel_node_put(a, copy, cel_node_text(k), cel_node_copy(a, v)) < 0) {
            return NULL;
        }
    }
    return copy;
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
    copy->headers = env->headers ? cel_node_copy(&copy->arena, env->headers)
                                 : cel_node_new(&copy->arena, CELERY_KIND_OBJECT);
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
