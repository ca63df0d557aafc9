/* SPDX-License-Identifier: BSD-3-Clause */
/* link(), link_error() and set_immutable() of each class. */
#include "canvas/sig.h"

/* Signature.append_to_list_option() */
void cel_sig_append_option(struct cel_ctx *x, struct cel_sig *sig, struct cel_slice key,
                           struct cel_val value)
{
    struct cel_list_obj *l = sig ? cel_opts_list(x, sig->opts, key) : NULL;

    for (size_t i = 0; l && i < l->n; i++) {
        if (cel_val_equal(x, &l->items[i], &value)) {
            return;
        }
    }
    cel_list_obj_add(x, l, value);
}

/* To the first task only, which cannot pass on the others' results: immutable. */
static void group_link(struct cel_ctx *x, struct cel_sig *group, struct cel_val callback)
{
    struct cel_sig *sig = cel_sig_of(x, &callback);
    struct cel_sig *copy = cel_sig_cloned(x, sig, NULL, NULL, NULL);

    if (!copy) {
        return;
    }
    if (group->kw->tasks->n == 0) {
        cel_ctx_fail(x, CELERY_EINVAL, "a callback cannot be linked to an empty group");
        return;
    }
    cel_sig_set_immutable(copy, true);
    cel_sig_do_link(x, cel_sig_of(x, &group->kw->tasks->items[0]), cel_val_sig(copy));
}

void cel_sig_do_link(struct cel_ctx *x, struct cel_sig *sig, struct cel_val callback)
{
    if (!sig) {
        return;
    }
    if (cel_ctx_enter(x)) {
        if (sig->type == CEL_SIG_GROUP) {
            group_link(x, sig, callback);
        } else if (sig->type == CEL_SIG_CHORD && !sig->kw->body) {
            cel_ctx_fail(x, CELERY_EMESSAGE, "a chord without a body");
        } else if (sig->type == CEL_SIG_CHORD) {
            cel_sig_do_link(x, sig->kw->body, callback);
        } else {
            cel_sig_append_option(x, sig, CEL_KEY("link"), callback);
        }
    }
    cel_ctx_leave(x);
}

static void link_error_to_header(struct cel_ctx *x, struct cel_sig *chord,
                                 struct cel_sig *errback)
{
    struct cel_opts *immutable = cel_opts_new(x);

    cel_opts_set(x, immutable, CEL_KEY("immutable"), cel_val_node(cel_ctx_bool(x, true)));
    if (chord->kw->header) { /* frozen: one group instead of a list */
        struct cel_sig *copy = cel_sig_cloned(x, errback, NULL, NULL, immutable);
        if (copy) {
            cel_sig_do_link_error(x, chord->kw->header, cel_val_sig(copy));
        }
        return;
    }
    const struct cel_list_obj *tasks = chord->kw->tasks;
    for (size_t i = 0; tasks && i < tasks->n; i++) {
        struct cel_sig *copy = cel_sig_cloned(x, errback, NULL, NULL, immutable);
        if (copy) {
            cel_sig_do_link_error(x, tasks->items[i].sig, cel_val_sig(copy));
        }
    }
}

static void chord_link_error(struct cel_ctx *x, struct cel_sig *chord,
                             struct cel_val errback)
{
    struct cel_sig *sig = cel_sig_of(x, &errback);
    const struct cel_list_obj *tasks = chord->kw->header ? NULL : chord->kw->tasks;

    if (!sig) {
        return;
    }
    if (x->header_errbacks) {
        link_error_to_header(x, chord, sig);
    }
    for (size_t i = 0; tasks && i < tasks->n; i++) {
        if (tasks->items[i].sig->type == CEL_SIG_CHORD) {
            cel_sig_do_link_error(x, tasks->items[i].sig, cel_val_sig(sig));
        }
    }
    if (!chord->kw->body) {
        cel_ctx_fail(x, CELERY_EMESSAGE, "a chord without a body");
        return;
    }
    cel_sig_do_link_error(x, chord->kw->body, cel_val_sig(sig));
}

static void group_link_error(struct cel_ctx *x, struct cel_sig *group,
                             struct cel_val errback)
{
    struct cel_sig *sig = cel_sig_of(x, &errback);
    const struct cel_list_obj *tasks = group->kw->tasks;

    for (size_t i = 0; sig && tasks && i < tasks->n && cel_ctx_ok(x); i++) {
        struct cel_sig *copy = cel_sig_cloned(x, sig, NULL, NULL, NULL);
        if (copy) {
            cel_sig_do_link_error(x, cel_sig_of(x, &tasks->items[i]), cel_val_sig(copy));
        }
    }
}

void cel_sig_do_link_error(struct cel_ctx *x, struct cel_sig *sig, struct cel_val errback)
{
    if (!sig) {
        return;
    }
    if (cel_ctx_enter(x)) {
        if (sig->type == CEL_SIG_GROUP) {
            group_link_error(x, sig, errback);
        } else if (sig->type == CEL_SIG_CHORD) {
            chord_link_error(x, sig, errback);
        } else {
            cel_sig_append_option(x, sig, CEL_KEY("link_error"), errback);
        }
    }
    cel_ctx_leave(x);
}

static void set_immutable(struct cel_sig *sig, bool immutable, unsigned depth)
{
    const struct cel_list_obj *tasks = cel_sig_tasks(sig);

    if (sig->type != CEL_SIG_GROUP && sig->type != CEL_SIG_CHORD) {
        sig->immutable = immutable;
        return;
    }
    for (size_t i = 0; tasks && depth < CEL_CANVAS_DEPTH_MAX && i < tasks->n; i++) {
        if (tasks->items[i].kind == CEL_VAL_SIG) {
            set_immutable(tasks->items[i].sig, immutable, depth + 1);
        }
    }
}

void cel_sig_set_immutable(struct cel_sig *sig, bool immutable)
{
    if (sig) {
        set_immutable(sig, immutable, 0);
    }
}
