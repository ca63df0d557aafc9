/* SPDX-License-Identifier: BSD-3-Clause */
/* Signatures put together, copied, and as text. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/sig.h"
#include <stdlib.h>

/* ---- parts ---- */

/* A part is missing because making it failed: err says so already. */
static void missing(celery_error *err)
{
    if (err && err->status == CELERY_OK) {
        cel_error_set(err, CELERY_EINVAL, "a part of the signature is NULL");
    }
}

typedef struct cel_sig *(*make_fn)(struct cel_arena *a, struct cel_sig *const *tasks,
                                   size_t n);

static void free_all(celery_sig *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        celery_sig_free(parts[i]);
    }
}

/* Takes the parts; trees is their trees. */
static celery_sig *put_together(celery_sig *const *give_parts, size_t n,
                                struct cel_sig **trees, make_fn make, celery_error *err)
{
    celery_sig *whole = cel_sig_empty(err);
    if (!whole) {
        free_all(give_parts, n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        trees[i] = give_parts[i]->tree;
        cel_sig_own_part(whole, give_parts[i]);
    }
    return cel_sig_finish(whole, make(&whole->arena, trees, n), err);
}

static celery_sig *make_of(celery_error *err, celery_sig *const *give_parts, size_t n,
                           make_fn make)
{
    bool whole = true;
    for (size_t i = 0; i < n; i++) {
        whole = whole && give_parts[i];
    }
    struct cel_sig **trees = whole ? cel_calloc(n ? n : 1, sizeof *trees) : NULL;
    if (!trees) {
        if (whole) {
            cel_error_nomem(err);
        } else {
            missing(err);
        }
        free_all(give_parts, n);
        return NULL;
    }
    celery_sig *sig = put_together(give_parts, n, trees, make, err);
    cel_free(trees);
    return sig;
}

celery_sig *celery_chain_of(celery_error *err, celery_sig *const *give_parts, size_t n)
{
    if (n == 0) {
        cel_error_set(err, CELERY_EINVAL, "a chain needs a step");
        return NULL;
    }
    return make_of(err, give_parts, n, cel_sig_chain);
}

celery_sig *celery_group_of(celery_error *err, celery_sig *const *give_parts, size_t n)
{
    return make_of(err, give_parts, n, cel_sig_group);
}

static bool is_ended(celery_error *err, celery_sig *const *parts, size_t n)
{
    if (n > 0 && !parts[n - 1]) {
        return true;
    }
    cel_error_set(err, CELERY_EINVAL, "the list of parts does not end with NULL");
    free_all(parts, n);
    return false;
}

celery_sig *celery_chain_list(celery_error *err, celery_sig *const *give_parts, size_t n)
{
    return is_ended(err, give_parts, n) ? celery_chain_of(err, give_parts, n - 1) : NULL;
}

celery_sig *celery_group_list(celery_error *err, celery_sig *const *give_parts, size_t n)
{
    return is_ended(err, give_parts, n) ? celery_group_of(err, give_parts, n - 1) : NULL;
}

static struct cel_sig *make_chord(struct cel_arena *a, struct cel_sig *const *tasks,
                                  size_t n)
{
    return cel_sig_chord(a, tasks[0], tasks[1]);
}

celery_sig *celery_chord(celery_error *err, celery_sig *give_header,
                         celery_sig *give_body)
{
    celery_sig *const parts[] = {give_header, give_body};
    return make_of(err, parts, 2, make_chord);
}

/* ---- over items ---- */

static celery_sig *over_items(celery_error *err, celery_sig *give_task,
                              json_t *give_items, bool star, int64_t n)
{
    celery_sig *whole = NULL;
    if (!give_task) {
        missing(err);
    } else if (!json_is_array(give_items)) {
        cel_error_set(err, CELERY_EINVAL, "items are an array");
    } else {
        whole = cel_sig_empty(err);
    }
    if (!whole) {
        celery_sig_free(give_task);
        json_decref(give_items);
        return NULL;
    }
    struct cel_node *items = cel_doc_from_json(&whole->arena, give_items);
    struct cel_sig *task = give_task->tree;
    json_decref(give_items);
    cel_sig_own_part(whole, give_task);
    return cel_sig_finish(
        whole, items ? cel_sig_map(&whole->arena, task, items, star, n) : NULL, err);
}

celery_sig *celery_map(celery_error *err, celery_sig *give_task, json_t *give_items)
{
    return over_items(err, give_task, give_items, false, 0);
}

celery_sig *celery_starmap(celery_error *err, celery_sig *give_task, json_t *give_items)
{
    return over_items(err, give_task, give_items, true, 0);
}

celery_sig *celery_chunks(celery_error *err, celery_sig *give_task, json_t *give_items,
                          int64_t n)
{
    if (n <= 0) {
        cel_error_set(err, CELERY_EINVAL, "a chunk has one item or more");
        celery_sig_free(give_task);
        json_decref(give_items);
        return NULL;
    }
    return over_items(err, give_task, give_items, true, n);
}

/* ---- copies ---- */

/* clone() of what is read from a copy of the document: nothing is shared. */
static celery_sig *copy_of(const struct cel_sig *tree, json_t *args, json_t *kwargs,
                           celery_error *err)
{
    celery_sig *sig = cel_sig_empty(err);
    struct cel_arena temp = {0};
    struct cel_sig *copy = NULL;
    if (!sig) {
        return NULL;
    }
    struct cel_arena *a = &sig->arena;
    struct cel_node *doc = cel_canvas_doc(&temp, tree);
    struct cel_node *own = doc ? cel_node_copy(a, doc) : NULL;
    struct cel_node *more = args ? cel_doc_from_json(a, args) : NULL;
    struct cel_node *named = kwargs ? cel_doc_from_json(a, kwargs) : NULL;
    cel_arena_fini(&temp);
    celery_status status = CELERY_ENOMEM;
    if (own && (!args || more) && (!kwargs || named)) {
        status = cel_canvas_read(a, own, "", &copy, err);
    } else {
        cel_error_nomem(err);
    }
    if (status < 0) {
        celery_sig_free(sig);
        return NULL;
    }
    return cel_sig_finish(sig, cel_sig_clone(a, copy, more, named), err);
}

celery_sig *cel_sig_wrap(const struct cel_sig *tree, celery_error *err)
{
    return tree ? copy_of(tree, NULL, NULL, err) : NULL;
}

celery_sig *celery_sig_partial(const celery_sig *sig, json_t *give_args,
                               json_t *give_kwargs, celery_error *err)
{
    celery_sig *copy = NULL;
    const struct cel_sig *tree = cel_sig_tree(sig, err);
    if ((give_args && !json_is_array(give_args)) ||
        (give_kwargs && !json_is_object(give_kwargs))) {
        cel_error_set(err, CELERY_EINVAL,
                      "positional arguments are an array, keyword arguments an object");
    } else if (tree) {
        copy = copy_of(tree, give_args, give_kwargs, err);
    }
    json_decref(give_args);
    json_decref(give_kwargs);
    return copy;
}

celery_sig *celery_sig_clone(const celery_sig *sig, celery_error *err, const char *fmt,
                             ...)
{
    celery_error nowhere = {0};
    json_t *args = NULL;
    if (fmt && *fmt) {
        /* Without a signature too: values given by "o" are taken. */
        va_list args_list;
        va_start(args_list, fmt);
        args = cel_sig_pack(fmt, args_list, sig ? err : &nowhere);
        va_end(args_list);
        if (!args) {
            return NULL;
        }
    }
    return celery_sig_partial(sig, args, NULL, err);
}

/* ---- text ---- */

char *celery_sig_dumps(const celery_sig *sig, size_t *ret_len, celery_error *err)
{
    const struct cel_sig *tree = cel_sig_tree(sig, err);
    struct cel_arena temp = {0};
    struct cel_buf out = {0};
    if (!tree) {
        return NULL;
    }
    struct cel_node *doc = cel_canvas_doc(&temp, tree);
    char *text = NULL;
    if (doc && cel_json_write(&out, doc) == CELERY_OK) {
        text = malloc(out.len + 1);
    }
    if (text) {
        memcpy(text, out.data, out.len);
        text[out.len] = '\0';
    } else {
        cel_error_nomem(err);
    }
    if (text && ret_len) {
        *ret_len = out.len;
    }
    cel_buf_fini(&out);
    cel_arena_fini(&temp);
    return text;
}

celery_sig *celery_sig_loads(const char *json, size_t len, celery_error *err)
{
    struct cel_sig *tree = NULL;
    struct cel_node *doc = NULL;
    if (!json) {
        cel_error_set(err, CELERY_EINVAL, "no text of a signature");
        return NULL;
    }
    celery_sig *sig = cel_sig_empty(err);
    if (!sig) {
        return NULL;
    }
    char *copy = cel_arena_strndup(&sig->arena, json, len);
    celery_status status =
        copy ? cel_json_parse(&sig->arena, cel_slice(copy, len), NULL, &doc, err)
             : cel_error_nomem(err);
    if (status == CELERY_OK) {
        status = cel_canvas_read(&sig->arena, doc, "", &tree, err);
    }
    if (status < 0) {
        celery_sig_free(sig);
        return NULL;
    }
    return cel_sig_finish(sig, tree, err);
}
