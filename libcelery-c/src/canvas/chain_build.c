/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator | of each class, and chain(*tasks). */
#include "canvas/sig.h"

bool cel_group_is_empty(const struct cel_sig *sig)
{
    return sig && sig->type == CEL_SIG_GROUP && cel_sig_size(sig) == 0;
}

/* maybe_unroll_group() */
struct cel_sig *cel_group_unrolled(struct cel_ctx *x, struct cel_sig *sig)
{
    return cel_sig_size(sig) == 1 ? cel_sig_of(x, &sig->kw->tasks->items[0]) : sig;
}

struct cel_list_obj *cel_chain_unchained(struct cel_ctx *x, const struct cel_sig *chain)
{
    const struct cel_list_obj *from = chain->kw->tasks;
    struct cel_list_obj *tasks = cel_list_obj_new(x, from->n);
    struct cel_list_obj *links =
        cel_val_items(x, cel_opts_find(chain->opts, CEL_KEY("link")));
    struct cel_list_obj *errbacks =
        cel_val_items(x, cel_opts_find(chain->opts, CEL_KEY("link_error")));

    for (size_t i = 0; tasks && i < from->n; i++) {
        struct cel_sig *task = cel_sig_cloned(x, from->items[i].sig, NULL, NULL, NULL);
        if (!task) {
            return NULL;
        }
        cel_list_obj_add(x, tasks, cel_val_sig(task));
    }
    if (!tasks || !links || !errbacks) {
        return NULL;
    }
    if (tasks->n == 0 && links->n > 0) {
        cel_ctx_fail(x, CELERY_EINVAL, "a callback cannot be linked to an empty chain");
        return NULL;
    }
    for (size_t i = 0; i < links->n; i++) {
        cel_sig_do_link(x, tasks->items[tasks->n - 1].sig, links->items[i]);
    }
    for (size_t i = 0; i < errbacks->n; i++) {
        for (size_t k = 0; k < tasks->n; k++) {
            cel_sig_do_link_error(x, tasks->items[k].sig, errbacks->items[i]);
        }
    }
    return cel_ctx_ok(x) ? tasks : NULL;
}

/* ---- | ---- */

static struct cel_sig *chain_of(struct cel_ctx *x, struct cel_list_obj *tasks,
                                struct cel_sig *last)
{
    if (last) {
        cel_list_obj_add(x, tasks, cel_val_sig(last));
    }
    return tasks && cel_ctx_ok(x) ? cel_sig_of_tasks(x, CEL_SIG_CHAIN, tasks, NULL)
                                  : NULL;
}

static void grow_body(struct cel_ctx *x, struct cel_sig *chord, struct cel_sig *other)
{
    if (!chord->kw->body) {
        cel_ctx_fail(x, CELERY_EMESSAGE, "a chord without a body");
        return;
    }
    chord->kw->body = cel_sig_or(x, chord->kw->body, other);
}

static struct cel_sig *last_of(const struct cel_list_obj *tasks)
{
    return tasks && tasks->n > 0 ? tasks->items[tasks->n - 1].sig : NULL;
}

static bool is(const struct cel_sig *sig, enum cel_sig_class type)
{
    return sig && sig->type == type;
}

static struct cel_sig *chain_or_group(struct cel_ctx *x, struct cel_sig *chain,
                                      struct cel_sig *other)
{
    other = cel_group_unrolled(x, other);
    if (!is(other, CEL_SIG_GROUP)) {
        return cel_sig_or(x, chain, other);
    }
    struct cel_list_obj *tasks = cel_chain_unchained(x, chain);
    if (!tasks || tasks->n == 0) {
        return tasks ? other : NULL;
    }
    if (is(last_of(tasks), CEL_SIG_CHORD)) {
        grow_body(x, last_of(tasks), other);
        return chain_of(x, tasks, NULL);
    }
    return chain_of(x, tasks, other);
}

/* A chain that ends in a group becomes one that ends in a chord. */
static struct cel_sig *upgraded(struct cel_ctx *x, const struct cel_sig *chain,
                                struct cel_sig *body)
{
    struct cel_sig *sig = cel_sig_cloned(x, chain, NULL, NULL, NULL);

    if (!sig) {
        return NULL;
    }
    struct cel_list_obj *tasks = sig->kw->tasks;
    struct cel_val *last = &tasks->items[tasks->n - 1];
    *last = cel_val_sig(cel_chord_make(x, *last, body, NULL));
    struct cel_sig *before = tasks->n > 1 ? tasks->items[tasks->n - 2].sig : NULL;
    if (last->sig && is(before, CEL_SIG_CHORD)) {
        grow_body(x, before, last->sig);
        sig->kw->tasks = cel_list_obj_copy(x, tasks);
        if (sig->kw->tasks) {
            sig->kw->tasks->n--;
        }
    }
    return cel_ctx_ok(x) ? sig : NULL;
}

static struct cel_sig *chain_or(struct cel_ctx *x, struct cel_sig *chain,
                                struct cel_sig *other)
{
    if (cel_group_is_empty(other)) {
        return chain;
    }
    if (other->type == CEL_SIG_GROUP) {
        return chain_or_group(x, chain, other);
    }
    if (other->type == CEL_SIG_CHAIN) {
        struct cel_list_obj *tasks = cel_chain_unchained(x, other);
        for (size_t i = 0; tasks && chain && i < tasks->n; i++) {
            chain = cel_sig_or(x, chain, tasks->items[i].sig);
        }
        return tasks ? chain : NULL;
    }
    struct cel_sig *last = last_of(chain->kw->tasks);
    if (is(last, CEL_SIG_GROUP)) {
        return upgraded(x, chain, other);
    }
    if (is(last, CEL_SIG_CHORD) && other->type != CEL_SIG_CHORD) {
        struct cel_sig *sig = cel_sig_cloned(x, chain, NULL, NULL, NULL);
        if (sig) {
            grow_body(x, last_of(sig->kw->tasks), other);
        }
        return sig;
    }
    return chain_of(x, cel_chain_unchained(x, chain), other);
}

static struct cel_sig *task_or(struct cel_ctx *x, struct cel_sig *task,
                               struct cel_sig *other)
{
    struct cel_list_obj *tasks = cel_list_obj_new(x, 2);

    cel_list_obj_add(x, tasks, cel_val_sig(task));
    if (other->type == CEL_SIG_CHAIN) {
        cel_list_obj_extend(x, tasks, cel_chain_unchained(x, other));
        return chain_of(x, tasks, NULL);
    }
    if (other->type == CEL_SIG_GROUP) {
        other = cel_group_unrolled(x, other);
    }
    return chain_of(x, tasks, other);
}

static struct cel_sig *chord_or(struct cel_ctx *x, struct cel_sig *chord,
                                struct cel_sig *other)
{
    bool one = other->type == CEL_SIG_GROUP && cel_sig_size(other) == 1;

    if ((other->type == CEL_SIG_GROUP && !one) || other->type == CEL_SIG_CHAIN) {
        return task_or(x, chord, other);
    }
    struct cel_sig *sig = cel_sig_cloned(x, chord, NULL, NULL, NULL);
    if (sig) {
        grow_body(x, sig, one ? cel_group_unrolled(x, other) : other);
    }
    return sig;
}

struct cel_sig *cel_sig_or(struct cel_ctx *x, struct cel_sig *left, struct cel_sig *right)
{
    struct cel_sig *sig = NULL;

    if (!left || !right || !cel_ctx_ok(x)) {
        return NULL;
    }
    if (cel_ctx_enter(x)) {
        switch (left->type) {
        case CEL_SIG_CHAIN:
            sig = chain_or(x, left, right);
            break;
        case CEL_SIG_GROUP:
            sig = cel_group_is_empty(right)
                      ? left
                      : cel_chord_make(x, cel_val_sig(left), right, NULL);
            break;
        case CEL_SIG_CHORD:
            sig = chord_or(x, left, right);
            break;
        default:
            sig = task_or(x, left, right);
            break;
        }
    }
    cel_ctx_leave(x);
    return cel_ctx_ok(x) ? sig : NULL;
}

/* ---- _fold_chain() ---- */

/* What the folding has come to: steps of a chain, or (other) something that is no chain. */
struct fold {
    struct cel_list_obj *steps;
    struct cel_sig *other;
};

static struct cel_sig *cloned_if(struct cel_ctx *x, struct cel_sig *sig, bool clone)
{
    return clone ? cel_sig_cloned(x, sig, NULL, NULL, NULL) : sig;
}

static void add_step(struct cel_ctx *x, struct fold *f, struct cel_sig *sig)
{
    if (sig) {
        cel_list_obj_add(x, f->steps, cel_val_sig(sig));
    }
}

static void merge_step(struct cel_ctx *x, struct fold *f, struct cel_sig *other,
                       bool clone);

static void merge_chain(struct cel_ctx *x, struct fold *f, const struct cel_sig *chain,
                        bool clone)
{
    struct cel_list_obj *inner = cel_chain_unchained(x, chain);

    for (size_t i = 0; inner && i < inner->n && cel_ctx_ok(x); i++) {
        struct cel_sig *task = inner->items[i].sig;
        if (f->other) {
            f->other = cel_sig_or(x, f->other, task);
        } else {
            merge_step(x, f, task, clone || i + 1 != inner->n);
        }
    }
}

static void merge_group(struct cel_ctx *x, struct fold *f, struct cel_sig *group,
                        bool clone)
{
    if (f->steps->n == 0) {
        f->other = group;
    } else if (is(last_of(f->steps), CEL_SIG_CHORD)) {
        grow_body(x, last_of(f->steps), group);
    } else {
        add_step(x, f, cloned_if(x, group, clone));
    }
}

/* _merge_chain_step() */
static void merge_step(struct cel_ctx *x, struct fold *f, struct cel_sig *other,
                       bool clone)
{
    struct cel_sig *last = last_of(f->steps);

    if (!other || cel_group_is_empty(other)) {
        return;
    }
    if (!cel_ctx_enter(x)) {
        /* too deep */
    } else if (other->type == CEL_SIG_GROUP) {
        other = cel_group_unrolled(x, other);
        if (is(other, CEL_SIG_GROUP)) {
            merge_group(x, f, other, clone);
        } else {
            merge_step(x, f, other, clone);
        }
    } else if (other->type == CEL_SIG_CHAIN) {
        merge_chain(x, f, other, clone);
    } else if (is(last, CEL_SIG_GROUP)) {
        f->steps->items[f->steps->n - 1] = cel_val_sig(
            cel_chord_make(x, cel_val_sig(last), cloned_if(x, other, clone), NULL));
    } else if (is(last, CEL_SIG_CHORD) && other->type != CEL_SIG_CHORD) {
        grow_body(x, last, other);
    } else {
        add_step(x, f, cloned_if(x, other, clone));
    }
    cel_ctx_leave(x);
}

struct cel_sig *cel_sig_chain(struct cel_arena *a, struct cel_sig *const *tasks, size_t n)
{
    struct cel_ctx x;
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct fold f = {.steps = cel_list_obj_new(&x, n)};

    for (size_t i = 0; i < n && f.steps && cel_ctx_ok(&x); i++) {
        if (!tasks[i]) {
            cel_ctx_fail(&x, CELERY_EINVAL, "no signature");
        } else if (f.other) {
            f.other = cel_sig_or(&x, f.other, tasks[i]);
        } else {
            merge_step(&x, &f, tasks[i], i + 1 != n);
        }
    }
    struct cel_sig *sig = f.other;
    if (!sig && cel_ctx_ok(&x)) {
        for (size_t i = 0; i + 1 < f.steps->n; i++) {
            f.steps->items[i].sig =
                cel_sig_cloned(&x, f.steps->items[i].sig, NULL, NULL, NULL);
        }
        sig = cel_sig_of_tasks(&x, CEL_SIG_CHAIN, f.steps, NULL);
    }
    return cel_ctx_fini(&x) == CELERY_OK ? sig : NULL;
}
