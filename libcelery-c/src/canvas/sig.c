/* SPDX-License-Identifier: BSD-3-Clause */
/* Signature.__init__ and from_dict of each class. */
#include "canvas/sig.h"

struct cel_sig *cel_sig_make(struct cel_ctx *x, enum cel_sig_class type,
                             struct cel_slice task, const struct cel_node *args,
                             struct cel_kw *kw, struct cel_opts *opts, bool immutable)
{
    struct cel_sig *sig = cel_ctx_alloc(x, sizeof *sig);

    if (!sig) {
        return NULL;
    }
    *sig = (struct cel_sig){
        .type = type,
        .immutable = immutable,
        .args_tuple = true,
        .task = task,
        .args = args,
        .kw = kw ? kw : cel_ctx_alloc(x, sizeof *kw),
        .opts = opts ? opts : cel_opts_new(x),
    };
    return cel_ctx_ok(x) ? sig : NULL;
}

struct cel_sig *cel_sig_of_tasks(struct cel_ctx *x, enum cel_sig_class type,
                                 struct cel_list_obj *tasks, struct cel_opts *opts)
{
    struct cel_kw *kw = cel_ctx_alloc(x, sizeof *kw);

    if (!kw || !tasks) {
        return NULL;
    }
    kw->tasks = tasks;
    return cel_sig_make(x, type,
                        type == CEL_SIG_CHAIN ? CEL_SLICE("celery.chain")
                                              : CEL_SLICE("celery.group"),
                        NULL, kw, opts, false);
}

struct cel_sig *cel_map_make(struct cel_ctx *x, enum cel_sig_class type,
                             struct cel_val task, const struct cel_node *it, int64_t n,
                             struct cel_opts *opts)
{
    struct cel_kw *kw = cel_ctx_alloc(x, sizeof *kw);
    struct cel_slice name = type == CEL_SIG_MAP       ? CEL_SLICE("celery.map")
                            : type == CEL_SIG_STARMAP ? CEL_SLICE("celery.starmap")
                                                      : CEL_SLICE("celery.chunks");

    if (!kw) {
        return NULL;
    }
    kw->task = task;
    kw->it = it;
    kw->n = n;
    return cel_sig_make(x, type, name, NULL, kw, opts, true);
}

struct cel_list_obj *cel_sig_tasks(const struct cel_sig *sig)
{
    return !sig || !sig->kw  ? NULL
           : sig->kw->header ? sig->kw->header->kw->tasks
                             : sig->kw->tasks;
}

/* ---- from_dict() ---- */

/* type(tasks)(maybe_signature(task) for task in tasks) */
static struct cel_list_obj *signatures(struct cel_ctx *x, const struct cel_list_obj *from)
{
    struct cel_list_obj *l = cel_list_obj_new(x, from ? from->n : 0);

    for (size_t i = 0; l && from && i < from->n; i++) {
        struct cel_sig *task = cel_sig_of(x, &from->items[i]);
        if (task) {
            cel_list_obj_add(x, l, cel_val_sig(task));
        }
    }
    return l;
}

/* [signature(task) for task in tasks]: what is a signature already is cloned. */
static struct cel_list_obj *cloned_signatures(struct cel_ctx *x,
                                              const struct cel_list_obj *from)
{
    struct cel_list_obj *l = signatures(x, from);

    for (size_t i = 0; l && from && i < l->n && i < from->n; i++) {
        if (from->items[i].kind == CEL_VAL_SIG && !from->items[i].sig->plain) {
            l->items[i].sig = cel_sig_cloned(x, l->items[i].sig, NULL, NULL, NULL);
        }
    }
    return cel_ctx_ok(x) ? l : NULL;
}

/* _maybe_group() */
static struct cel_list_obj *header_tasks(struct cel_ctx *x, const struct cel_val *header)
{
    bool one =
        header->kind == CEL_VAL_SIG || (header->kind == CEL_VAL_NODE && header->node &&
                                        header->node->kind == CELERY_KIND_OBJECT);

    if (!one) {
        return cloned_signatures(x, cel_val_items(x, header));
    }
    struct cel_sig *sig = cel_sig_of(x, header);
    if (sig && header->kind == CEL_VAL_SIG && !header->sig->plain) {
        sig = cel_sig_cloned(x, sig, NULL, NULL, NULL);
    }
    if (!sig) {
        return NULL;
    }
    if (sig->type == CEL_SIG_GROUP || sig->type == CEL_SIG_CHAIN) {
        return sig->kw->tasks;
    }
    struct cel_list_obj *l = cel_list_obj_new(x, 1);
    cel_list_obj_add(x, l, cel_val_sig(sig));
    return l;
}

/* {'kwargs': {}}, which a chord has where it has no other members (_chord.__init__). */
static const struct cel_node *no_kwargs(void)
{
    static struct cel_node value = {.kind = CELERY_KIND_OBJECT};
    static struct cel_node key = {.kind = CELERY_KIND_STRING,
                                  .flags = CEL_NODE_PLAIN,
                                  .size = sizeof "kwargs" - 1,
                                  .text = "kwargs",
                                  .next = &value};
    static const struct cel_node object = {
        .kind = CELERY_KIND_OBJECT, .size = 1, .first = &key};

    return &object;
}

struct cel_sig *cel_chord_make(struct cel_ctx *x, struct cel_val header,
                               struct cel_sig *body, struct cel_opts *opts)
{
    struct cel_kw *kw = cel_ctx_alloc(x, sizeof *kw);

    if (!kw) {
        return NULL;
    }
    kw->tasks = header_tasks(x, &header);
    kw->body = body;
    kw->node = no_kwargs();
    return kw->tasks ? cel_sig_make(x, CEL_SIG_CHORD, CEL_SLICE("celery.chord"), NULL, kw,
                                    opts, false)
                     : NULL;
}

/* dict(options): lists of callbacks are shared, so they are made lists first. */
static struct cel_opts *shared_opts(struct cel_ctx *x, const struct cel_sig *from)
{
    static const char *const keys[] = {"link", "link_error"};

    for (size_t i = 0; i < 2; i++) {
        const struct cel_val *v = cel_opts_find(from->opts, cel_slice_of(keys[i]));
        if (v && v->kind == CEL_VAL_NODE && v->node &&
            v->node->kind == CELERY_KIND_ARRAY) {
            (void)cel_opts_list(x, from->opts, cel_slice_of(keys[i]));
        }
    }
    return cel_opts_copy(x, from->opts);
}

static struct cel_sig *chord_from_plain(struct cel_ctx *x, const struct cel_sig *from)
{
    struct cel_val header =
        from->kw->header ? cel_val_sig(from->kw->header) : cel_val_list(from->kw->tasks);
    const struct cel_val body = cel_val_sig(from->kw->body);
    struct cel_sig *sig = cel_chord_make(
        x, header, from->kw->body ? cel_sig_of(x, &body) : NULL, shared_opts(x, from));

    if (sig) {
        sig->task = from->task;
        sig->args = from->args;
        sig->args_tuple = true;
        sig->kw->node = cel_node_truth(from->kw->node) ? from->kw->node : no_kwargs();
        sig->immutable = from->immutable;
    }
    return sig;
}

/* cls(tasks, **options): an option of the name is the parameter immutable. */
static struct cel_sig *of_tasks(struct cel_ctx *x, const struct cel_sig *from,
                                struct cel_list_obj *tasks)
{
    struct cel_opts *opts = shared_opts(x, from);
    struct cel_val immutable;

    (void)cel_opts_pop(opts, CEL_KEY("immutable"), &immutable);
    struct cel_sig *sig = cel_sig_of_tasks(x, from->type, tasks, opts);
    if (sig) {
        sig->immutable = cel_val_truth(&immutable);
    }
    return sig;
}

struct cel_sig *cel_sig_from_plain(struct cel_ctx *x, const struct cel_sig *from)
{
    struct cel_sig *sig = NULL;
    struct cel_list_obj *tasks;

    switch (from->type) {
    case CEL_SIG_TASK:
        sig = cel_ctx_alloc(x, sizeof *sig);
        if (sig) {
            *sig = *from;
            sig->plain = false;
            sig->memo = 0;
        }
        return sig;
    case CEL_SIG_CHAIN:
    case CEL_SIG_GROUP:
        tasks = signatures(x, from->kw->tasks);
        if (tasks && from->type == CEL_SIG_GROUP) {
            from->kw->tasks = tasks; /* in place, as upstream's comment there explains */
        }
        return of_tasks(x, from, tasks);
    case CEL_SIG_CHORD:
        return chord_from_plain(x, from);
    case CEL_SIG_MAP:
    case CEL_SIG_STARMAP:
    case CEL_SIG_CHUNKS:
        break;
    }
    return cel_map_make(x, from->type, from->kw->task, from->kw->it, from->kw->n,
                        shared_opts(x, from));
}

static enum cel_sig_class class_of(struct cel_slice type)
{
    static const struct {
        const char *name;
        enum cel_sig_class type;
    } all[] = {
        {"chain", CEL_SIG_CHAIN},      {"group", CEL_SIG_GROUP},
        {"chord", CEL_SIG_CHORD},      {"xmap", CEL_SIG_MAP},
        {"xstarmap", CEL_SIG_STARMAP}, {"chunks", CEL_SIG_CHUNKS},
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (cel_slice_is(type, all[i].name)) {
            return all[i].type;
        }
    }
    return CEL_SIG_TASK;
}

/* The document without some members; itself when it has none of them. */
const struct cel_node *cel_object_without(struct cel_ctx *x,
                                          const struct cel_node *object, const char *a,
                                          const char *b)
{
    struct cel_node *rest = cel_node_new(x->a, CELERY_KIND_OBJECT);

    for (const struct cel_node *k = cel_node_first(object); rest && k;
         k = k->next->next) {
        if (!cel_slice_is(cel_node_text(k), a) && !cel_slice_is(cel_node_text(k), b) &&
            cel_doc_add_member(rest, cel_node_shallow(x->a, k),
                               cel_node_shallow(x->a, k->next)) < 0) {
            cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
            return NULL;
        }
    }
    return rest;
}

static struct cel_list_obj *plain_list(struct cel_ctx *x, const struct cel_node *array)
{
    struct cel_list_obj *l = cel_list_obj_new(x, array ? array->size : 0);

    for (const struct cel_node *n = cel_node_first(array); n && cel_ctx_ok(x);
         n = n->next) {
        cel_list_obj_add(x, l, cel_val_sig(cel_sig_plain(x, n)));
    }
    return l;
}

static void read_chord(struct cel_ctx *x, struct cel_kw *kw,
                       const struct cel_node *kwargs)
{
    const struct cel_node *header = cel_node_get(kwargs, CEL_KEY("header"));
    const struct cel_node *body = cel_node_get(kwargs, CEL_KEY("body"));

    kw->node = cel_object_without(x, kwargs, "header", "body");
    if (header && header->kind == CELERY_KIND_OBJECT) {
        kw->header = cel_sig_plain(x, header);
    } else {
        kw->tasks = plain_list(x, header);
    }
    kw->body = cel_node_is_null(body) ? NULL : cel_sig_plain(x, body);
}

static void read_parts(struct cel_ctx *x, struct cel_sig *dict,
                       const struct cel_node *kwargs)
{
    struct cel_kw *kw = dict->kw;

    switch (dict->type) {
    case CEL_SIG_TASK:
        kw->node = kwargs;
        break;
    case CEL_SIG_CHAIN:
    case CEL_SIG_GROUP:
        kw->tasks = plain_list(x, cel_node_get(kwargs, CEL_KEY("tasks")));
        break;
    case CEL_SIG_CHORD:
        read_chord(x, kw, kwargs);
        break;
    case CEL_SIG_MAP:
    case CEL_SIG_STARMAP:
    case CEL_SIG_CHUNKS:
        kw->task = cel_val_node(cel_node_get(kwargs, CEL_KEY("task")));
        kw->it = cel_node_get(kwargs, CEL_KEY("it"));
        kw->n = cel_node_int(cel_node_get(kwargs, CEL_KEY("n")), 0);
        break;
    }
}

struct cel_sig *cel_sig_plain(struct cel_ctx *x, const struct cel_node *doc)
{
    struct cel_slice type = cel_node_text(cel_node_get(doc, CEL_KEY("subtask_type")));
    struct cel_sig *dict = NULL;

    if (cel_ctx_enter(x)) {
        dict = cel_sig_make(x, class_of(type),
                            cel_node_text(cel_node_get(doc, CEL_KEY("task"))),
                            cel_node_get(doc, CEL_KEY("args")), NULL,
                            cel_opts_from(x, cel_node_get(doc, CEL_KEY("options"))),
                            cel_node_truth(cel_node_get(doc, CEL_KEY("immutable"))));
        if (dict) {
            dict->args_tuple = false;
            dict->plain = true;
            read_parts(x, dict, cel_node_get(doc, CEL_KEY("kwargs")));
        }
    }
    cel_ctx_leave(x);
    return cel_ctx_ok(x) ? dict : NULL;
}

struct cel_sig *cel_sig_from_node(struct cel_ctx *x, const struct cel_node *doc)
{
    const struct cel_sig *dict = cel_sig_plain(x, doc);

    return dict ? cel_sig_from_plain(x, dict) : NULL;
}

struct cel_sig *cel_sig_of(struct cel_ctx *x, const struct cel_val *v)
{
    if (!cel_ctx_ok(x) || cel_val_none(v) || v->kind == CEL_VAL_LIST) {
        return NULL;
    }
    if (v->kind == CEL_VAL_NODE) {
        return cel_sig_from_node(x, v->node);
    }
    return v->sig->plain ? cel_sig_from_plain(x, v->sig) : v->sig;
}
