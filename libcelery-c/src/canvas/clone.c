/* SPDX-License-Identifier: BSD-3-Clause */
/* Signature._merge() and clone() of each class. */
#include "canvas/sig.h"

/* ---- _merge() ---- */

static bool has_text(const struct cel_val *list, struct cel_slice text)
{
    if (!list || list->kind == CEL_VAL_SIG) {
        return false;
    }
    if (list->kind == CEL_VAL_LIST) {
        for (size_t i = 0; i < list->list->n; i++) {
            const struct cel_val *v = &list->list->items[i];
            if (v->kind == CEL_VAL_NODE && cel_slice_eq(cel_node_text(v->node), text)) {
                return true;
            }
        }
        return false;
    }
    for (const struct cel_node *n = cel_node_first(list->node); n; n = n->next) {
        if (cel_slice_eq(cel_node_text(n), text)) {
            return true;
        }
    }
    return false;
}

struct cel_opts *cel_sig_merge_opts(struct cel_ctx *x, const struct cel_sig *sig,
                                    const struct cel_opts *opts)
{
    struct cel_opts *merged = cel_opts_copy(x, sig->opts);
    const struct cel_val *stamped = cel_opts_find(sig->opts, CEL_KEY("stamped_headers"));

    for (size_t i = 0; opts && i < opts->n; i++) {
        struct cel_slice key = opts->items[i].key;
        bool fixed = cel_slice_is(key, "group_id") ||
                     cel_slice_is(key, "stamped_headers") || has_text(stamped, key);
        if (!fixed || !cel_opts_find(sig->opts, key)) {
            cel_opts_set(x, merged, key, opts->items[i].value);
        }
    }
    return merged;
}

const struct cel_node *cel_args_joined(struct cel_ctx *x, const struct cel_node *first,
                                       const struct cel_node *second)
{
    if (!first || first->size == 0) {
        return second;
    }
    if (!second || second->size == 0) {
        return first;
    }
    cel_ctx_spend(x, ((size_t)first->size + second->size) * sizeof *first);
    struct cel_node *all = cel_node_new(x->a, CELERY_KIND_ARRAY);
    for (int i = 0; i < 2; i++) {
        const struct cel_node *n = cel_node_first(i == 0 ? first : second);
        for (; n; n = n->next) {
            if (!all || cel_node_append(all, cel_node_shallow(x->a, n)) < 0) {
                cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
                return NULL;
            }
        }
    }
    return all;
}

const struct cel_node *cel_kwargs_merged(struct cel_ctx *x, const struct cel_node *first,
                                         const struct cel_node *second)
{
    if (!second || second->size == 0) {
        return first;
    }
    if (!first || first->size == 0) {
        return second;
    }
    cel_ctx_spend(x, ((size_t)first->size + second->size) * 2 * sizeof *first);
    struct cel_node *all = cel_node_new(x->a, CELERY_KIND_OBJECT);
    celery_status st = all ? CELERY_OK : CELERY_ENOMEM;
    for (int i = 0; i < 2; i++) {
        const struct cel_node *k = cel_node_first(i == 0 ? first : second);
        for (; k && st == CELERY_OK; k = k->next->next) {
            st = cel_doc_add_member(all, cel_node_shallow(x->a, k),
                                    cel_node_shallow(x->a, k->next));
        }
    }
    if (st == CELERY_OK) {
        st = cel_doc_unique_keys(all);
    }
    if (st < 0) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
        return NULL;
    }
    return all;
}

/* ---- clone() ---- */

static void clone_tasks(struct cel_ctx *x, struct cel_list_obj *tasks)
{
    for (size_t i = 0; tasks && i < tasks->n; i++) {
        tasks->items[i].sig = cel_sig_cloned(x, tasks->items[i].sig, NULL, NULL, NULL);
    }
}

static struct cel_sig *clone(struct cel_ctx *x, const struct cel_sig *sig,
                             const struct cel_node *args, const struct cel_node *kwargs,
                             const struct cel_opts *opts)
{
    struct cel_sig dict = *sig;
    if (sig->type >= CEL_SIG_MAP) {
        cel_map_to_task(x, &dict);
    }
    bool partial = !sig->immutable;
    struct cel_kw *kw = cel_ctx_alloc(x, sizeof *kw);

    if (!kw) {
        return NULL;
    }
    *kw = *dict.kw;
    if (partial && (dict.type == CEL_SIG_TASK || dict.type == CEL_SIG_CHORD)) {
        dict.args = cel_args_joined(x, args, sig->args);
        kw->node = cel_kwargs_merged(x, kw->node, kwargs);
    }
    dict.kw = kw;
    dict.memo = 0;
    dict.args_tuple = true;
    dict.opts = opts && opts->n > 0 ? cel_sig_merge_opts(x, sig, opts) : sig->opts;
    dict.opts = cel_opts_deepcopy(x, dict.opts);
    struct cel_sig *copy = cel_ctx_ok(x) ? cel_sig_from_plain(x, &dict) : NULL;
    if (copy && sig->type == CEL_SIG_CHAIN) {
        clone_tasks(x, copy->kw->tasks);
    } else if (copy && sig->type == CEL_SIG_CHORD && copy->kw->body) {
        copy->kw->body = cel_sig_cloned(x, copy->kw->body, NULL, NULL, NULL);
    }
    return cel_ctx_ok(x) ? copy : NULL;
}

struct cel_sig *cel_sig_cloned(struct cel_ctx *x, const struct cel_sig *sig,
                               const struct cel_node *args, const struct cel_node *kwargs,
                               const struct cel_opts *opts)
{
    struct cel_sig *copy = NULL;

    if (!sig) {
        return NULL;
    }
    if (cel_ctx_enter(x)) {
        copy = clone(x, sig, args, kwargs, opts);
    }
    cel_ctx_leave(x);
    return copy;
}
