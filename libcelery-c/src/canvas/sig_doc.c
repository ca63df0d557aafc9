/* SPDX-License-Identifier: BSD-3-Clause */
/* The dict form. */
#include "canvas/sig.h"

struct cel_node *cel_node_shallow(struct cel_arena *a, const struct cel_node *n)
{
    struct cel_node *copy = cel_node_new(a, n ? n->kind : CELERY_KIND_NULL);

    if (copy && n) {
        *copy = *n;
        copy->next = NULL;
    }
    return copy;
}

/* The text is not copied: it is a constant, or lives as long as the signature. */
static struct cel_node *borrowed(struct cel_arena *a, struct cel_slice text)
{
    struct cel_node *n = cel_node_new(a, CELERY_KIND_STRING);

    if (n) {
        n->text = text.data;
        n->size = (uint32_t)text.len;
        n->flags |= cel_doc_plain(text.data, text.len) ? CEL_NODE_PLAIN : 0;
    }
    return n;
}

static celery_status put(struct cel_arena *a, struct cel_node *map, struct cel_slice key,
                         struct cel_node *value)
{
    return cel_doc_add_member(map, borrowed(a, key), value);
}

static struct cel_node *shallow_or(struct cel_arena *a, const struct cel_node *n,
                                   celery_kind kind)
{
    return n ? cel_node_shallow(a, n) : cel_node_new(a, kind);
}

static struct cel_node *list_node(struct cel_ctx *x, struct cel_arena *a,
                                  const struct cel_list_obj *l)
{
    struct cel_node *array = cel_node_new(a, CELERY_KIND_ARRAY);

    for (size_t i = 0; array && l && i < l->n; i++) {
        if (cel_node_append(array, cel_val_as_node(x, a, &l->items[i])) < 0) {
            return NULL;
        }
    }
    return array;
}

struct cel_node *cel_val_as_node(struct cel_ctx *x, struct cel_arena *a,
                                 const struct cel_val *v)
{
    switch (v->kind) {
    case CEL_VAL_NODE:
        return cel_node_shallow(a, v->node);
    case CEL_VAL_LIST:
        return list_node(x, a, v->list);
    case CEL_VAL_SIG:
        break;
    }
    return v->sig ? cel_sig_node(x, a, v->sig) : cel_node_new(a, CELERY_KIND_NULL);
}

static struct cel_node *opts_node(struct cel_ctx *x, struct cel_arena *a,
                                  const struct cel_opts *o)
{
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);

    for (size_t i = 0; map && o && i < o->n; i++) {
        if (put(a, map, o->items[i].key, cel_val_as_node(x, a, &o->items[i].value)) < 0) {
            return NULL;
        }
    }
    return map;
}

/* {'kwargs': {}, 'header': [...], 'body': {...}} */
static struct cel_node *chord_kwargs(struct cel_ctx *x, struct cel_arena *a,
                                     const struct cel_kw *kw)
{
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *header =
        kw->header ? cel_sig_node(x, a, kw->header) : list_node(x, a, kw->tasks);
    struct cel_node *body =
        kw->body ? cel_sig_node(x, a, kw->body) : cel_node_new(a, CELERY_KIND_NULL);
    celery_status st = map ? CELERY_OK : CELERY_ENOMEM;

    for (const struct cel_node *k = cel_node_first(kw->node); k && st == CELERY_OK;
         k = k->next->next) {
        st =
            cel_doc_add_member(map, cel_node_shallow(a, k), cel_node_shallow(a, k->next));
    }
    if (st < 0 || put(a, map, CEL_KEY("header"), header) < 0 ||
        put(a, map, CEL_KEY("body"), body) < 0) {
        return NULL;
    }
    return map;
}

static struct cel_node *map_kwargs(struct cel_ctx *x, struct cel_arena *a,
                                   const struct cel_sig *sig)
{
    const struct cel_kw *kw = sig->kw;
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);

    if (!map || put(a, map, CEL_KEY("task"), cel_val_as_node(x, a, &kw->task)) < 0 ||
        put(a, map, CEL_KEY("it"), shallow_or(a, kw->it, CELERY_KIND_ARRAY)) < 0 ||
        (sig->type == CEL_SIG_CHUNKS &&
         put(a, map, CEL_KEY("n"), cel_node_new_int(a, kw->n)) < 0)) {
        return NULL;
    }
    return map;
}

void cel_map_to_task(struct cel_ctx *x, struct cel_sig *sig)
{
    struct cel_kw *kw = cel_ctx_alloc(x, sizeof *kw);

    if (kw) {
        kw->node = map_kwargs(x, x->a, sig);
        sig->kw = kw;
        sig->type = CEL_SIG_TASK;
    }
    if (kw && !kw->node) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
    }
}

static struct cel_node *kwargs_node(struct cel_ctx *x, struct cel_arena *a,
                                    const struct cel_sig *sig)
{
    struct cel_node *map;

    switch (sig->type) {
    case CEL_SIG_TASK:
        return shallow_or(a, sig->kw->node, CELERY_KIND_OBJECT);
    case CEL_SIG_CHAIN:
    case CEL_SIG_GROUP:
        map = cel_node_new(a, CELERY_KIND_OBJECT);
        return map && put(a, map, CEL_KEY("tasks"), list_node(x, a, sig->kw->tasks)) == 0
                   ? map
                   : NULL;
    case CEL_SIG_CHORD:
        return chord_kwargs(x, a, sig->kw);
    case CEL_SIG_MAP:
    case CEL_SIG_STARMAP:
    case CEL_SIG_CHUNKS:
        break;
    }
    return map_kwargs(x, a, sig);
}

static struct cel_node *type_node(struct cel_arena *a, enum cel_sig_class type)
{
    static const char *const names[] = {NULL,   "chain",    "group", "chord",
                                        "xmap", "xstarmap", "chunks"};

    /* Only these set it; map and starmap are made without (class _basemap). */
    return type == CEL_SIG_CHAIN || type == CEL_SIG_GROUP || type == CEL_SIG_CHORD
               ? cel_node_new_string(a, cel_slice_of(names[type]))
               : cel_node_new(a, CELERY_KIND_NULL);
}

struct cel_node *cel_sig_node(struct cel_ctx *x, struct cel_arena *a,
                              const struct cel_sig *sig)
{
    struct cel_node *map = NULL;

    if (cel_ctx_enter(x)) {
        map = cel_node_new(a, CELERY_KIND_OBJECT);
        if (!map || put(a, map, CEL_KEY("task"), borrowed(a, sig->task)) < 0 ||
            put(a, map, CEL_KEY("args"), shallow_or(a, sig->args, CELERY_KIND_ARRAY)) <
                0 ||
            put(a, map, CEL_KEY("kwargs"), kwargs_node(x, a, sig)) < 0 ||
            put(a, map, CEL_KEY("options"), opts_node(x, a, sig->opts)) < 0 ||
            put(a, map, CEL_KEY("subtask_type"), type_node(a, sig->type)) < 0 ||
            put(a, map, CEL_KEY("immutable"), cel_node_new_bool(a, sig->immutable)) < 0) {
            cel_ctx_fail(x, CELERY_ELIMIT, "a signature of more than %zu bytes", a->max);
            map = NULL;
        }
    }
    cel_ctx_leave(x);
    return map;
}
