/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/backends/base.py: failures that reach what waits, and errbacks. */
#include "base/error.h"
#include "base/uuid.h"
#include "canvas/continue.h"
#include "message/meta.h"

/* Signatures looked at for one failure; a chain is a list, but may hold chords in chords. */
#define ELEMENTS_MAX 100000

struct failing {
    const struct cel_canvas *c;
    struct cel_arena *a;
    const struct cel_continue_exc *exc;
    struct cel_effects *effects;
    struct cel_continue_copies *copies;
    celery_error *err; /* the first part that was skipped */
    bool nomem;
};

static void skip(struct failing *f, const char *what)
{
    if (f->err && f->err->status == CELERY_OK) {
        cel_error_set(f->err, CELERY_EMESSAGE, "%s: not a signature", what);
    }
}

/* A failure to make one message stops only that one. */
static void note(struct failing *f, celery_status status, const celery_error *why)
{
    if (status == CELERY_ENOMEM) {
        f->nomem = true;
    } else if (status < 0 && f->err && f->err->status == CELERY_OK) {
        *f->err = *why;
    }
}

static celery_status end(struct failing *f)
{
    return f->nomem ? cel_error_nomem(f->err) : CELERY_OK;
}

/* ---- copies ---- */

static void add_copy(struct failing *f, const struct cel_continue_copy *copy)
{
    struct cel_continue_copies *list = f->copies;

    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        struct cel_continue_copy *items =
            cel_arena_alloc(f->a, cap * sizeof list->items[0]);
        if (!items) {
            f->nomem = true;
            return;
        }
        if (list->n > 0) {
            memcpy(items, list->items, list->n * sizeof items[0]);
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = *copy;
}

static const struct cel_node *options_of(const struct cel_node *sig)
{
    return cel_node_get(sig, CEL_SLICE("options"));
}

static struct cel_slice option_text(const struct cel_node *sig, const char *name)
{
    const struct cel_node *n = cel_node_get(options_of(sig), cel_slice_of(name));

    return cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
}

static bool is_type(const struct cel_node *sig, const char *type)
{
    return cel_slice_is(cel_node_text(cel_node_get(sig, CEL_SLICE("subtask_type"))),
                        type);
}

static const struct cel_node *kwarg(const struct cel_node *sig, const char *name)
{
    return cel_node_get(cel_node_get(sig, CEL_SLICE("kwargs")), cel_slice_of(name));
}

/* One step of a chain, as the Context that _fail_chain() makes of it. */
static void copy_of_step(struct failing *f, const struct cel_node *sig)
{
    const struct cel_node *chord = cel_node_get(options_of(sig), CEL_SLICE("chord"));
    struct cel_continue_copy copy = {
        .task_id = option_text(sig, "task_id"),
        .group_id = option_text(sig, "group_id"),
        .parent_id = option_text(sig, "parent_id"),
        .group_index =
            cel_node_int(cel_node_get(options_of(sig), CEL_SLICE("group_index")), -1),
        .chord = cel_node_truth(chord) ? chord : NULL,
    };

    if (copy.task_id.len > 0) {
        add_copy(f, &copy);
    }
}

/* The steps in the order of the list; a chord's result is that of its body. */
static void fail_chain(struct failing *f, const struct cel_node *chain)
{
    size_t n = 0;

    if (cel_node_is_null(chain)) {
        return;
    }
    if (chain->kind != CELERY_KIND_ARRAY) {
        skip(f, "chain");
        return;
    }
    for (int round = 0; round < 2; round++) {
        for (const struct cel_node *k = cel_node_first(chain); k; k = k->next) {
            const struct cel_node *sig = k;

            if (k->kind != CELERY_KIND_OBJECT) {
                skip(f, "chain");
                continue;
            }
            if (round == 0) {
                copy_of_step(f, sig);
            }
            /* Bodies come behind all steps, and bodies of bodies behind those. */
            while (round == 1 && is_type(sig, "chord") && n++ < ELEMENTS_MAX) {
                sig = kwarg(sig, "body");
                copy_of_step(f, sig);
            }
        }
    }
}

/* ---- errbacks ---- */

static const struct cel_node *as_list(struct cel_arena *a, const struct cel_node *n)
{
    if (!cel_node_truth(n) || n->kind == CELERY_KIND_ARRAY) {
        return cel_node_truth(n) ? n : NULL;
    }
    struct cel_node *list = cel_node_new(a, CELERY_KIND_ARRAY);

    return cel_node_append(list, cel_node_copy(a, n)) == CELERY_OK ? list : NULL;
}

/* Who failed, as far as errbacks are told. */
struct failed {
    struct cel_slice id;
    struct cel_slice root_id; /* empty: id */
    struct cel_slice parent_id;
    struct cel_slice group;
    struct cel_slice task;
    const struct cel_node *args; /* or NULL */
    const struct cel_node *kwargs;
    int64_t retries;
};

static struct cel_node *text_node(struct cel_arena *a, struct cel_slice text)
{
    return text.len > 0 ? cel_node_new_string(a, text)
                        : cel_node_new(a, CELERY_KIND_NULL);
}

static struct cel_node *ids(struct failing *f, const struct failed *who)
{
    struct cel_node *o = cel_node_new(f->a, CELERY_KIND_OBJECT);
    struct cel_slice root = who->root_id.len ? who->root_id : who->id;

    if (o &&
        (cel_node_put(f->a, o, CEL_SLICE("parent_id"), text_node(f->a, who->id)) < 0 ||
         cel_node_put(f->a, o, CEL_SLICE("root_id"), text_node(f->a, root)) < 0)) {
        o = NULL;
    }
    return o;
}

static void apply(struct failing *f, const struct cel_sig *sig,
                  const struct cel_node *args, const struct cel_node *options)
{
    celery_error err = {0};
    struct cel_node *tuple = NULL;

    if (!sig || !args || !options) {
        f->nomem = true;
        return;
    }
    note(f, cel_sig_apply(f->c, f->a, sig, args, NULL, options, f->effects, &tuple, &err),
         &err);
}

/* A task of this app that takes (request, exc, traceback): option new_style_errback. */
static bool is_new_style(const struct failing *f, const struct cel_sig *sig)
{
    const struct cel_task_def *def =
        f->c->app ? cel_app_find_task(f->c->app, cel_sig_task_name(sig)) : NULL;

    return def && def->new_style_errback == CEL_YES;
}

/* The request as far as it can be told in JSON. */
static struct cel_node *request_doc(struct failing *f, const struct failed *who)
{
    struct cel_arena *a = f->a;
    struct cel_node *o = cel_node_new(a, CELERY_KIND_OBJECT);
    const struct {
        const char *key;
        struct cel_node *value;
    } members[] = {
        {"id", text_node(a, who->id)},
        {"task", text_node(a, who->task)},
        {"args",
         who->args ? cel_node_copy(a, who->args) : cel_node_new(a, CELERY_KIND_ARRAY)},
        {"kwargs", who->kwargs ? cel_node_copy(a, who->kwargs)
                               : cel_node_new(a, CELERY_KIND_OBJECT)},
        {"root_id", text_node(a, who->root_id.len ? who->root_id : who->id)},
        {"parent_id", text_node(a, who->parent_id)},
        {"group", text_node(a, who->group)},
        {"retries", cel_node_new_int(a, who->retries)},
    };

    for (size_t i = 0; o && i < sizeof members / sizeof members[0]; i++) {
        if (cel_node_put(a, o, cel_slice_of(members[i].key), members[i].value) < 0) {
            o = NULL;
        }
    }
    return o;
}

static struct cel_node *exc_doc(struct failing *f)
{
    struct cel_buf json = {0};
    struct cel_node *doc = NULL;

    cel_exception_write(&json, f->exc->type, f->exc->args_json, f->exc->module);
    char *text = cel_buf_ok(&json) ? cel_arena_strndup(f->a, json.data, json.len) : NULL;

    if (text) {
        cel_json_parse(f->a, cel_slice(text, json.len), NULL, &doc, NULL);
    }
    cel_buf_fini(&json);
    return doc;
}

/*
 * Celery calls these in the worker's process; here they are published as tasks of their own, so
 * that nothing runs where nobody watches it.
 */
static void send_new_style(struct failing *f, const struct cel_sig *sig,
                           const struct failed *who)
{
    struct cel_node *args = cel_node_new(f->a, CELERY_KIND_ARRAY);
    struct cel_node *traceback = f->exc->traceback.len
                                     ? cel_node_new_string(f->a, f->exc->traceback)
                                     : cel_node_new(f->a, CELERY_KIND_NULL);

    if (!args || cel_node_append(args, request_doc(f, who)) < 0 ||
        cel_node_append(args, exc_doc(f)) < 0 || cel_node_append(args, traceback) < 0) {
        f->nomem = true;
        return;
    }
    apply(f, sig, args, ids(f, who));
}

/* _call_task_errbacks(): the old style as one group, with the id of the failed task. */
static void call_errbacks(struct failing *f, const struct failed *who,
                          const struct cel_node *errbacks)
{
    const struct cel_node *list = as_list(f->a, errbacks);
    struct cel_sig **old =
        list ? cel_arena_alloc(f->a, (size_t)list->size * sizeof(struct cel_sig *))
             : NULL;
    size_t n = 0;

    if (!list) {
        return;
    }
    if (!old) {
        f->nomem = true;
        return;
    }
    for (const struct cel_node *k = cel_node_first(list); k; k = k->next) {
        celery_error err = {0};
        struct cel_sig *sig = NULL;
        celery_status status = cel_canvas_read(f->a, k, "errbacks", &sig, &err);

        note(f, status, &err);
        if (status == CELERY_OK && is_new_style(f, sig)) {
            send_new_style(f, sig, who);
        } else if (status == CELERY_OK) {
            old[n++] = sig;
        }
    }
    if (n > 0) {
        struct cel_node *args = cel_node_new(f->a, CELERY_KIND_ARRAY);

        if (!args || cel_node_append(args, text_node(f->a, who->id)) < 0) {
            f->nomem = true;
            return;
        }
        apply(f, cel_sig_group(f->a, old, n), args, ids(f, who));
    }
}

celery_status cel_continue_failure(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call,
                                   const struct cel_continue_exc *exc,
                                   struct cel_effects *effects,
                                   struct cel_continue_copies *copies, celery_error *err)
{
    struct failing f = {c, a, exc, effects, copies, err, false};
    const struct failed who = {
        .id = call->id,
        .root_id = call->root_id,
        .parent_id = call->parent_id,
        .group = call->group,
        .task = call->task,
        .args = call->args,
        .kwargs = call->kwargs,
        .retries = call->retries,
    };

    fail_chain(&f, cel_node_get(call->embed, CEL_SLICE("chain")));
    call_errbacks(&f, &who, cel_node_get(call->embed, CEL_SLICE("errbacks")));
    return end(&f);
}

/* ---- the body of a chord whose part failed ---- */

static struct cel_slice new_id(struct failing *f)
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
static struct cel_slice children_so_far(struct failing *f)
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
static void fail_body(struct failing *f, struct cel_slice id, bool original,
                      struct cel_slice task, const struct cel_node *errbacks)
{
    const struct failed who = {.id = id, .task = task};
    struct cel_continue_copy copy = {
        .task_id = id, .group_index = -1, .original = original, .trail = true};

    call_errbacks(f, &who, errbacks);
    copy.children = children_so_far(f);
    add_copy(f, &copy);
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

static void add_missing(struct failing *f, struct cel_node *list,
                        const struct cel_node *errbacks)
{
    for (const struct cel_node *k = cel_node_first(as_list(f->a, errbacks)); k;
         k = k->next) {
        if (!has(list, k) && cel_node_append(list, cel_node_copy(f->a, k)) < 0) {
            f->nomem = true;
        }
    }
}

/* _result_errbacks(): those of a member; a chord's are its own and its body's. */
static void member_errbacks(struct failing *f, struct cel_node *list,
                            const struct cel_node *sig, unsigned depth)
{
    while (is_type(sig, "chord") && kwarg(sig, "body")) {
        add_missing(f, list, cel_node_get(options_of(sig), CEL_SLICE("link_error")));
        sig = kwarg(sig, "body");
    }
    add_missing(f, list, cel_node_get(options_of(sig), CEL_SLICE("link_error")));
    if (is_type(sig, "group") && depth < 100) {
        const struct cel_node *tasks = kwarg(sig, "tasks");

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
static void fail_group(struct failing *f, const struct cel_node *body)
{
    celery_error err = {0};
    struct cel_sig *sig = NULL;
    struct cel_node *tuple = NULL;
    const struct cel_node *errbacks =
        cel_node_get(options_of(body), CEL_SLICE("link_error"));
    celery_status status = cel_canvas_read(f->a, body, "chord", &sig, &err);

    if (status == CELERY_OK) {
        status = cel_sig_freeze(f->c, f->a, sig, &tuple, &err);
    }
    note(f, status, &err);
    if (status < 0) {
        return;
    }
    const struct cel_node *task = cel_node_first(kwarg(body, "tasks"));

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
    add_copy(f, &(struct cel_continue_copy){.task_id = tuple_id(tuple),
                                            .group_index = -1,
                                            .original = true,
                                            .bare = true,
                                            .trail = true,
                                            .children = children_so_far(f)});
}

/* The id that a body's result has: of a chain without one of its own, that of its last step. */
static struct cel_slice id_of_body(struct failing *f, const struct cel_node *body)
{
    struct cel_slice id = option_text(body, "task_id");

    if (id.len == 0 && is_type(body, "chain")) {
        const struct cel_node *k = cel_node_first(kwarg(body, "tasks"));

        while (k && k->next) {
            k = k->next;
        }
        id = option_text(k, "task_id");
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
    struct failing f = {&running, a, exc, effects, copies, err, false};

    running.running_id = last->id;
    running.running_root = last->root_id;

    if (!body || body->kind != CELERY_KIND_OBJECT) {
        skip(&f, "chord");
        return CELERY_OK;
    }
    if (is_type(body, "group")) {
        f.exc = original ? original : exc;
        fail_group(&f, body);
        f.exc = exc;
    } else {
        struct cel_slice task = cel_node_text(cel_node_get(body, CEL_SLICE("task")));

        fail_body(&f, id_of_body(&f, body), false, task,
                  cel_node_get(options_of(body), CEL_SLICE("link_error")));
    }
    size_t n = copies->n;

    fail_chain(&f, cel_node_get(options_of(body), CEL_SLICE("chain")));
    for (; n < copies->n; n++) {
        copies->items[n].bare = true;
    }
    return end(&f);
}
