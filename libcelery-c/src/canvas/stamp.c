/* SPDX-License-Identifier: BSD-3-Clause */
/* stamp() of each class, without a visitor. */
#include "canvas/sig.h"

static const char STAMPED[] = "stamped_headers";

static bool has(const struct cel_list_obj *names, struct cel_slice name)
{
    for (size_t i = 0; names && i < names->n; i++) {
        if (cel_slice_eq(cel_node_text(names->items[i].node), name)) {
            return true;
        }
    }
    return false;
}

static void add_name(struct cel_ctx *x, struct cel_list_obj *names,
                     const struct cel_node *name)
{
    if (cel_node_is_string(name) && !has(names, cel_node_text(name))) {
        cel_list_obj_add(x, names, cel_val_node(name));
    }
}

/* A copy of the names in headers, or of all its keys where it has none. */
static struct cel_list_obj *names_of(struct cel_ctx *x, const struct cel_opts *headers)
{
    const struct cel_val *v = cel_opts_find(headers, cel_slice_of(STAMPED));
    struct cel_list_obj *names = cel_list_obj_new(x, headers ? headers->n : 0);

    if (v) {
        const struct cel_list_obj *l = cel_val_items(x, v);
        for (size_t i = 0; l && i < l->n; i++) {
            add_name(x, names,
                     l->items[i].kind == CEL_VAL_NODE ? l->items[i].node : NULL);
        }
        return names;
    }
    for (size_t i = 0; headers && i < headers->n; i++) {
        add_name(x, names, cel_ctx_text(x, headers->items[i].key));
    }
    return names;
}

static bool is_list(const struct cel_val *v)
{
    return v->kind == CEL_VAL_LIST ||
           (v->kind == CEL_VAL_NODE && v->node && v->node->kind == CELERY_KIND_ARRAY);
}

/*
 * _merge_dictionaries(headers, own, aggregate_duplicates=False): a stamp given wins, but lists
 * are extended in place, which every signature that shares the list sees.
 */
static void merge_stamp(struct cel_ctx *x, struct cel_opts *headers, struct cel_slice key,
                        const struct cel_val *own)
{
    struct cel_val *there = cel_opts_find(headers, key);

    if (!there) {
        cel_opts_set(x, headers, key, *own);
    } else if (is_list(there) && is_list(own)) {
        cel_list_obj_extend(x, cel_opts_list(x, headers, key), cel_val_items(x, own));
    }
}

/* Signature._stamp_headers(); self_headers: sig, or NULL for links. */
static struct cel_opts *stamp_headers(struct cel_ctx *x, const struct cel_opts *given,
                                      const struct cel_sig *self)
{
    struct cel_opts *headers = cel_opts_copy(x, given);
    struct cel_list_obj *names = names_of(x, given);

    if (!headers || !names) {
        return NULL;
    }
    cel_opts_set(x, headers, cel_slice_of(STAMPED), cel_val_list(names));
    if (!self) {
        return headers;
    }
    const struct cel_val *own = cel_opts_find(self->opts, cel_slice_of(STAMPED));
    struct cel_list_obj *more = cel_val_none(own) ? NULL : cel_val_items(x, own);
    for (size_t i = 0; more && i < more->n; i++) {
        add_name(x, names,
                 more->items[i].kind == CEL_VAL_NODE ? more->items[i].node : NULL);
    }
    for (size_t i = 0; i < self->opts->n && cel_ctx_ok(x); i++) {
        if (has(names, self->opts->items[i].key)) {
            merge_stamp(x, headers, self->opts->items[i].key,
                        &self->opts->items[i].value);
        }
    }
    return headers;
}

static void stamp(struct cel_ctx *x, struct cel_sig *sig, const struct cel_opts *given);

/* The list of callbacks with plain dicts for documents, so that what they share is stamped. */
static struct cel_list_obj *linked(struct cel_ctx *x, struct cel_sig *sig,
                                   struct cel_slice key)
{
    struct cel_val *v = cel_opts_find(sig->opts, key);

    if (!cel_val_truth(v)) {
        return NULL;
    }
    struct cel_list_obj *l = cel_opts_list(x, sig->opts, key);
    for (size_t i = 0; l && i < l->n; i++) {
        if (l->items[i].kind == CEL_VAL_NODE) {
            struct cel_sig *dict = cel_sig_plain(x, l->items[i].node);
            if (!dict) {
                return NULL;
            }
            l->items[i] = cel_val_sig(dict);
        }
    }
    return l;
}

/* Signature.stamp_links() */
static void stamp_links(struct cel_ctx *x, struct cel_sig *sig,
                        const struct cel_opts *given)
{
    static const char *const keys[] = {"link", "link_error"};

    for (size_t k = 0; k < 2; k++) {
        struct cel_list_obj *l = linked(x, sig, cel_slice_of(keys[k]));
        struct cel_opts *own = l ? cel_opts_deepcopy(x, given) : NULL;
        for (size_t i = 0; l && i < l->n && cel_ctx_ok(x); i++) {
            struct cel_opts *headers = stamp_headers(x, own, NULL);
            struct cel_sig *link = cel_sig_of(x, &l->items[i]);
            if (link && headers) {
                stamp(x, link, headers);
            }
        }
    }
}

static void stamp_tasks(struct cel_ctx *x, const struct cel_sig *sig,
                        const struct cel_opts *headers)
{
    const struct cel_list_obj *tasks = cel_sig_tasks(sig);

    for (size_t i = 0; tasks && headers && i < tasks->n && cel_ctx_ok(x); i++) {
        stamp(x, tasks->items[i].sig, headers);
    }
}

static void stamp(struct cel_ctx *x, struct cel_sig *sig, const struct cel_opts *given)
{
    bool parts = sig->type == CEL_SIG_CHAIN || sig->type == CEL_SIG_GROUP ||
                 sig->type == CEL_SIG_CHORD;

    if (!cel_ctx_enter(x)) {
        /* too deep */
    } else if (parts) {
        /* The body of a chord is a visitor's to stamp. */
        struct cel_opts *headers = stamp_headers(x, given, sig);
        stamp_links(x, sig, headers);
        stamp_tasks(x, sig, headers);
    } else {
        stamp_links(x, sig, given);
        cel_opts_update(x, sig->opts, stamp_headers(x, given, sig));
    }
    cel_ctx_leave(x);
}

celery_status cel_sig_stamp(struct cel_arena *a, struct cel_sig *sig,
                            const struct cel_node *stamps)
{
    struct cel_ctx x;

    if (!sig || !stamps || stamps->kind != CELERY_KIND_OBJECT) {
        return CELERY_EINVAL;
    }
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_opts *given = cel_opts_from(&x, stamps);
    for (size_t i = 0; given && i < given->n; i++) {
        if (is_list(&given->items[i].value)) {
            (void)cel_opts_list(&x, given, given->items[i].key);
        }
    }
    if (given) {
        stamp(&x, sig, given);
    }
    return cel_ctx_fini(&x);
}
