/* SPDX-License-Identifier: BSD-3-Clause */
/* celery.map, celery.starmap and celery.chunks. */
#include "canvas/sig.h"

/* task_name_from() */
static struct cel_slice mapped_name(const struct cel_sig *sig)
{
    const struct cel_val *task = &sig->kw->task;

    return task->kind == CEL_VAL_SIG
               ? task->sig->task
               : cel_node_text(cel_node_get(task->node, CEL_KEY("task")));
}

/* _basemap.apply_async() */
struct cel_res *cel_map_apply(struct cel_ctx *x, const struct cel_sig *sig,
                              struct cel_opts *opts)
{
    struct cel_sig task = *sig;

    cel_opts_drop_none(opts);
    struct cel_opts *merged = cel_sig_merge_opts(x, sig, opts);
    struct cel_slice route = cel_opts_pop_text(merged, CEL_KEY("route_name"));
    cel_map_to_task(x, &task);
    if (!cel_ctx_ok(x)) {
        return NULL;
    }
    return cel_call_send(x, &(struct cel_call){
                                .task = sig->task,
                                .route_name = route.len ? route : mapped_name(sig),
                                .kwargs = task.kw->node,
                                .opts = merged,
                            });
}

/* chunks.group() */
static struct cel_list_obj *parts(struct cel_ctx *x, const struct cel_sig *sig)
{
    struct cel_list_obj *l = cel_list_obj_new(x, 0);
    const struct cel_node *n = cel_node_first(sig->kw->it);

    while (l && n && cel_ctx_ok(x)) {
        struct cel_node *part = cel_node_new(x->a, CELERY_KIND_ARRAY);
        for (int64_t i = 0; part && n && i < sig->kw->n; i++, n = n->next) {
            if (cel_node_append(part, cel_node_shallow(x->a, n)) < 0) {
                part = NULL;
            }
        }
        if (!part) {
            cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
            break;
        }
        struct cel_sig *map =
            cel_map_make(x, CEL_SIG_STARMAP, sig->kw->task, part, 0, NULL);
        if (map) {
            cel_list_obj_add(x, l, cel_val_sig(map));
        }
    }
    return l;
}

/* chunks.apply_async(): the signature's own options are for nobody. */
struct cel_res *cel_chunks_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                 const struct cel_node *args,
                                 const struct cel_node *kwargs, struct cel_opts *opts)
{
    if (sig->kw->n <= 0) {
        cel_ctx_fail(x, CELERY_EMESSAGE, "kwargs.n: chunks of no size");
        return NULL;
    }
    struct cel_sig *group =
        cel_sig_of_tasks(x, CEL_SIG_GROUP, parts(x, sig), cel_opts_new(x));
    if (!group) {
        return NULL;
    }
    cel_opts_set_text(x, opts, CEL_KEY("route_name"), mapped_name(sig));
    return cel_group_apply(x, group, args, kwargs, opts);
}
