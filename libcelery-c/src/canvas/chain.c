/* SPDX-License-Identifier: BSD-3-Clause */
/* _chain.prepare_steps() and _chain.run(). */
#include "canvas/sig.h"

/* ---- prepare_steps() ---- */

struct walk {
    const struct cel_steps_in *in;
    struct cel_list_obj *steps; /* from head on; taken from its end */
    size_t head;
    struct cel_list_obj *tasks; /* in reverse */
    struct cel_res **results;
    size_t results_cap;
    struct cel_sig *prev_task;
    struct cel_res *prev_res;
    size_t i;
};

static bool left(const struct walk *w)
{
    return w->head < w->steps->n;
}

/*
 * Partial arguments go to the first task: chains in front are spliced, empty groups in front
 * of something are dropped.
 */
static void normalise_head(struct cel_ctx *x, struct walk *w)
{
    struct cel_sig *stripped = NULL;

    while (cel_ctx_ok(x) && left(w)) {
        struct cel_val *first = &w->steps->items[w->head];
        struct cel_sig *head = cel_sig_of(x, first);
        if (!head) {
            return;
        }
        if (head->type == CEL_SIG_CHAIN) {
            w->head++;
            head = w->in->clone ? cel_sig_cloned(x, head, NULL, NULL, NULL) : head;
            cel_list_obj_put_front(x, w->steps, &w->head, cel_sig_tasks(head));
            continue;
        }
        head = head->type == CEL_SIG_GROUP ? cel_group_unrolled(x, head) : head;
        *first = cel_val_sig(head);
        if (!cel_group_is_empty(head) || w->steps->n - w->head < 2) {
            break;
        }
        stripped = head;
        w->head++;
    }
    if (stripped && !left(w)) {
        cel_list_obj_add(x, w->steps, cel_val_sig(stripped));
    }
}

/* A group in front of a task becomes a chord: what follows hangs at its result. */
static struct cel_sig *to_chord(struct cel_ctx *x, struct walk *w, struct cel_sig *group)
{
    struct cel_opts *opts = cel_opts_new(x);
    struct cel_res *body_res = w->results[--w->tasks->n];

    if (!w->prev_res->group) {
        cel_opts_set_text(x, opts, CEL_KEY("task_id"), w->prev_res->id);
    }
    cel_opts_set_text(x, opts, CEL_KEY("root_id"), w->in->root_id);
    struct cel_sig *chord = cel_chord_make(
        x, cel_val_sig(group),
        cel_sig_of(x, &(struct cel_val){.kind = CEL_VAL_SIG, .sig = w->prev_task}), opts);
    size_t n = w->tasks->n;
    w->prev_task = n > 0 ? w->tasks->items[n - 1].sig : NULL;
    struct cel_res *node = n > 0 ? w->results[n - 1] : NULL;
    while (node && node->parent != body_res) {
        node = node->parent;
    }
    if (node) {
        node->parent = NULL;
        w->prev_res = node;
    }
    return chord;
}

static struct cel_res *freeze_step(struct cel_ctx *x, const struct walk *w,
                                   struct cel_sig *task)
{
    struct cel_freeze f = {.root_id = w->in->root_id};

    if (w->i == 0) {
        f.id = w->in->last_task_id;
        f.group_id = w->in->group_id;
        f.chord = w->in->chord;
        f.group_index = w->in->group_index;
    }
    return cel_sig_frozen(x, task, &f);
}

static void add_errbacks(struct cel_ctx *x, const struct walk *w, struct cel_sig *task)
{
    if (!cel_val_truth(&w->in->link_error)) {
        return;
    }
    struct cel_list_obj *errbacks = cel_val_items(x, &w->in->link_error);
    for (size_t i = 0; errbacks && i < errbacks->n; i++) {
        cel_sig_do_link_error(x, task, errbacks->items[i]);
        if (task->type == CEL_SIG_CHORD && task->kw->body &&
            !cel_group_is_empty(task->kw->body)) {
            cel_sig_do_link_error(x, task->kw->body, errbacks->items[i]);
        }
    }
}

static void add_result(struct cel_ctx *x, struct walk *w, struct cel_sig *task,
                       struct cel_res *res)
{
    size_t n = w->tasks->n;

    cel_list_obj_add(x, w->tasks, cel_val_sig(task));
    if (n >= w->results_cap) {
        size_t cap = n < 8 ? 16 : n * 2;
        struct cel_res **grown = cel_ctx_alloc(x, cap * sizeof *grown);
        if (!grown) {
            return;
        }
        if (n > 0) {
            memcpy(grown, w->results, n * sizeof *grown);
        }
        w->results = grown;
        w->results_cap = cap;
    }
    w->results[n] = res;
}

/* One task of the chain, from its end; what it consists of is put back instead of it. */
static void step(struct cel_ctx *x, struct walk *w)
{
    const struct cel_steps_in *in = w->in;
    struct cel_sig *task = cel_sig_of(x, &w->steps->items[--w->steps->n]);
    bool is_first = !left(w);

    if (task && task->type == CEL_SIG_GROUP) {
        task = cel_group_unrolled(x, task);
        if (cel_group_is_empty(task) && (!is_first || w->prev_task)) {
            return;
        }
    }
    if (!task) {
        return;
    }
    if (in->clone && task->type == CEL_SIG_CHORD &&
        cel_body_is_led_by_task(task->kw->body)) {
        cel_list_obj_extend(x, w->steps, cel_chord_unrolled(x, task));
        return;
    }
    if (in->clone) {
        task = cel_sig_cloned(x, task, is_first ? in->args : NULL,
                              is_first ? in->kwargs : NULL, NULL);
    } else if (is_first) {
        task->args = cel_args_joined(x, in->args, task->args);
        task->args_tuple = true;
    }
    if (!task) {
        return;
    }
    if (task->type == CEL_SIG_CHAIN) {
        cel_list_obj_extend(x, w->steps, task->kw->tasks);
        return;
    }
    if (task->type == CEL_SIG_GROUP && w->prev_task) {
        task = to_chord(x, w, task);
    }
    struct cel_res *res = task ? freeze_step(x, w, task) : NULL;
    if (!res) {
        return;
    }
    w->i++;
    if (w->prev_task && w->prev_res && !w->prev_res->parent) {
        w->prev_res->parent = res;
    }
    add_errbacks(x, w, task);
    add_result(x, w, task, res);
    w->prev_task = task;
    w->prev_res = res;
    if (task->type == CEL_SIG_CHORD && !cel_chord_allowed(x)) {
        return;
    }
    while (task->type == CEL_SIG_CHORD && w->prev_res->parent) {
        w->prev_res = w->prev_res->parent;
    }
}

struct cel_list_obj *cel_chain_prepare(struct cel_ctx *x, struct cel_sig *chain,
                                       const struct cel_steps_in *in,
                                       struct cel_res **ret_first)
{
    struct walk w = {
        .in = in,
        .steps = cel_list_obj_copy(x, chain->kw->tasks),
        .tasks = cel_list_obj_new(x, chain->kw->tasks->n),
    };

    *ret_first = NULL;
    if (!w.steps || !w.tasks) {
        return NULL;
    }
    normalise_head(x, &w);
    while (cel_ctx_ok(x) && left(&w)) {
        step(x, &w);
    }
    if (!cel_ctx_ok(x)) {
        return NULL;
    }
    *ret_first = w.tasks->n > 0 ? w.results[0] : NULL;
    cel_opts_set_text(x, chain->opts, CEL_KEY("task_id"),
                      *ret_first ? (*ret_first)->id : in->last_task_id);
    for (size_t i = 0; in->clone && i < w.tasks->n; i++) {
        cel_chord_strip_links(x, w.tasks->items[i].sig);
    }
    return w.tasks;
}

/* ---- run() ---- */

/* _prepare_chain_from_options() */
static void set_chain(struct cel_ctx *x, struct cel_opts *opts,
                      struct cel_list_obj *tasks)
{
    const struct cel_val *there = cel_opts_find(opts, CEL_KEY("chain"));

    if (there) {
        struct cel_list_obj *all = cel_list_obj_copy(x, cel_val_items(x, there));
        cel_list_obj_extend(x, all, tasks);
        tasks = all;
    }
    if (tasks) {
        cel_opts_set(x, opts, CEL_KEY("chain"), cel_val_list(tasks));
    }
}

static const struct cel_node *pop_node(struct cel_opts *o, struct cel_slice key)
{
    struct cel_val v;

    (void)cel_opts_pop(o, key, &v);
    return v.kind == CEL_VAL_NODE && !cel_node_is_null(v.node) ? v.node : NULL;
}

static void take_run_options(struct cel_opts *o, struct cel_steps_in *in,
                             struct cel_val *ret_link)
{
    static const char *const unused[] = {"parent_id", "publisher", "producer"};
    struct cel_val v;

    in->group_id = cel_opts_pop_text(o, CEL_KEY("group_id"));
    in->last_task_id = cel_opts_pop_text(o, CEL_KEY("task_id"));
    in->root_id = cel_opts_pop_text(o, CEL_KEY("root_id"));
    in->group_index = pop_node(o, CEL_KEY("group_index"));
    (void)cel_opts_pop(o, CEL_KEY("chord"), &in->chord);
    (void)cel_opts_pop(o, CEL_KEY("link"), ret_link);
    (void)cel_opts_pop(o, CEL_KEY("link_error"), &in->link_error);
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++) {
        (void)cel_opts_pop(o, cel_slice_of(unused[i]), &v);
    }
}

struct cel_res *cel_chain_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts)
{
    struct cel_sig chain = *sig; /* prepare_steps() gives it an id, which is not kept */
    struct cel_opts *o = cel_opts_copy(x, sig->opts); /* dict(self.options, **options) */
    struct cel_steps_in in = {.kwargs = kwargs, .clone = true};
    struct cel_val link;
    struct cel_res *first;

    chain.opts = cel_opts_copy(x, sig->opts);
    cel_opts_update(x, o, opts);
    if (!o) {
        return NULL;
    }
    take_run_options(o, &in, &link);
    in.args = sig->immutable ? sig->args : cel_args_joined(x, args, sig->args);
    struct cel_list_obj *tasks = cel_chain_prepare(x, &chain, &in, &first);
    if (!tasks || tasks->n == 0) {
        return NULL;
    }
    if (cel_val_truth(&link)) {
        cel_list_obj_extend(x,
                            cel_opts_list(x, tasks->items[0].sig->opts, CEL_KEY("link")),
                            cel_val_items(x, &link));
    }
    struct cel_sig *head = tasks->items[--tasks->n].sig;
    set_chain(x, o, tasks);
    struct cel_res *res = cel_sig_applied(x, head, NULL, NULL, o);
    return tasks->n == 0 ? res : first;
}
