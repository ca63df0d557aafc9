/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/dead_letter.h"

bool cel_dead_is(const char *queue)
{
    struct cel_slice name = cel_slice_of(queue);

    return cel_slice_ends(name, CEL_SLICE(CEL_DEAD_SUFFIX)) ||
           cel_slice_ends(name, CEL_SLICE(CEL_DEAD_SUFFIX ".fifo"));
}

static celery_status put(struct cel_arena *a, struct cel_node *headers, const char *name,
                         struct cel_node *value)
{
    return value ? cel_node_put(a, headers, cel_slice_of(name), value) : CELERY_ENOMEM;
}

celery_status cel_dead_describe(struct cel_envelope *env, struct cel_slice reason,
                                double time, struct cel_slice queue)
{
    struct cel_arena *a = &env->arena;
    struct cel_node *headers = env->headers ? cel_node_copy(a, env->headers)
                                            : cel_node_new(a, CELERY_KIND_OBJECT);

    if (!headers || headers->kind != CELERY_KIND_OBJECT ||
        put(a, headers, CEL_DEAD_REASON, cel_node_new_string(a, reason)) < 0 ||
        put(a, headers, CEL_DEAD_TIME, cel_node_new_double(a, time)) < 0 ||
        put(a, headers, CEL_DEAD_QUEUE, cel_node_new_string(a, queue)) < 0) {
        return CELERY_ENOMEM;
    }
    env->headers = headers;
    return CELERY_OK;
}
