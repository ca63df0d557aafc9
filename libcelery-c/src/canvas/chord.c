/* SPDX-License-Identifier: BSD-3-Clause */
/* _chord.apply_async() and _chord.run(). */
#include "canvas/sig.h"

/* ---- callbacks of the chord go to its body ---- */

/* _clone_with_members() */
static struct cel_sig *clone_with_members(struct cel_ctx *x, struct cel_sig *sig)
{
    struct cel_sig *copy = cel_sig_cloned(x, sig, NULL, NULL, NULL);

    if (!copy) {
        return NULL;
    }
    if (!cel_ctx_enter(x)) {
        copy = NULL;
    } else if (copy->type == CEL_SIG_GROUP) {
        struct cel_list_obj *tasks = cel_list_obj_copy(x, copy->kw->tasks);
        for (size_t i = 0; tasks && i < tasks->n; i++) {
            tasks->items[i] = cel_val_sig(clone_with_members(x, tasks->items[i].sig));
        }
        copy->kw->tasks = tasks;
    } else if (copy->type == CEL_SIG_CHORD) {
        copy->kw->body = clone_with_members(x, copy->kw->body);
    }
    cel_ctx_leave(x);
    return cel_ctx_ok(x) ? copy : NULL;
}

/* _link_error_to_body_tasks() */
static void link_error_to_tasks(struct cel_ctx *x, struct cel_sig *sig,
                                struct cel_sig *errback, bool runs_as_group)
{
    if (!sig || !errback) {
        return;
    }
    bool own = !cel_val_none(cel_opts_find(sig->opts, CEL_KEY("link_error")));
    if (!cel_ctx_enter(x)) {
        /* too deep */
    } else if (sig->type == CEL_SIG_GROUP && !(runs_as_group && own)) {
        for (size_t i = 0; i < sig->kw->tasks->n; i++) {
            link_error_to_tasks(x, sig->kw->tasks->items[i].sig, errback, false);
        }
    } else if (sig->type == CEL_SIG_CHORD) {
        link_error_to_tasks(x, sig->kw->body, errback, true);
    } else {
        struct cel_sig *copy = cel_sig_cloned(x, errback, NULL, NULL, NULL);
        if (copy) {
            /* A group gets it as it is: link_error() would hand it to its tasks. */
            cel_sig_append_option(x, sig, CEL_KEY("link_error"), cel_val_sig(copy));
        }
    }
    cel_ctx_leave(x);
}

/* _chord._add_body_callbacks() */
static struct cel_sig *add_body_callbacks(struct cel_ctx *x, struct cel_sig *body,
                                          struct cel_opts *o)
{
    struct cel_val link, link_error;

    (void)cel_opts_pop(o, CEL_KEY("link"), &link);
    (void)cel_opts_pop(o, CEL_KEY("link_error"), &link_error);
    struct cel_list_obj *callbacks = cel_val_items(x, &link);
    struct cel_list_obj *errbacks = cel_val_items(x, &link_error);
    if (!callbacks || !errbacks || callbacks->n + errbacks->n == 0) {
        return body;
    }
    body = clone_with_members(x, body);
    for (size_t i = 0; body && i < callbacks->n; i++) {
        struct cel_sig *sig = clone_with_members(x, cel_sig_of(x, &callbacks->items[i]));
        if (!sig) {
            break;
        }
        if (cel_group_is_empty(body)) {
            cel_sig_append_option(x, body, CEL_KEY("link"), cel_val_sig(sig));
        } else {
            cel_sig_do_link(x, body, cel_val_sig(sig));
        }
    }
    for (size_t i = 0; body && i < errbacks->n; i++) {
        if (body->type == CEL_SIG_GROUP) {
            link_error_to_tasks(x, body, cel_sig_of(x, &errbacks->items[i]), true);
        } else {
            cel_sig_append_option(x, body, CEL_KEY("link_error"), errbacks->items[i]);
        }
    }
    return body;
}

/* _chord._body_options() */
static struct cel_opts *body_options(struct cel_ctx *x, const struct cel_opts *o)
{
    struct cel_opts *copy = cel_opts_copy(x, o);
    struct cel_val v;

    (void)cel_opts_pop(copy, CEL_KEY("parent_id"), &v);
    return copy;
}

/* ---- run() ---- */

struct run {
    struct cel_sig *header; /* a group */
    struct cel_sig *body;
    const struct cel_node *args, *kwargs;
    struct cel_slice task_id;
    struct cel_opts *delay; /* header_delay */
    struct cel_opts *opts;
    struct cel_val interval, max_retries;
    struct cel_slice group_id;
};

/* countdown and eta belong to the header. */
static void take_delay(struct cel_ctx *x, struct run *r)
{
    static const char *const keys[] = {"countdown", "eta"};
    struct cel_val v;

    for (size_t i = 0; i < 2; i++) {
        struct cel_slice key = cel_slice_of(keys[i]);
        (void)cel_opts_pop(r->opts, key, &v);
        if (!cel_val_none(&v) && !cel_opts_find(r->delay, key)) {
            cel_opts_set(x, r->delay, key, v);
        }
    }
}

static void prepare_body(struct cel_ctx *x, struct run *r)
{
    struct cel_val v;

    if (r->opts && r->opts->n > 0) {
        (void)cel_opts_pop(r->opts, CEL_KEY("task_id"), &v);
        r->body = add_body_callbacks(x, r->body, r->opts);
        if (r->body) {
            cel_opts_update(x, r->body->opts, body_options(x, r->opts));
        }
    }
    if (r->body && r->body->type == CEL_SIG_CHAIN) {
        cel_chain_unroll_chords(x, r->body);
    }
}

static struct cel_res *send_header(struct cel_ctx *x, struct run *r)
{
    struct cel_opts *o = cel_opts_new(x);

    cel_opts_set_text(x, o, CEL_KEY("task_id"), r->group_id);
    cel_opts_update(x, o, r->opts);
    cel_opts_update(x, o, r->delay);
    return cel_group_apply(x, r->header, r->args, r->kwargs, o);
}

/* body.delay([]) */
static void send_body(struct cel_ctx *x, struct cel_sig *body)
{
    struct cel_node *args = cel_node_new(x->a, CELERY_KIND_ARRAY);

    if (!args || cel_node_append(args, cel_node_new(x->a, CELERY_KIND_ARRAY)) < 0) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
    } else {
        (void)cel_sig_applied(x, body, args, NULL, cel_opts_new(x));
    }
}

static struct cel_res *run(struct cel_ctx *x, struct run *r)
{
    struct cel_val v;
    r->group_id = cel_opts_text(r->header->opts, CEL_KEY("task_id"));
    if (!r->group_id.len) {
        r->group_id = cel_ctx_uuid(x);
    }
    struct cel_freeze f = {
        .group_id = r->group_id,
        .root_id = cel_opts_text(r->body->opts, CEL_KEY("root_id")),
    };

    take_delay(x, r);
    prepare_body(x, r);
    if (!cel_ctx_ok(x)) {
        return NULL;
    }
    f.id = r->task_id.len ? r->task_id : cel_ctx_uuid(x);
    struct cel_res *res = cel_sig_frozen(x, r->body, &f);
    if (!res) {
        return NULL;
    }
    cel_chord_strip_links(x, r->body);
    (void)cel_opts_pop(r->opts, CEL_KEY("chain"), &v);
    (void)cel_opts_pop(r->opts, CEL_KEY("chord"), &v);
    (void)cel_opts_pop(r->opts, CEL_KEY("task_id"), &v);
    cel_opts_set_text(x, r->header->opts, CEL_KEY("task_id"), r->group_id);
    f.id = CEL_SLICE_NULL;
    f.chord = cel_val_sig(r->body);
    struct cel_res *header = cel_group_frozen(x, r->header, &f);
    if (header && cel_sig_size(r->header) > 0) {
        cel_chord_announce(x, header, r->body, &r->interval, &r->max_retries);
        header = send_header(x, r);
    } else if (header) {
        send_body(x, r->body);
    }
    res->parent = header;
    return cel_ctx_ok(x) ? res : NULL;
}

/* ---- apply_async() ---- */

static void drop(struct cel_opts *o, const char *const *keys, size_t n)
{
    struct cel_val v;

    for (size_t i = 0; i < n; i++) {
        (void)cel_opts_pop(o, cel_slice_of(keys[i]), &v);
    }
}

/* kwargs may bring a body of its own: chord(header)(body). */
static struct cel_sig *take_body(struct cel_ctx *x, const struct cel_sig *sig,
                                 const struct cel_node *kwargs)
{
    const struct cel_node *own = cel_node_get(kwargs, CEL_KEY("body"));
    celery_error why = {0};

    if (!cel_node_truth(own)) {
        if (!sig->kw->body) {
            cel_ctx_fail(x, CELERY_EMESSAGE, "kwargs.body: a chord without a body");
        }
        return sig->kw->body;
    }
    if (cel_canvas_check(own, "kwargs.body", &why) < 0) {
        cel_ctx_fail(x, why.status, "%s", why.message);
        return NULL;
    }
    return cel_sig_from_node(x, own);
}

static const struct cel_node *header_kwargs(struct cel_ctx *x, const struct cel_sig *sig,
                                            const struct cel_node *kwargs)
{
    const struct cel_node *own = cel_node_get(sig->kw->node, CEL_KEY("kwargs"));

    return cel_kwargs_merged(x, own && own->kind == CELERY_KIND_OBJECT ? own : NULL,
                             cel_node_get(kwargs, CEL_KEY("body"))
                                 ? cel_object_without(x, kwargs, "body", "body")
                                 : kwargs);
}

static struct cel_sig *header_group(struct cel_ctx *x, const struct cel_sig *sig)
{
    if (sig->kw->header) {
        return cel_sig_cloned(x, sig->kw->header, NULL, NULL, NULL);
    }
    struct cel_opts *o = cel_opts_new(x);
    struct cel_slice id = cel_opts_text(sig->opts, CEL_KEY("task_id"));
    cel_opts_set_text(x, o, CEL_KEY("task_id"), id.len ? id : cel_ctx_uuid(x));
    return cel_sig_of_tasks(x, CEL_SIG_GROUP, cel_list_obj_copy(x, sig->kw->tasks), o);
}

/* dict(self.options, **options, **callbacks), as run() has it when it has taken its own. */
static void merge_options(struct cel_ctx *x, const struct cel_sig *sig, struct run *r,
                          const struct cel_opts *opts, const struct cel_opts *callbacks)
{
    static const char *const delays[] = {"countdown", "eta"};
    static const char *const named[] = {"interval", "max_retries", "eager", "app"};
    struct cel_opts *merged = cel_opts_copy(x, sig->opts);

    cel_opts_update(x, merged, opts);
    cel_opts_update(x, merged, callbacks);
    drop(merged, delays, 2);
    struct cel_slice id = cel_opts_pop_text(merged, CEL_KEY("task_id"));
    r->task_id = r->task_id.len ? r->task_id : id;
    (void)cel_opts_pop(merged, CEL_KEY("interval"), &r->interval);
    (void)cel_opts_pop(merged, CEL_KEY("max_retries"), &r->max_retries);
    drop(merged, named, 4);
    r->opts = cel_opts_copy(x, sig->opts);
    cel_opts_update(x, r->opts, merged);
}

struct cel_res *cel_chord_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts)
{
    static const char *const unused[] = {"producer", "publisher", "connection", "router",
                                         "result_cls"};
    struct run r = {
        .args = sig->immutable ? sig->args : cel_args_joined(x, args, sig->args),
        .task_id = cel_opts_pop_text(opts, CEL_KEY("task_id")),
        .delay = cel_opts_new(x),
        .opts = opts,
    };
    struct cel_opts *callbacks = cel_opts_new(x);
    struct cel_sig *body = take_body(x, sig, kwargs);
    struct cel_val v;

    drop(opts, unused, sizeof unused / sizeof unused[0]);
    r.kwargs = header_kwargs(x, sig, kwargs);
    static const char *const delays[] = {"countdown", "eta"};
    for (size_t i = 0; i < 2; i++) {
        struct cel_val *there = cel_opts_find(opts, cel_slice_of(delays[i]));
        if (!cel_val_none(there)) {
            cel_opts_set(x, r.delay, cel_slice_of(delays[i]), *there);
            (void)cel_opts_pop(opts, cel_slice_of(delays[i]), &v);
        }
    }
    if (cel_opts_pop(opts, CEL_KEY("link"), &v)) {
        cel_opts_set(x, callbacks, CEL_KEY("link"), v);
    }
    if (cel_opts_pop(opts, CEL_KEY("link_error"), &v)) {
        cel_opts_set(x, callbacks, CEL_KEY("link_error"), v);
    }
    r.body = cel_sig_cloned(x, body, NULL, NULL, body_options(x, opts));
    r.header = header_group(x, sig);
    merge_options(x, sig, &r, opts, callbacks);
    return r.body && r.header && cel_ctx_ok(x) ? run(x, &r) : NULL;
}
