/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of a chord whose part failed. */
#include "base/uuid.h"
#include "canvas/failing.h"

static struct cel_slice new_id(struct cel_failing *f)
{
    char *id = cel_arena_alloc(f->a, 37);

    if (!id) {
        f->nomem = true;
        return CEL_SLICE_NULL;
    }
    if (f->c->uuid) {
        f->c->uuid(id);
    } else {
        cel_uuid4(id);
    }
    return cel_slice_of(id);
}

/* The CHILD entries so far, as current_task_children() of the running task has them. */
static struct cel_slice children_so_far(struct cel_failing *f)
{
    struct cel_slice rest = cel_buf_slice(&f->effects->bytes);
    struct cel_buf out = {0};
    struct cel_effect e;

    while (cel_effects_next(&rest, &e, NULL)) {
        if (e.kind == CEL_EFFECT_CHILD) {
            cel_buf_adds(&out, out.len > 0 ? ", " : "");
            cel_buf_add_slice(&out, e.json);
        }
    }
    char *text = cel_buf_ok(&out) ? cel_arena_strndup(f->a, out.data, out.len) : NULL;
    struct cel_slice children = cel_slice(text, out.len);

    f->nomem = f->nomem || !text;
    cel_buf_fini(&out);
    return text ? children : CEL_SLICE_NULL;
}

/* Errbacks first: that is how they come to be children in the document. */
static void fail_body(struct cel_failing *f, struct cel_slice id, bool original,
                      struct cel_slice task, const struct cel_node *errbacks)
{
    const struct cel_failed who = {.id = id, .task = task};
    struct cel_continue_copy copy = {
        .task_id = id, .group_index = -1, .original = original, .trail = true};

    cel_failing_call_errbacks(f, &who, errbacks);
    copy.children = children_so_far(f);
    cel_failing_add_copy(f, &copy);
}

static bool has(const struct cel_node *list, const struct cel_node *item)
{
    for (const struct cel_node *k = cel_node_first(list); k; k = k->next) {
        if (cel_node_equal(k, item)) {
            return true;
        }
    }
    return false;
}

static void add_missing(struct cel_failing *f, struct cel_node *list,
                        const struct cel_node *errbacks)
{
    for (const struct cel_node *k = cel_node_first(cel_failing_list(f->a, errbacks)); k;
         k = k->next) {
        if (!has(list, k) && cel_node_append(list, cel_node_copy(f->a, k)) < 0) {
            f->nomem = true;
        }
    }
}

/* _result_errbacks(): those of a member; a chord's are its own and its body's. */
static void member_errbacks(struct cel_failing *f, struct cel_node *list,
                            const struct cel_node *sig, unsigned depth)
{
    while (cel_failing_is_type(sig, "chord") && cel_failing_kwarg(sig, "body")) {
        add_missing(f, list,
                    cel_node_get(cel_failing_options(sig), CEL_SLICE("link_error")));
        sig = cel_failing_kwarg(sig, "body");
    }
    add_missing(f, list, cel_node_get(cel_failing_options(sig), CEL_SLICE("link_error")));
    if (cel_failing_is_type(sig, "group") && depth < 100) {
        const struct cel_node *tasks = cel_failing_kwarg(sig, "tasks");

        for (const struct cel_node *k = cel_node_first(tasks); k; k = k->next) {
            member_errbacks(f, list, k, depth + 1);
        }
    }
}

/* The id of [[id, parent], children], or of what Celery wrote before 4.0. */
static struct cel_slice tuple_id(const struct cel_node *tuple)
{
    const struct cel_node *first = cel_node_first(tuple);

    return cel_node_text(first && first->kind == CELERY_KIND_ARRAY ? cel_node_first(first)
                                                                   : first);
}

static const struct cel_node *second(const struct cel_node *array)
{
    const struct cel_node *first = cel_node_first(array);

    return first ? first->next : NULL;
}

/*
 * _handle_group_chord_error(): each member fails with the original exception, and the group
 * under its own id.  (Upstream also revokes the members, which were never sent.)
 */
static void fail_group(struct cel_failing *f, const struct cel_node *body)
{
    celery_error err = {0};
    struct cel_sig *sig = NULL;
    struct cel_node *tuple = NULL;
    const struct cel_node *errbacks =
        cel_node_get(cel_failing_options(body), CEL_SLICE("link_error"));
    celery_status status = cel_canvas_read(f->a, body, "chord", &sig, &err);

    if (status == CELERY_OK) {
        status = cel_sig_freeze(f->c, f->a, sig, &tuple, &err);
    }
    cel_failing_note(f, status, &err);
    if (status < 0) {
        return;
    }
    const struct cel_node *task = cel_node_first(cel_failing_kwarg(body, "tasks"));

    for (const struct cel_node *k = cel_node_first(second(tuple)); k; k = k->next) {
        struct cel_node *list = cel_node_new(f->a, CELERY_KIND_ARRAY);

        if (!list) {
            f->nomem = true;
            return;
        }
        if (task) {
            member_errbacks(f, list, task, 0);
            task = task->next;
        }
        add_missing(f, list, errbacks);
        fail_body(f, tuple_id(k), true, CEL_SLICE("unknown"), list);
    }
    cel_failing_add_copy(f, &(struct cel_continue_copy){.task_id = tuple_id(tuple),
                                                        .group_index = -1,
                                                        .original = true,
                                                        .bare = true,
                                                        .trail = true,
                                                        .children = children_so_far(f)});
}

/* The id that a body's result has: of a chain without one of its own, that of its last step. */
static struct cel_slice id_of_body(struct cel_failing *f, const struct cel_node *body)
{
    struct cel_slice id = cel_failing_option(body, "task_id");

    if (id.len == 0 && cel_failing_is_type(body, "chain")) {
        const struct cel_node *k = cel_node_first(cel_failing_kwarg(body, "tasks"));

        while (k && k->next) {
            k = k->next;
        }
        id = cel_failing_option(k, "task_id");
    }
    return id.len > 0 ? id : new_id(f);
}

celery_status cel_continue_chord_error(
    const struct cel_canvas *c, struct cel_arena *a, const struct cel_task_call *last,
    const struct cel_node *body, const struct cel_continue_exc *exc,
    const struct cel_continue_exc *original, struct cel_effects *effects,
    struct cel_continue_copies *copies, celery_error *err)
{
    struct cel_canvas running = *c;
    struct cel_failing f = {&running, a, exc, effects, copies, err, false};

    running.running_id = last->id;
    running.running_root = last->root_id;
    running.traceparent = last->traceparent;
    running.tracestate = last->tracestate;

    if (!body || body->kind != CELERY_KIND_OBJECT) {
        cel_failing_skip(&f, "chord");
        return CELERY_OK;
    }
    if (cel_failing_is_type(body, "group")) {
        f.exc = original ? original : exc;
        fail_group(&f, body);
        f.exc = exc;
    } else {
        struct cel_slice task = cel_node_text(cel_node_get(body, CEL_SLICE("task")));

        fail_body(&f, id_of_body(&f, body), false, task,
                  cel_node_get(cel_failing_options(body), CEL_SLICE("link_error")));
    }
    size_t n = copies->n;

    cel_failing_chain(&f, cel_node_get(cel_failing_options(body), CEL_SLICE("chain")));
    for (; n < copies->n; n++) {
        copies->items[n].bare = true;
    }
    return cel_failing_end(&f);
}
