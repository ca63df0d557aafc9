/* SPDX-License-Identifier: BSD-3-Clause */
/* freeze() of each class, and result tuples. */
#include "canvas/sig.h"

struct cel_res *cel_res_new(struct cel_ctx *x, struct cel_slice id)
{
    struct cel_res *res = cel_ctx_alloc(x, sizeof *res);

    if (res) {
        res->id = id;
    }
    return res;
}

/* Signature.freeze() */
static struct cel_res *task_frozen(struct cel_ctx *x, struct cel_sig *sig,
                                   const struct cel_freeze *f)
{
    struct cel_opts *o = sig->opts;
    struct cel_slice id = cel_opts_text(o, CEL_KEY("task_id"));

    if (!cel_opts_find(o, CEL_KEY("task_id"))) {
        id = f->id.len ? f->id : cel_ctx_uuid(x);
        cel_opts_set_text(x, o, CEL_KEY("task_id"), id);
    }
    if (!id.len) {
        cel_ctx_fail(x, CELERY_EMESSAGE, "%.*s: task_id is no text", (int)sig->task.len,
                     sig->task.data);
    }
    if (f->root_id.len) {
        cel_opts_set_text(x, o, CEL_KEY("root_id"), f->root_id);
    }
    if (f->parent_id.len) {
        cel_opts_set_text(x, o, CEL_KEY("parent_id"), f->parent_id);
    }
    if (x->c->reply_to.len && !cel_opts_find(o, CEL_KEY("reply_to"))) {
        cel_opts_set_text(x, o, CEL_KEY("reply_to"), x->c->reply_to);
    }
    if (f->group_id.len && !cel_opts_find(o, CEL_KEY("group_id"))) {
        cel_opts_set_text(x, o, CEL_KEY("group_id"), f->group_id);
    }
    if (cel_val_truth(&f->chord)) {
        cel_opts_set(x, o, CEL_KEY("chord"), f->chord);
    }
    if (f->group_index) {
        cel_opts_set(x, o, CEL_KEY("group_index"), cel_val_node(f->group_index));
    }
    return cel_res_new(x, id);
}

/* _chain.freeze() */
static struct cel_res *chain_frozen(struct cel_ctx *x, struct cel_sig *sig,
                                    const struct cel_freeze *f)
{
    struct cel_res *first = NULL;
    const struct cel_steps_in in = {
        .args = sig->args,
        .kwargs = sig->kw->node,
        .root_id = f->root_id,
        .last_task_id = f->id,
        .group_id = f->group_id,
        .chord = f->chord,
        .group_index = f->group_index,
    };

    (void)cel_chain_prepare(x, sig, &in, &first);
    if (!first && cel_ctx_ok(x)) {
        cel_ctx_fail(x, CELERY_EMESSAGE, "a chain without tasks");
    }
    return first;
}

/* ---- groups ---- */

struct unroll {
    struct cel_list_obj *pending; /* from head on */
    size_t head;
    struct cel_list_obj *tasks;
    struct cel_res *group;
    size_t cap;
};

static void add_child(struct cel_ctx *x, struct unroll *u, struct cel_res *child)
{
    struct cel_res *g = u->group;

    if (g->n == u->cap) {
        size_t cap = u->cap ? u->cap * 2 : u->pending->n + 1;
        struct cel_res **grown = cel_ctx_alloc(x, cap * sizeof *grown);
        if (!grown) {
            return;
        }
        if (g->n > 0) {
            memcpy(grown, g->children, g->n * sizeof *grown);
        }
        g->children = grown;
        u->cap = cap;
    }
    g->children[g->n++] = child;
}

/* deque.extendleft(): the items come out in reverse. */
static void push_reversed(struct cel_ctx *x, struct unroll *u,
                          const struct cel_list_obj *tasks)
{
    struct cel_list_obj *reversed = cel_list_obj_copy(x, tasks);

    for (size_t i = 0; reversed && i < reversed->n / 2; i++) {
        struct cel_val v = reversed->items[i];
        reversed->items[i] = reversed->items[reversed->n - 1 - i];
        reversed->items[reversed->n - 1 - i] = v;
    }
    cel_list_obj_put_front(x, u->pending, &u->head, reversed);
}

/* group._freeze_unroll() */
static void freeze_unroll(struct cel_ctx *x, struct unroll *u, const struct cel_freeze *f)
{
    struct cel_freeze part = *f;

    for (int64_t index = 0; cel_ctx_ok(x) && u->head < u->pending->n;) {
        struct cel_sig *task = cel_sig_cloned(
            x, cel_sig_of(x, &u->pending->items[u->head++]), NULL, NULL, NULL);
        if (!task) {
            break;
        }
        if (task->type == CEL_SIG_GROUP) {
            push_reversed(x, u, task->kw->tasks);
        } else if (task->type != CEL_SIG_CHAIN || cel_sig_size(task) > 0) {
            cel_list_obj_add(x, u->tasks, cel_val_sig(task));
            part.group_index = cel_ctx_int(x, index++);
            struct cel_res *child = cel_sig_frozen(x, task, &part);
            if (child) {
                add_child(x, u, child);
            }
        }
    }
}

/* opts.setdefault(key, value) */
static struct cel_slice default_text(struct cel_ctx *x, struct cel_opts *o,
                                     struct cel_slice key, struct cel_slice value)
{
    if (!cel_opts_find(o, key)) {
        cel_opts_set_text(x, o, key, value);
        return value;
    }
    return cel_opts_text(o, key);
}

struct cel_res *cel_group_frozen(struct cel_ctx *x, struct cel_sig *sig,
                                 const struct cel_freeze *f)
{
    struct cel_opts *o = sig->opts;
    struct cel_list_obj *tasks = sig->kw->tasks;
    struct cel_freeze part = {.group_id = f->group_id, .chord = f->chord};

    if (!cel_opts_find(o, CEL_KEY("task_id"))) {
        cel_opts_set_text(x, o, CEL_KEY("task_id"), cel_ctx_uuid(x));
    }
    struct cel_slice gid = cel_opts_text(o, CEL_KEY("task_id"));
    if (f->group_id.len) {
        cel_opts_set_text(x, o, CEL_KEY("group_id"), f->group_id);
    }
    if (cel_val_truth(&f->chord)) {
        cel_opts_set(x, o, CEL_KEY("chord"), f->chord);
    }
    if (f->group_index) {
        cel_opts_set(x, o, CEL_KEY("group_index"), cel_val_node(f->group_index));
    }
    part.root_id = default_text(x, o, CEL_KEY("root_id"), f->root_id);
    part.parent_id = default_text(x, o, CEL_KEY("parent_id"), f->parent_id);
    struct unroll u = {
        .pending = cel_list_obj_copy(x, tasks),
        .tasks = cel_list_obj_new(x, tasks ? tasks->n : 0),
        .group = cel_res_new(x, gid),
    };
    if (!u.pending || !u.tasks || !u.group) {
        return NULL;
    }
    u.group->group = true;
    freeze_unroll(x, &u, &part);
    if (!cel_ctx_ok(x) || !tasks) {
        return NULL;
    }
    *tasks = *u.tasks; /* self.tasks[:] = new_tasks */
    return u.group;
}

/* _chord.freeze() */
static struct cel_res *chord_frozen(struct cel_ctx *x, struct cel_sig *sig,
                                    const struct cel_freeze *f)
{
    struct cel_kw *kw = sig->kw;

    if (!kw->header) {
        kw->header = cel_sig_of_tasks(x, CEL_SIG_GROUP, kw->tasks, NULL);
        kw->tasks = NULL;
    }
    struct cel_val body = kw->body ? cel_val_sig(kw->body) : cel_val_node(NULL);
    struct cel_res *header =
        kw->header ? cel_group_frozen(x, kw->header,
                                      &(struct cel_freeze){.parent_id = f->parent_id,
                                                           .root_id = f->root_id,
                                                           .chord = body})
                   : NULL;
    if (!header) {
        return NULL;
    }
    cel_opts_set_text(x, sig->opts, CEL_KEY("task_id"),
                      cel_opts_text(kw->header->opts, CEL_KEY("task_id")));
    if (!kw->body) {
        cel_ctx_fail(x, CELERY_EMESSAGE, "a chord without a body");
        return NULL;
    }
    struct cel_res *res = cel_sig_frozen(x, kw->body,
                                         &(struct cel_freeze){
                                             .id = f->id,
                                             .root_id = f->root_id,
                                             .chord = f->chord,
                                             .group_id = f->group_id,
                                             .group_index = f->group_index,
                                         });
    struct cel_res *node = res;
    while (node && node->parent) {
        node = node->parent;
    }
    if (node) {
        node->parent = header;
    }
    return res;
}

struct cel_res *cel_sig_frozen(struct cel_ctx *x, struct cel_sig *sig,
                               const struct cel_freeze *f)
{
    struct cel_res *res = NULL;

    if (sig && cel_ctx_enter(x)) {
        res = sig->type == CEL_SIG_CHAIN   ? chain_frozen(x, sig, f)
              : sig->type == CEL_SIG_GROUP ? cel_group_frozen(x, sig, f)
              : sig->type == CEL_SIG_CHORD ? chord_frozen(x, sig, f)
                                           : task_frozen(x, sig, f);
        cel_ctx_leave(x);
    }
    return cel_ctx_ok(x) ? res : NULL;
}

/* ---- AsyncResult.as_tuple(), GroupResult.as_tuple() ---- */

static struct cel_node *tuple(struct cel_ctx *x, const struct cel_res *res,
                              unsigned depth);

static struct cel_node *pair(struct cel_ctx *x, struct cel_node *first,
                             struct cel_node *second)
{
    struct cel_node *list = cel_node_new(x->a, CELERY_KIND_ARRAY);

    return list && cel_node_append(list, first) == CELERY_OK &&
                   cel_node_append(list, second) == CELERY_OK
               ? list
               : NULL;
}

static struct cel_node *children(struct cel_ctx *x, const struct cel_res *res,
                                 unsigned depth)
{
    struct cel_node *list =
        cel_node_new(x->a, res->group ? CELERY_KIND_ARRAY : CELERY_KIND_NULL);

    for (size_t i = 0; list && i < res->n; i++) {
        if (cel_node_append(list, tuple(x, res->children[i], depth + 1)) < 0) {
            return NULL;
        }
    }
    return list;
}

/* A line of parents can be long: from its end, without recursion. */
static struct cel_node *tuple(struct cel_ctx *x, const struct cel_res *res,
                              unsigned depth)
{
    size_t n = 0;
    for (const struct cel_res *r = res; r; r = r->parent) {
        n++;
    }
    const struct cel_res **line = cel_ctx_alloc(x, n * sizeof *line);
    if (!line || depth > CEL_CANVAS_DEPTH_MAX) {
        cel_ctx_fail(x, CELERY_ELIMIT, "results are nested too deep");
        return NULL;
    }
    n = 0;
    for (const struct cel_res *r = res; r; r = r->parent) {
        line[n++] = r;
    }
    struct cel_node *node = cel_node_new(x->a, CELERY_KIND_NULL);
    while (n > 0 && node) {
        const struct cel_res *r = line[--n];
        struct cel_node *id = cel_node_new_string(x->a, r->id);
        node = pair(x, pair(x, id, node), children(x, r, depth));
    }
    return node;
}

struct cel_node *cel_res_tuple(struct cel_ctx *x, const struct cel_res *res)
{
    struct cel_node *node = res && cel_ctx_ok(x) ? tuple(x, res, 0) : NULL;

    if (!node && cel_ctx_ok(x)) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
    }
    return node;
}
