/* SPDX-License-Identifier: BSD-3-Clause */
#include "canvas/running.h"
#include "canvas/sig.h"
#include "codec/json_raw.h"

#include <stdio.h>

/* ---- what the request carries ---- */

static const struct cel_node *embedded(const struct cel_task_call *call, const char *name)
{
    const struct cel_node *n = cel_node_get(call->embed, cel_slice_of(name));

    return cel_node_truth(n) ? n : NULL;
}

/* maybe_list() of signatures in dict form, each checked. */
static struct cel_list_obj *signatures(struct cel_ctx *x,
                                       const struct cel_task_call *call, const char *name)
{
    struct cel_val v = cel_val_node(embedded(call, name));
    struct cel_list_obj *l = cel_val_items(x, &v);

    for (size_t i = 0; l && i < l->n && cel_ctx_ok(x); i++) {
        char where[64];
        snprintf(where, sizeof where, "%s[%zu]", name, i);
        celery_status st = cel_canvas_check(l->items[i].node, where, x->err);
        if (st < 0) {
            x->status = st;
        }
    }
    return cel_ctx_ok(x) ? l : NULL;
}

static struct cel_val chord_of(struct cel_ctx *x, const struct cel_task_call *call)
{
    const struct cel_node *chord = embedded(call, "chord");

    if (chord) {
        celery_status st = cel_canvas_check(chord, "chord", x->err);
        if (st < 0) {
            x->status = st;
        }
    }
    return cel_val_node(chord);
}

static void set_family(struct cel_ctx *x, struct cel_sig *sig,
                       const struct cel_task_call *call)
{
    cel_opts_set_text(x, sig->opts, CEL_KEY("group_id"), call->group);
    cel_opts_set(
        x, sig->opts, CEL_KEY("group_index"),
        cel_val_node(call->group_index >= 0 ? cel_ctx_int(x, call->group_index) : NULL));
}

/* ---- replace() ---- */

/* celery.accumulate.s(index=0) */
static struct cel_sig *accumulate(struct cel_ctx *x)
{
    struct cel_sig *sig = cel_sig_make(x, CEL_SIG_TASK, CEL_SLICE("celery.accumulate"),
                                       NULL, NULL, NULL, false);
    struct cel_node *kwargs = sig ? cel_node_new(x->a, CELERY_KIND_OBJECT) : NULL;

    if (sig && (!kwargs || cel_node_put(x->a, kwargs, CEL_SLICE("index"),
                                        cel_node_new_int(x->a, 0)) < 0)) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
        return NULL;
    }
    if (sig) {
        sig->args_tuple = true;
        sig->kw->node = kwargs;
    }
    return sig;
}

/* A group has no end to link to: it becomes a chord that keeps its results as they are. */
static struct cel_sig *with_an_end(struct cel_ctx *x, struct cel_sig *sig)
{
    if (sig->type == CEL_SIG_GROUP) {
        return cel_sig_or(x, sig, accumulate(x));
    }
    if (sig->type == CEL_SIG_CHAIN) {
        struct cel_list_obj *tasks = cel_list_obj_copy(x, sig->kw->tasks);
        struct cel_sig *last = tasks ? cel_sig_of(x, &tasks->items[tasks->n - 1]) : NULL;
        if (last && last->type == CEL_SIG_GROUP) {
            tasks->items[tasks->n - 1] = cel_val_sig(cel_sig_or(x, last, accumulate(x)));
            sig->kw->tasks = tasks;
        }
    }
    return cel_ctx_ok(x) ? sig : NULL;
}

/* What is linked to the chain is linked to its last task. */
static void move_links(struct cel_ctx *x, struct cel_sig *chain)
{
    struct cel_list_obj *tasks = chain->kw->tasks;
    struct cel_sig *last = cel_sig_of(x, &tasks->items[tasks->n - 1]);
    struct cel_val links;

    if (!last || !cel_opts_pop(chain->opts, CEL_KEY("link"), &links)) {
        return;
    }
    tasks->items[tasks->n - 1] = cel_val_sig(last);
    cel_list_obj_extend(x, cel_opts_list(x, last->opts, CEL_KEY("link")),
                        cel_val_items(x, &links));
}

static void link_all(struct cel_ctx *x, const struct cel_task_call *call,
                     struct cel_sig *sig)
{
    struct cel_list_obj *callbacks = signatures(x, call, "callbacks");
    struct cel_list_obj *errbacks = signatures(x, call, "errbacks");

    for (size_t i = 0; callbacks && i < callbacks->n && cel_ctx_ok(x); i++) {
        cel_sig_do_link(x, sig, callbacks->items[i]);
    }
    for (size_t i = 0; errbacks && i < errbacks->n && cel_ctx_ok(x); i++) {
        cel_sig_do_link_error(x, sig, errbacks->items[i]);
    }
    if (cel_ctx_ok(x) && sig->type == CEL_SIG_CHAIN) {
        move_links(x, sig);
    }
}

static void set_nesting(struct cel_ctx *x, struct cel_sig *sig,
                        const struct cel_task_call *call)
{
    cel_opts_set(x, sig->opts, CEL_KEY("replaced_task_nesting"),
                 cel_val_node(cel_ctx_int(x, call->replaced_task_nesting + 1)));
}

static void set_place(struct cel_ctx *x, struct cel_sig *sig,
                      const struct cel_task_call *call)
{
    cel_opts_set(x, sig->opts, CEL_KEY("chord"), chord_of(x, call));
    set_family(x, sig, call);
    cel_opts_set_text(x, sig->opts, CEL_KEY("root_id"), call->root_id);
    set_nesting(x, sig, call);
    struct cel_list_obj *tasks = sig->type == CEL_SIG_CHAIN ? sig->kw->tasks : NULL;
    for (size_t i = 0; tasks && i < tasks->n && cel_ctx_ok(x); i++) {
        struct cel_sig *task = cel_sig_of(x, &tasks->items[i]);
        if (task) {
            tasks->items[i] = cel_val_sig(task);
            set_nesting(x, task, call);
        }
    }
}

/* The rest of the chain, which messages carry in reverse, keeps its ids. */
static struct cel_sig *with_rest(struct cel_ctx *x, struct cel_sig *sig,
                                 const struct cel_task_call *call)
{
    struct cel_list_obj *rest = signatures(x, call, "chain");

    for (size_t i = rest ? rest->n : 0; i > 0 && sig && cel_ctx_ok(x); i--) {
        struct cel_sig *step = cel_sig_of(x, &rest->items[i - 1]);
        if (!step) {
            return NULL;
        }
        set_nesting(x, step, call);
        sig = cel_sig_or(x, sig, step);
    }
    return cel_ctx_ok(x) ? sig : NULL;
}

static struct cel_sig *replacement(struct cel_ctx *x, const struct cel_task_call *call,
                                   struct cel_sig *sig)
{
    if (cel_opts_find(sig->opts, CEL_KEY("chord"))) {
        cel_ctx_fail(x, CELERY_EINVAL,
                     "A signature replacing a task must not be part of a chord");
        return NULL;
    }
    if (sig->type == CEL_SIG_CHAIN && cel_sig_size(sig) == 0) {
        cel_ctx_fail(x, CELERY_EINVAL, "Cannot replace with an empty chain");
        return NULL;
    }
    sig = with_an_end(x, sig);
    if (!sig) {
        return NULL;
    }
    link_all(x, call, sig);
    if (cel_ctx_ok(x)) {
        (void)cel_sig_frozen(x, sig, &(struct cel_freeze){.id = call->id});
    }
    set_place(x, sig, call);
    return with_rest(x, sig, call);
}

/* ---- both ---- */

/* Takes back what was added when it failed. */
static celery_status finish(struct cel_ctx *x, struct cel_effects *effects, size_t len,
                            size_t n)
{
    celery_status st = cel_ctx_fini(x);

    if (st < 0) {
        effects->bytes.len = len;
        effects->bytes.failed = false;
        effects->n = n;
    }
    return st;
}

celery_status cel_sig_replace(const struct cel_canvas *c, struct cel_arena *a,
                              const struct cel_task_call *call, struct cel_sig *sig,
                              struct cel_effects *effects, celery_error *err)
{
    struct cel_ctx x;
    size_t len = effects->bytes.len, n = effects->n;
    struct cel_task_call whole = *call;

    whole.embed = cel_json_whole(a, call->embed, err);
    if (call->embed && !whole.embed) {
        return cel_error_nomem(err);
    }
    cel_ctx_init(&x, c, a, effects, err);
    sig = replacement(&x, &whole, sig);
    if (sig) {
        (void)cel_sig_applied(&x, sig, NULL, NULL, cel_opts_new(&x));
    }
    return finish(&x, effects, len, n);
}

static void grow_chord(struct cel_ctx *x, const struct cel_task_call *call,
                       struct cel_slice id)
{
    struct cel_buf json = {0};

    cel_json_write_string(&json, id);
    celery_status st = cel_buf_ok(&json) ? CELERY_OK : CELERY_ENOMEM;
    if (st == CELERY_OK) {
        st = cel_effects_add(x->effects,
                             &(struct cel_effect){.kind = CEL_EFFECT_CHORD_GROW,
                                                  .id = call->group,
                                                  .json = cel_buf_slice(&json)});
    }
    cel_buf_fini(&json);
    if (st < 0) {
        cel_ctx_fail(x, st, "the chord cannot be counted");
    }
}

celery_status cel_sig_add_to_chord(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call, struct cel_sig *sig,
                                   struct cel_effects *effects,
                                   struct cel_node **ret_result, celery_error *err)
{
    struct cel_ctx x;
    struct cel_res *res = NULL;
    size_t len = effects->bytes.len, n = effects->n;

    cel_ctx_init(&x, c, a, effects, err);
    if (!embedded(call, "chord") || !call->group.len) {
        cel_ctx_fail(&x, CELERY_EINVAL, "Current task is not member of any chord");
    } else {
        set_family(&x, sig, call);
        cel_opts_set(&x, sig->opts, CEL_KEY("chord"), chord_of(&x, call));
        cel_opts_set_text(&x, sig->opts, CEL_KEY("root_id"), call->root_id);
        res = cel_ctx_ok(&x) ? cel_sig_frozen(&x, sig, &(struct cel_freeze){0}) : NULL;
    }
    if (res) {
        grow_chord(&x, call, res->id);
        res = cel_sig_applied(&x, sig, NULL, NULL, cel_opts_new(&x));
    }
    if (res && ret_result) {
        *ret_result = cel_res_tuple(&x, res);
    }
    return finish(&x, effects, len, n);
}
