/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protocol 1: one map for everything (celery/worker/strategy.py proto1_to_proto2,
 * hybrid_to_proto2).
 */
#include "base/error.h"
#include "message/task_fields.h"

/* A node without its neighbours, so that it can be put into another container. */
static struct cel_node *detached(struct cel_arena *a, const struct cel_node *n)
{
    struct cel_node *copy = cel_node_new(a, CELERY_KIND_NULL);
    if (copy && n) {
        *copy = *n;
        copy->next = NULL;
    }
    return copy;
}

static const struct cel_node *make_embed(struct cel_arena *a, const struct cel_node *body)
{
    static const struct cel_slice names[] = {
        {"callbacks", 9}, {"errbacks", 8}, {"chain", 5}, {"chord", 5}};
    struct cel_node *embed = cel_node_new(a, CELERY_KIND_OBJECT);
    for (size_t i = 0; embed && i < sizeof names / sizeof names[0]; i++) {
        const struct cel_node *v =
            cel_slice_is(names[i], "chain") ? NULL : cel_node_get(body, names[i]);
        if (cel_node_put(a, embed, names[i], detached(a, v)) < 0) {
            embed = NULL;
        }
    }
    return embed;
}

celery_status cel_task_v1_body(struct cel_arena *a, const struct cel_node *body,
                               struct cel_task_call *call, celery_error *err)
{
    const struct cel_node *args = cel_node_get(body, CEL_SLICE("args"));
    const struct cel_node *kwargs = cel_node_get(body, CEL_SLICE("kwargs"));
    args = args ? args : cel_node_new(a, CELERY_KIND_ARRAY);
    kwargs = kwargs ? kwargs : cel_node_new(a, CELERY_KIND_OBJECT);
    const struct cel_node *embed = make_embed(a, body);
    if (!args || !kwargs || !embed) {
        return cel_error_nomem(err);
    }
    if (args->kind != CELERY_KIND_ARRAY) {
        return cel_error_set(err, CELERY_EMESSAGE, "args is no list");
    }
    if (kwargs->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_EMESSAGE, "kwargs is no map");
    }
    call->args = args;
    call->kwargs = kwargs;
    call->embed = embed;
    return CELERY_OK;
}
