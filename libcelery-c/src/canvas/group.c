/* SPDX-License-Identifier: BSD-3-Clause */
/* group.apply_async() */
#include "canvas/sig.h"

/* One task of the flattened group (group._prepared), cloned and frozen when its turn is near. */
struct part {
    struct cel_sig *sig;
    int64_t index;
    struct cel_res *res;
};

struct parts {
    struct part *items;
    size_t n, cap;
};

static void add_part(struct cel_ctx *x, struct parts *p, struct cel_sig *sig,
                     int64_t index)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct part *grown = cel_ctx_alloc(x, cap * sizeof *grown);
        if (!grown) {
            return;
        }
        if (p->n > 0) {
            memcpy(grown, p->items, p->n * sizeof *grown);
        }
        p->items = grown;
        p->cap = cap;
    }
    p->items[p->n++] = (struct part){.sig = sig, .index = index};
}

/* Groups in a group are unrolled; an empty chain is no task. */
static void flatten(struct cel_ctx *x, struct parts *p, const struct cel_list_obj *tasks)
{
    if (cel_ctx_enter(x)) {
        for (size_t i = 0; tasks && i < tasks->n && cel_ctx_ok(x); i++) {
            struct cel_sig *sig = cel_sig_of(x, &tasks->items[i]);
            if (sig && sig->type == CEL_SIG_GROUP) {
                flatten(x, p, sig->kw->tasks);
            } else if (sig && (sig->type != CEL_SIG_CHAIN || cel_sig_size(sig) > 0)) {
                add_part(x, p, sig, (int64_t)i);
            }
        }
    }
    cel_ctx_leave(x);
}

static void prepare(struct cel_ctx *x, struct parts *p, size_t i,
                    const struct cel_freeze *group)
{
    if (i >= p->n || !cel_ctx_ok(x)) {
        return;
    }
    struct part *part = &p->items[i];
    struct cel_freeze f = *group;
    f.group_index = cel_ctx_int(x, part->index);
    part->sig = cel_sig_cloned(x, part->sig, NULL, NULL, NULL);
    part->res = cel_sig_frozen(x, part->sig, &f);
}

struct group_run {
    struct parts parts;
    struct cel_freeze freeze;
    const struct cel_node *args, *kwargs;
    struct cel_opts *opts;
    struct cel_val chord;
    int64_t chord_size;
};

static void note_chord_size(struct cel_ctx *x, const struct group_run *g)
{
    celery_status st;

    if (!x->c->backend_counts) {
        return;
    }
    st = cel_effects_add(x->effects, &(struct cel_effect){.kind = CEL_EFFECT_CHORD_SIZE,
                                                          .id = g->freeze.group_id,
                                                          .number = g->chord_size});
    if (st < 0) {
        cel_ctx_fail(x, st, "the list of what is to be sent is too long");
    }
}

static void apply_part(struct cel_ctx *x, struct group_run *g, size_t i)
{
    struct part *part = &g->parts.items[i];
    const struct cel_val *own = cel_opts_find(part->sig->opts, CEL_KEY("chord"));
    struct cel_val chord = !cel_val_none(&g->chord) ? g->chord
                           : own                    ? *own
                                                    : cel_val_node(NULL);
    const struct cel_val sig = cel_val_sig(part->sig);
    struct cel_opts *o = cel_opts_new(x);

    g->chord_size += (int64_t)cel_chord_descend(x, &sig);
    if (!cel_val_none(&chord) && i + 1 == g->parts.n) {
        note_chord_size(x, g);
    }
    cel_opts_set(x, o, CEL_KEY("add_to_parent"), cel_val_node(cel_ctx_bool(x, false)));
    cel_opts_set(x, o, CEL_KEY("chord"), chord);
    cel_opts_update(x, o, g->opts);
    (void)cel_sig_applied(x, part->sig, g->args, g->kwargs, o);
}

/* group._apply_tasks(): one task is frozen ahead of the one that is sent. */
static struct cel_res *apply_parts(struct cel_ctx *x, struct group_run *g)
{
    struct cel_res *group = cel_res_new(x, g->freeze.group_id);

    if (!group) {
        return NULL;
    }
    group->group = true;
    group->children =
        g->parts.n > 0 ? cel_ctx_alloc(x, g->parts.n * sizeof *group->children) : NULL;
    prepare(x, &g->parts, 0, &g->freeze);
    for (size_t i = 0; i < g->parts.n && cel_ctx_ok(x); i++) {
        if (i == 0) {
            prepare(x, &g->parts, 1, &g->freeze);
        }
        apply_part(x, g, i);
        prepare(x, &g->parts, i + 2, &g->freeze);
        if (cel_ctx_ok(x)) {
            group->children[group->n++] = g->parts.items[i].res;
        }
    }
    return cel_ctx_ok(x) ? group : NULL;
}

/* group._freeze_gid() */
static struct cel_opts *freeze_gid(struct cel_ctx *x, const struct cel_sig *sig,
                                   const struct cel_opts *opts)
{
    struct cel_opts *all = cel_opts_copy(x, sig->opts);
    struct cel_slice spare = cel_ctx_uuid(x);

    for (size_t i = 0; opts && i < opts->n; i++) {
        struct cel_slice key = opts->items[i].key;
        bool fixed =
            cel_slice_is(key, "group_id") || cel_slice_is(key, "stamped_headers");
        if (!fixed || !cel_opts_find(sig->opts, key)) {
            cel_opts_set(x, all, key, opts->items[i].value);
        }
    }
    struct cel_slice gid = cel_opts_pop_text(all, CEL_KEY("task_id"));
    cel_opts_set_text(x, all, CEL_KEY("group_id"), gid.len ? gid : spare);
    return all;
}

static struct cel_res *run(struct cel_ctx *x, const struct cel_sig *sig,
                           struct group_run *g, const struct cel_opts *opts,
                           bool add_to_parent)
{
    struct cel_val ignored;

    g->opts = freeze_gid(x, sig, opts);
    g->freeze.group_id = cel_opts_text(g->opts, CEL_KEY("group_id"));
    g->freeze.root_id = cel_opts_text(g->opts, CEL_KEY("root_id"));
    (void)cel_opts_pop(g->opts, CEL_KEY("chord"), &g->chord);
    (void)cel_opts_pop(g->opts, CEL_KEY("group_index"), &ignored);
    (void)cel_opts_pop(g->opts, CEL_KEY("add_to_parent"), &ignored);
    (void)cel_opts_pop(g->opts, CEL_KEY("link"), &ignored);
    (void)cel_opts_pop(g->opts, CEL_KEY("producer"), &ignored);
    flatten(x, &g->parts, sig->kw->tasks);
    struct cel_res *res = apply_parts(x, g);
    if (res && res->n == 1 && res->children[0]->group) {
        res = res->children[0];
    }
    if (res && add_to_parent) {
        cel_trail_add(x, res);
    }
    return res;
}

struct cel_res *cel_group_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts)
{
    struct group_run g = {.args = args, .kwargs = kwargs};
    struct cel_val v;
    bool add_to_parent = true;

    for (int i = 0; i < 2; i++) {
        (void)cel_opts_pop(opts, i == 0 ? CEL_KEY("link") : CEL_KEY("link_error"), &v);
        if (!cel_val_none(&v)) {
            cel_ctx_fail(x, CELERY_EINVAL,
                         "a group cannot be linked: link its tasks, or make it a chord");
            return NULL;
        }
    }
    if (cel_opts_pop(opts, CEL_KEY("add_to_parent"), &v)) {
        add_to_parent = cel_val_truth(&v);
    }
    (void)cel_opts_pop(opts, CEL_KEY("producer"), &v);
    if (cel_sig_size(sig) == 0) {
        struct cel_sig copy = *sig;
        copy.opts = cel_opts_copy(x, sig->opts);
        return cel_group_frozen(x, &copy, &(struct cel_freeze){0});
    }
    return run(x, sig, &g, opts, add_to_parent);
}
