/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists and dicts that hold documents and signatures. */
#include "canvas/sig.h"

#include <stdatomic.h>

bool cel_val_truth(const struct cel_val *v)
{
    if (!v) {
        return false;
    }
    switch (v->kind) {
    case CEL_VAL_NODE:
        return cel_node_truth(v->node);
    case CEL_VAL_LIST:
        return v->list && v->list->n > 0;
    case CEL_VAL_SIG:
        break;
    }
    /* group.__len__() makes an empty one false. */
    return v->sig && (v->sig->type != CEL_SIG_GROUP || cel_sig_size(v->sig) > 0);
}

/* A tuple is no list: the arguments of a signature that came as JSON are a list. */
static bool args_are_tuple(const struct cel_val *v)
{
    return v->kind == CEL_VAL_SIG && v->sig->args_tuple;
}

bool cel_val_equal(struct cel_ctx *x, const struct cel_val *p, const struct cel_val *q)
{
    if (p->kind == q->kind && p->node == q->node) {
        return true;
    }
    if (args_are_tuple(p) != args_are_tuple(q)) {
        return false;
    }
    if (p->kind == CEL_VAL_SIG && q->kind == CEL_VAL_SIG &&
        !cel_slice_eq(p->sig->task, q->sig->task)) {
        return false;
    }
    struct cel_arena a;
    cel_arena_init(&a, x->scratch.max);
    const struct cel_node *m = cel_val_as_node(x, &a, p);
    const struct cel_node *n = cel_val_as_node(x, &a, q);
    bool equal = m && n && cel_node_equal(m, n);
    cel_arena_fini(&a);
    return equal;
}

/* ---- lists ---- */

struct cel_list_obj *cel_list_obj_new(struct cel_ctx *x, size_t cap)
{
    struct cel_list_obj *l = cel_ctx_alloc(x, sizeof *l);

    if (l && cap > 0) {
        l->items = cel_ctx_alloc(x, cap * sizeof *l->items);
        l->cap = l->items ? cap : 0;
    }
    return l && cel_ctx_ok(x) ? l : NULL;
}

static bool list_grow(struct cel_ctx *x, struct cel_list_obj *l, size_t need)
{
    if (need <= l->cap) {
        return true;
    }
    size_t cap = l->cap * 2 > need ? l->cap * 2 : need < 4 ? 4 : need;
    struct cel_val *items = cel_ctx_alloc(x, cap * sizeof *items);
    if (!items) {
        return false;
    }
    if (l->n > 0) {
        memcpy(items, l->items, l->n * sizeof *items);
    }
    l->items = items;
    l->cap = cap;
    return true;
}

void cel_list_obj_add(struct cel_ctx *x, struct cel_list_obj *l, struct cel_val v)
{
    if (l && cel_ctx_ok(x) && list_grow(x, l, l->n + 1)) {
        l->items[l->n++] = v;
    }
}

void cel_list_obj_extend(struct cel_ctx *x, struct cel_list_obj *l,
                         const struct cel_list_obj *items)
{
    size_t n = items ? items->n : 0;

    if (l && n > 0 && cel_ctx_ok(x) && list_grow(x, l, l->n + n)) {
        memcpy(l->items + l->n, items->items, n * sizeof *l->items);
        l->n += n;
    }
}

void cel_list_obj_put_front(struct cel_ctx *x, struct cel_list_obj *l, size_t *head,
                            const struct cel_list_obj *items)
{
    size_t n = items ? items->n : 0;

    if (!l || n == 0 || !cel_ctx_ok(x)) {
        return;
    }
    if (*head < n) {
        size_t room = n - *head + l->n; /* as much again: the next time is cheap */
        if (!list_grow(x, l, l->n + room)) {
            return;
        }
        memmove(l->items + *head + room, l->items + *head,
                (l->n - *head) * sizeof *l->items);
        *head += room;
        l->n += room;
    }
    *head -= n;
    memcpy(l->items + *head, items->items, n * sizeof *l->items);
}

struct cel_list_obj *cel_list_obj_copy(struct cel_ctx *x, const struct cel_list_obj *l)
{
    struct cel_list_obj *copy = cel_list_obj_new(x, l ? l->n : 0);

    cel_list_obj_extend(x, copy, l);
    return copy;
}

struct cel_list_obj *cel_val_items(struct cel_ctx *x, const struct cel_val *v)
{
    if (v && v->kind == CEL_VAL_LIST) {
        return v->list;
    }
    struct cel_list_obj *l = cel_list_obj_new(x, 0);
    if (cel_val_none(v)) {
        return l;
    }
    if (v->kind == CEL_VAL_SIG || v->node->kind != CELERY_KIND_ARRAY) {
        cel_list_obj_add(x, l, *v);
        return l;
    }
    for (const struct cel_node *n = cel_node_first(v->node); n; n = n->next) {
        cel_list_obj_add(x, l, cel_val_node(n));
    }
    return l;
}

/* ---- dicts ---- */

struct cel_opts *cel_opts_new(struct cel_ctx *x)
{
    return cel_ctx_alloc(x, sizeof(struct cel_opts));
}

static bool opts_grow(struct cel_ctx *x, struct cel_opts *o, size_t need)
{
    if (need <= o->cap) {
        return true;
    }
    size_t cap = need < 8 ? 8 : need * 2;
    struct cel_opt *items = cel_ctx_alloc(x, cap * sizeof *items);
    if (!items) {
        return false;
    }
    if (o->n > 0) {
        memcpy(items, o->items, o->n * sizeof *items);
    }
    o->items = items;
    o->cap = cap;
    return true;
}

struct cel_opts *cel_opts_from(struct cel_ctx *x, const struct cel_node *object)
{
    struct cel_opts *o = cel_opts_new(x);

    if (!o || !object || object->kind != CELERY_KIND_OBJECT ||
        !opts_grow(x, o, object->size)) {
        return o;
    }
    for (const struct cel_node *k = cel_node_first(object); k; k = k->next->next) {
        o->items[o->n++] = (struct cel_opt){cel_node_text(k), cel_val_node(k->next)};
    }
    return o;
}

struct cel_opts *cel_opts_copy(struct cel_ctx *x, const struct cel_opts *o)
{
    struct cel_opts *copy = cel_opts_new(x);

    if (copy && o && o->n > 0 && opts_grow(x, copy, o->n)) {
        memcpy(copy->items, o->items, o->n * sizeof *o->items);
        copy->n = o->n;
    }
    return copy;
}

struct cel_val *cel_opts_find(const struct cel_opts *o, struct cel_slice key)
{
    for (size_t i = 0; o && i < o->n; i++) {
        if (cel_slice_eq(o->items[i].key, key)) {
            return &o->items[i].value;
        }
    }
    return NULL;
}

static struct cel_slice val_text(const struct cel_val *v)
{
    return v && v->kind == CEL_VAL_NODE && cel_node_is_string(v->node)
               ? cel_node_text(v->node)
               : CEL_SLICE_NULL;
}

struct cel_slice cel_opts_text(const struct cel_opts *o, struct cel_slice key)
{
    return val_text(cel_opts_find(o, key));
}

void cel_opts_set(struct cel_ctx *x, struct cel_opts *o, struct cel_slice key,
                  struct cel_val v)
{
    struct cel_val *there = cel_opts_find(o, key);

    if (there) {
        *there = v;
    } else if (o && cel_ctx_ok(x) && opts_grow(x, o, o->n + 1)) {
        o->items[o->n++] = (struct cel_opt){key, v};
    }
}

void cel_opts_set_text(struct cel_ctx *x, struct cel_opts *o, struct cel_slice key,
                       struct cel_slice text)
{
    cel_opts_set(x, o, key, cel_val_node(text.data ? cel_ctx_text(x, text) : NULL));
}

bool cel_opts_pop(struct cel_opts *o, struct cel_slice key, struct cel_val *ret)
{
    struct cel_val *v = cel_opts_find(o, key);

    if (!v) {
        *ret = cel_val_node(NULL);
        return false;
    }
    *ret = *v;
    size_t i = (size_t)((struct cel_opt *)((char *)v - offsetof(struct cel_opt, value)) -
                        o->items);
    memmove(o->items + i, o->items + i + 1, (o->n - i - 1) * sizeof *o->items);
    o->n--;
    return true;
}

struct cel_slice cel_opts_pop_text(struct cel_opts *o, struct cel_slice key)
{
    struct cel_val v;

    (void)cel_opts_pop(o, key, &v);
    return val_text(&v);
}

void cel_opts_update(struct cel_ctx *x, struct cel_opts *o, const struct cel_opts *more)
{
    for (size_t i = 0; more && i < more->n; i++) {
        cel_opts_set(x, o, more->items[i].key, more->items[i].value);
    }
}

void cel_opts_drop_none(struct cel_opts *o)
{
    size_t kept = 0;

    for (size_t i = 0; o && i < o->n; i++) {
        if (!cel_val_none(&o->items[i].value)) {
            o->items[kept++] = o->items[i];
        }
    }
    if (o) {
        o->n = kept;
    }
}

struct cel_list_obj *cel_opts_list(struct cel_ctx *x, struct cel_opts *o,
                                   struct cel_slice key)
{
    struct cel_val *v = cel_opts_find(o, key);

    if (v && v->kind == CEL_VAL_LIST) {
        return v->list;
    }
    struct cel_list_obj *l =
        v && cel_val_none(v) ? cel_list_obj_new(x, 1) : cel_val_items(x, v);
    if (v && cel_val_none(v)) {
        cel_list_obj_add(x, l, *v); /* [None], as upstream has it */
    }
    if (l) {
        cel_opts_set(x, o, key, cel_val_list(l));
    }
    return l;
}

/* ---- copy.deepcopy() ---- */

static struct cel_val val_deepcopy(struct cel_ctx *x, const struct cel_val *v,
                                   uint64_t memo);

static struct cel_opts *opts_deepcopy(struct cel_ctx *x, const struct cel_opts *o,
                                      uint64_t memo)
{
    struct cel_opts *copy = cel_opts_copy(x, o);

    for (size_t i = 0; copy && i < copy->n; i++) {
        if (copy->items[i].value.kind != CEL_VAL_NODE) {
            copy->items[i].value = val_deepcopy(x, &copy->items[i].value, memo);
        }
    }
    return copy;
}

static struct cel_sig *sig_deepcopy(struct cel_ctx *x, struct cel_sig *sig,
                                    uint64_t memo);

static struct cel_kw *kw_deepcopy(struct cel_ctx *x, const struct cel_kw *kw,
                                  uint64_t memo)
{
    struct cel_kw *copy = cel_ctx_alloc(x, sizeof *copy);

    if (!copy) {
        return NULL;
    }
    *copy = *kw;
    const struct cel_val tasks = cel_val_list(kw->tasks);
    copy->tasks = kw->tasks ? val_deepcopy(x, &tasks, memo).list : NULL;
    copy->header = kw->header ? sig_deepcopy(x, kw->header, memo) : NULL;
    copy->body = kw->body ? sig_deepcopy(x, kw->body, memo) : NULL;
    copy->task = val_deepcopy(x, &kw->task, memo);
    return copy;
}

/*
 * Signature.__deepcopy__: a plain dict with own options; all else is shared.  Of a plain dict
 * everything is copied.
 */
static struct cel_sig *sig_deepcopy(struct cel_ctx *x, struct cel_sig *sig, uint64_t memo)
{
    if (sig->memo == memo) {
        return sig->copy;
    }
    struct cel_sig *copy = cel_ctx_alloc(x, sizeof *copy);
    if (!copy) {
        return NULL;
    }
    *copy = *sig;
    copy->plain = true;
    copy->memo = 0;
    if (copy->type >= CEL_SIG_MAP) {
        cel_map_to_task(x, copy);
    }
    sig->memo = memo;
    sig->copy = copy;
    if (cel_ctx_enter(x)) {
        copy->opts = opts_deepcopy(x, sig->opts, memo);
        copy->kw = sig->plain ? kw_deepcopy(x, copy->kw, memo) : copy->kw;
    }
    cel_ctx_leave(x);
    return copy;
}

static struct cel_val val_deepcopy(struct cel_ctx *x, const struct cel_val *v,
                                   uint64_t memo)
{
    if (v->kind == CEL_VAL_SIG) {
        struct cel_sig *copy = v->sig ? sig_deepcopy(x, v->sig, memo) : NULL;
        return copy ? cel_val_sig(copy) : cel_val_node(NULL);
    }
    if (v->kind == CEL_VAL_LIST) {
        struct cel_list_obj *copy = cel_list_obj_copy(x, v->list);
        for (size_t i = 0; copy && i < copy->n; i++) {
            copy->items[i] = val_deepcopy(x, &copy->items[i], memo);
        }
        return copy ? cel_val_list(copy) : cel_val_node(NULL);
    }
    return *v;
}

struct cel_opts *cel_opts_deepcopy(struct cel_ctx *x, const struct cel_opts *o)
{
    static atomic_uint_fast64_t numbers;

    return opts_deepcopy(x, o, atomic_fetch_add(&numbers, 1) + 1);
}
