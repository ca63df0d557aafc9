/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signatures as celery/canvas.py has them: mutable, and shared where Python shares them.  The
 * functions of this folder are named after the methods they stand for.
 */
#ifndef CEL_CANVAS_SIG_H
#define CEL_CANVAS_SIG_H

#include "base/arena.h"
#include "base/error.h"
#include "canvas/canvas.h"
#include "codec/doc_build.h"

/* Signatures below signatures; JSON has at least three levels for each. */
#define CEL_CANVAS_DEPTH_MAX 300
/* Signatures in one tree that is read. */
#define CEL_CANVAS_PARTS_MAX ((size_t)1 << 20)
/*
 * Memory and messages that applying may take.  Upstream copies a chord's body to each of its
 * header's tasks, so a few nested chords can double what is sent with each level.
 */
#define CEL_CANVAS_COST_MAX  ((size_t)128 << 20)
#define CEL_CANVAS_COST_PART ((size_t)64 << 10) /* more, for each signature */

enum cel_sig_class {
    CEL_SIG_TASK,
    CEL_SIG_CHAIN,
    CEL_SIG_GROUP,
    CEL_SIG_CHORD,
    CEL_SIG_MAP,
    CEL_SIG_STARMAP,
    CEL_SIG_CHUNKS,
};

/* A value of options, or a part: a document (NULL: None), a signature, or a list. */
struct cel_val {
    enum { CEL_VAL_NODE, CEL_VAL_SIG, CEL_VAL_LIST } kind;
    union {
        const struct cel_node *node;
        struct cel_sig *sig;
        struct cel_list_obj *list;
    };
};

/* Python's list: shared by reference. */
struct cel_list_obj {
    struct cel_val *items;
    size_t n, cap;
};

struct cel_opt {
    struct cel_slice key;
    struct cel_val value;
};

/* Python's dict of options: shared by reference, in the order of insertion. */
struct cel_opts {
    struct cel_opt *items;
    size_t n, cap;
};

/* The dict kwargs, shared by reference. */
struct cel_kw {
    const struct cel_node
        *node;                  /* of a task: all; of a chord: what is no part; or NULL */
    struct cel_list_obj *tasks; /* chain, group; header of a chord */
    struct cel_sig *header;     /* header of a chord when it is a group; tasks is NULL */
    struct cel_sig *body;       /* or NULL */
    struct cel_val task;        /* map, starmap, chunks */
    const struct cel_node *it;
    int64_t n; /* chunks */
};

struct cel_sig {
    enum cel_sig_class type;
    bool plain; /* a dict that has lost its class: copy.deepcopy() of a Signature */
    bool immutable;
    bool args_tuple; /* a tuple, as clone() leaves it; otherwise a list of JSON */
    struct cel_slice task;
    const struct cel_node *args; /* array, or NULL: none */
    struct cel_kw *kw;
    struct cel_opts *opts;
    uint64_t memo; /* number of the deepcopy() that made copy */
    struct cel_sig *copy;
};

/* celery/result.py AsyncResult and GroupResult. */
struct cel_res {
    struct cel_slice id;
    struct cel_res *parent;
    struct cel_res **children; /* of a group */
    size_t n;
    bool group;
};

/* The settings that every message is made with. */
struct cel_ctx_conf {
    bool read;
    const char *serializer, *compression; /* "" and NULL: the default, none */
    int priority, delivery_mode;
    bool inherit_priority;
    bool sent_event; /* task_send_sent_event */
    double time_limit, soft_time_limit;
    int repr_levels;
};

/* One call from outside; status keeps the first failure, and everything stops with it. */
struct cel_ctx {
    const struct cel_canvas *c; /* NULL while building */
    struct cel_arena *a;
    struct cel_arena scratch; /* of one message */
    struct cel_effects *effects;
    bool header_errbacks;    /* task_allow_error_cb_on_chord_header */
    struct cel_slice origin; /* gen<pid>@<host> */
    struct cel_ctx_conf conf;
    struct cel_slice routed; /* the task that went to route without options */
    struct cel_route route;
    size_t left; /* of the cost that is allowed */
    unsigned depth;
    celery_status status;
    celery_error *err;
};

#define CEL_KEY(name) CEL_SLICE(name)

static inline struct cel_val cel_val_node(const struct cel_node *n)
{
    return (struct cel_val){.kind = CEL_VAL_NODE, .node = n};
}

static inline struct cel_val cel_val_sig(struct cel_sig *s)
{
    return (struct cel_val){.kind = CEL_VAL_SIG, .sig = s};
}

static inline struct cel_val cel_val_list(struct cel_list_obj *l)
{
    return (struct cel_val){.kind = CEL_VAL_LIST, .list = l};
}

static inline bool cel_val_none(const struct cel_val *v)
{
    return !v || (v->kind == CEL_VAL_NODE && cel_node_is_null(v->node));
}

/* ---- ctx.c ---- */

void cel_ctx_init(struct cel_ctx *x, const struct cel_canvas *c, struct cel_arena *a,
                  struct cel_effects *effects, celery_error *err);
celery_status cel_ctx_fini(struct cel_ctx *x);
void cel_ctx_fail(struct cel_ctx *x, celery_status status, const char *fmt, ...)
    CELERY_PRINTF(3, 4);
void *cel_ctx_alloc(struct cel_ctx *x, size_t size); /* zeroed; NULL: failed */
/* Says what applying this signature may cost; without, there is no limit. */
void cel_ctx_allow(struct cel_ctx *x, const struct cel_sig *sig);
void cel_ctx_spend(struct cel_ctx *x, size_t size);
/* One level deeper; false, with the failure, where it is too deep.  Paired with leave. */
bool cel_ctx_enter(struct cel_ctx *x);
void cel_ctx_leave(struct cel_ctx *x);
struct cel_slice cel_ctx_uuid(struct cel_ctx *x);
const struct cel_node *cel_ctx_text(struct cel_ctx *x, struct cel_slice text);
const struct cel_node *cel_ctx_int(struct cel_ctx *x, int64_t value);
const struct cel_node *cel_ctx_bool(struct cel_ctx *x, bool value);
static inline bool cel_ctx_ok(const struct cel_ctx *x)
{
    return x->status == CELERY_OK;
}

/* ---- val.c: lists and dicts; a NULL one takes nothing and has nothing ---- */

bool cel_val_truth(const struct cel_val *v);
/* Python's ==, for what `in` asks of a list of callbacks. */
bool cel_val_equal(struct cel_ctx *x, const struct cel_val *p, const struct cel_val *q);
struct cel_list_obj *cel_list_obj_new(struct cel_ctx *x, size_t cap);
void cel_list_obj_add(struct cel_ctx *x, struct cel_list_obj *l, struct cel_val v);
/* Puts a list's items in front of what comes from *head on, which moves to the first. */
void cel_list_obj_put_front(struct cel_ctx *x, struct cel_list_obj *l, size_t *head,
                            const struct cel_list_obj *items);
void cel_list_obj_extend(struct cel_ctx *x, struct cel_list_obj *l,
                         const struct cel_list_obj *items);
struct cel_list_obj *cel_list_obj_copy(struct cel_ctx *x, const struct cel_list_obj *l);
/* maybe_list(): the list itself, a new one of the items of an array, or of the one value. */
struct cel_list_obj *cel_val_items(struct cel_ctx *x, const struct cel_val *v);

struct cel_opts *cel_opts_new(struct cel_ctx *x);
struct cel_opts *cel_opts_from(struct cel_ctx *x, const struct cel_node *object);
struct cel_opts *cel_opts_copy(struct cel_ctx *x, const struct cel_opts *o);
struct cel_val *cel_opts_find(const struct cel_opts *o, struct cel_slice key);
/* The text, or {NULL, 0} when absent, None or no text. */
struct cel_slice cel_opts_text(const struct cel_opts *o, struct cel_slice key);
void cel_opts_set(struct cel_ctx *x, struct cel_opts *o, struct cel_slice key,
                  struct cel_val v);
void cel_opts_set_text(struct cel_ctx *x, struct cel_opts *o, struct cel_slice key,
                       struct cel_slice text); /* {NULL, 0}: None */
/* dict.pop(key, None); false: it was not there. */
bool cel_opts_pop(struct cel_opts *o, struct cel_slice key, struct cel_val *ret);
struct cel_slice cel_opts_pop_text(struct cel_opts *o, struct cel_slice key);
void cel_opts_update(struct cel_ctx *x, struct cel_opts *o, const struct cel_opts *more);
void cel_opts_drop_none(struct cel_opts *o);

/* copy.deepcopy() of options: signatures in it become plain dicts. */
struct cel_opts *cel_opts_deepcopy(struct cel_ctx *x, const struct cel_opts *o);
/* Signature._with_list_option() */
struct cel_list_obj *cel_opts_list(struct cel_ctx *x, struct cel_opts *o,
                                   struct cel_slice key);

/* ---- sig.c ---- */

struct cel_sig *cel_sig_make(struct cel_ctx *x, enum cel_sig_class type,
                             struct cel_slice task, const struct cel_node *args,
                             struct cel_kw *kw, struct cel_opts *opts, bool immutable);
/* chain(tasks), group(tasks) as they are; the list becomes the signature's. */
struct cel_sig *cel_sig_of_tasks(struct cel_ctx *x, enum cel_sig_class type,
                                 struct cel_list_obj *tasks, struct cel_opts *opts);
/* _chord.__init__() */
struct cel_sig *cel_chord_make(struct cel_ctx *x, struct cel_val header,
                               struct cel_sig *body, struct cel_opts *opts);
struct cel_sig *cel_map_make(struct cel_ctx *x, enum cel_sig_class type,
                             struct cel_val task, const struct cel_node *it, int64_t n,
                             struct cel_opts *opts);
/* A checked document as the plain dicts that it is in Python. */
struct cel_sig *cel_sig_plain(struct cel_ctx *x, const struct cel_node *doc);
/* from_dict() of a plain dict; what each class drops is dropped. */
struct cel_sig *cel_sig_from_plain(struct cel_ctx *x, const struct cel_sig *from);
/* Signature.from_dict() of a checked document. */
struct cel_sig *cel_sig_from_node(struct cel_ctx *x, const struct cel_node *doc);
/* maybe_signature(); NULL for None. */
struct cel_sig *cel_sig_of(struct cel_ctx *x, const struct cel_val *v);
/* ---- clone.c ---- */

/* Signature.clone(args, kwargs, **opts); each of the three may be NULL. */
struct cel_sig *cel_sig_cloned(struct cel_ctx *x, const struct cel_sig *sig,
                               const struct cel_node *args, const struct cel_node *kwargs,
                               const struct cel_opts *opts);
/* Signature._merge(): opts NULL gives the signature's own. */
struct cel_opts *cel_sig_merge_opts(struct cel_ctx *x, const struct cel_sig *sig,
                                    const struct cel_opts *opts);
const struct cel_node *cel_args_joined(struct cel_ctx *x, const struct cel_node *first,
                                       const struct cel_node *second);
const struct cel_node *cel_kwargs_merged(struct cel_ctx *x, const struct cel_node *first,
                                         const struct cel_node *second);
/* The object without two of its members. */
const struct cel_node *cel_object_without(struct cel_ctx *x,
                                          const struct cel_node *object, const char *a,
                                          const char *b);
/* The tasks of a chain or group; the header of a chord. */
struct cel_list_obj *cel_sig_tasks(const struct cel_sig *sig);
static inline size_t cel_sig_size(const struct cel_sig *sig)
{
    const struct cel_list_obj *tasks = cel_sig_tasks(sig);
    return tasks ? tasks->n : 0;
}

/* ---- link.c ---- */

void cel_sig_append_option(struct cel_ctx *x, struct cel_sig *sig, struct cel_slice key,
                           struct cel_val value);
void cel_sig_do_link(struct cel_ctx *x, struct cel_sig *sig, struct cel_val callback);
void cel_sig_do_link_error(struct cel_ctx *x, struct cel_sig *sig,
                           struct cel_val errback);

/* ---- sig_read.c, sig_doc.c ---- */

/* The checks of cel_canvas_read(), and of options. */
celery_status cel_canvas_check(const struct cel_node *doc, const char *where,
                               celery_error *err);
/* An option that every text is right for. */
bool cel_canvas_is_text_option(struct cel_slice key);
celery_status cel_canvas_check_options(const struct cel_node *options, const char *where,
                                       celery_error *err);
struct cel_node *cel_sig_node(struct cel_ctx *x, struct cel_arena *a,
                              const struct cel_sig *sig);
struct cel_node *cel_val_as_node(struct cel_ctx *x, struct cel_arena *a,
                                 const struct cel_val *v);
/*
 * A map, starmap or chunks as the plain signature that clone() and deepcopy() make of it: its
 * class is in no subtask_type (class _basemap).
 */
void cel_map_to_task(struct cel_ctx *x, struct cel_sig *sig);
/* The node alone is copied, what hangs below it is shared. */
struct cel_node *cel_node_shallow(struct cel_arena *a, const struct cel_node *n);

/* ---- chain.c, chain_build.c ---- */

struct cel_list_obj *cel_chain_unchained(struct cel_ctx *x, const struct cel_sig *chain);
struct cel_sig *cel_sig_or(struct cel_ctx *x, struct cel_sig *left,
                           struct cel_sig *right);
struct cel_sig *cel_group_unrolled(struct cel_ctx *x, struct cel_sig *sig);
bool cel_group_is_empty(const struct cel_sig *sig);
void cel_chain_unroll_chords(struct cel_ctx *x, struct cel_sig *chain);

/* What prepare_steps() is told besides the chain; all may be empty. */
struct cel_steps_in {
    const struct cel_node *args, *kwargs;
    struct cel_slice root_id, last_task_id, group_id;
    struct cel_val chord, link_error;
    const struct cel_node *group_index;
    bool clone;
};
/* Tasks in reverse, and the result of the last. */
struct cel_list_obj *cel_chain_prepare(struct cel_ctx *x, struct cel_sig *chain,
                                       const struct cel_steps_in *in,
                                       struct cel_res **ret_first);
struct cel_res *cel_chain_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts);

/* ---- freeze.c ---- */

/* The arguments of Signature.freeze(). */
struct cel_freeze {
    struct cel_slice id, group_id, root_id, parent_id;
    struct cel_val chord;
    const struct cel_node *group_index; /* NULL: None */
};
struct cel_res *cel_sig_frozen(struct cel_ctx *x, struct cel_sig *sig,
                               const struct cel_freeze *f);
struct cel_res *cel_res_new(struct cel_ctx *x, struct cel_slice id);
/* GroupResult(*group._freeze_group_tasks(...)) */
struct cel_res *cel_group_frozen(struct cel_ctx *x, struct cel_sig *sig,
                                 const struct cel_freeze *f);
struct cel_node *cel_res_tuple(struct cel_ctx *x, const struct cel_res *res);

/* ---- group.c, chord.c, map.c, apply.c; opts is the callee's ---- */

struct cel_res *cel_group_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts);
struct cel_res *cel_chord_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts);
size_t cel_chord_descend(struct cel_ctx *x, const struct cel_val *part);
bool cel_body_is_led_by_task(const struct cel_sig *body);
struct cel_list_obj *cel_chord_unrolled(struct cel_ctx *x, const struct cel_sig *chord);
void cel_chord_strip_links(struct cel_ctx *x, struct cel_sig *sig);
/* Backend.ensure_chords_allowed(): false, and x has failed. */
bool cel_chord_allowed(struct cel_ctx *x);
/* Backend.apply_chord() */
void cel_chord_announce(struct cel_ctx *x, const struct cel_res *header,
                        const struct cel_sig *body, const struct cel_val *interval,
                        const struct cel_val *max_retries);
struct cel_res *cel_map_apply(struct cel_ctx *x, const struct cel_sig *sig,
                              struct cel_opts *opts);
struct cel_res *cel_chunks_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                 const struct cel_node *args,
                                 const struct cel_node *kwargs, struct cel_opts *opts);
struct cel_res *cel_sig_applied(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts);
/* Task.add_trail() of the running task, if there is one. */
void cel_trail_add(struct cel_ctx *x, const struct cel_res *res);

/* ---- send.c ---- */

struct cel_call {
    struct cel_slice task;
    struct cel_slice route_name; /* empty: task */
    const struct cel_node *args; /* array or NULL */
    bool args_list;              /* args is a list in Python, which argsrepr shows */
    const struct cel_node *kwargs;
    struct cel_opts *opts; /* the callee's */
};
/* Task.apply_async() or Celery.send_task() */
struct cel_res *cel_call_send(struct cel_ctx *x, const struct cel_call *call);

#endif
