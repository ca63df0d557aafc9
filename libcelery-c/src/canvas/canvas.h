/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signatures and what becomes of them when they are applied (celery/canvas.py, 5.7.0 where
 * versions differ).  Pure: reads documents, writes effects.
 *
 * A signature in dict form is untrusted input: cel_canvas_read() checks the whole tree (types,
 * members, depth, number of parts) and names the path of what is wrong
 * ("chain[2].kwargs.header[0].task: no text").
 */
#ifndef CEL_CANVAS_CANVAS_H
#define CEL_CANVAS_CANVAS_H

#include "app/app.h"
#include "canvas/effects.h"

/* A signature and the tree below it; all memory is the arena's it was made in. */
struct cel_sig;

/* Where signatures are applied; borrowed, constant while it is used. */
struct cel_canvas {
    const celery_app *app;           /* options of registered tasks; NULL: none */
    const struct cel_config *config; /* task_serializer, task_protocol ... */
    struct cel_router *router;
    struct cel_slice reply_to; /* app.thread_oid */
    struct cel_slice origin;   /* {NULL, 0}: gen<pid>@<host> */
    /*
     * app.current_worker_task: the task on whose behalf is applied, {NULL, 0}: none.  Its
     * messages get it as parent where they have none (celery/app/base.py send_task; a chain
     * takes no parent_id), and what it sends becomes CHILD effects (Task.add_trail).
     */
    struct cel_slice running_id;
    struct cel_slice running_root;           /* empty: running_id */
    const struct cel_node *running_priority; /* delivery_info.priority; or NULL */
    /* W3C Trace Context of that task: its messages get it unless their headers name another. */
    struct cel_slice traceparent;
    struct cel_slice tracestate;
    /* The backend counts chord parts itself; otherwise celery.chord_unlock is sent. */
    bool backend_counts;
    const char *no_chords;     /* why the backend refuses chords; NULL: it does not */
    void (*uuid)(char id[37]); /* NULL: cel_uuid4(); tests count */
};

/* ---- dict form ---- */

/* doc stays borrowed.  CELERY_EMESSAGE with the path after `where` ("callbacks[0]"). */
celery_status cel_canvas_read(struct cel_arena *a, const struct cel_node *doc,
                              const char *where, struct cel_sig **ret_sig,
                              celery_error *err);

/* The dict form, keys and their order as json.dumps() of Celery's has them. */
struct cel_node *cel_canvas_doc(struct cel_arena *a, const struct cel_sig *sig);

/* ---- building (each takes parts of the same arena) ---- */

/* args: array or NULL; kwargs, options: object or NULL; taken as they are, not copied. */
struct cel_sig *cel_sig_task(struct cel_arena *a, struct cel_slice task,
                             struct cel_node *args, struct cel_node *kwargs,
                             struct cel_node *options, bool immutable);
/* chain(*tasks), that is a | b | c with its upgrades; group(tasks); chord(header, body). */
struct cel_sig *cel_sig_chain(struct cel_arena *a, struct cel_sig *const *tasks,
                              size_t n);
struct cel_sig *cel_sig_group(struct cel_arena *a, struct cel_sig *const *tasks,
                              size_t n);
struct cel_sig *cel_sig_chord(struct cel_arena *a, struct cel_sig *header,
                              struct cel_sig *body);
/* celery.map, celery.starmap, celery.chunks (n > 0) over the items of an array. */
struct cel_sig *cel_sig_map(struct cel_arena *a, struct cel_sig *task,
                            struct cel_node *it, bool star, int64_t n);

/* Signature.clone(args, kwargs): a deep copy with args prepended; args, kwargs may be NULL. */
struct cel_sig *cel_sig_clone(struct cel_arena *a, const struct cel_sig *sig,
                              const struct cel_node *args, const struct cel_node *kwargs);
/* Signature.set(name=value) for any option; the value is taken. */
celery_status cel_sig_set_option(struct cel_arena *a, struct cel_sig *sig,
                                 const char *name, struct cel_node *value);
const struct cel_node *cel_sig_option(const struct cel_sig *sig, const char *name);
/* sig.args = array, sig.kwargs = object: of this node alone; taken.  NULL: empty. */
void cel_sig_set_args(struct cel_sig *sig, struct cel_node *args);
void cel_sig_set_kwargs(struct cel_sig *sig, struct cel_node *kwargs);
void cel_sig_set_immutable(struct cel_sig *sig,
                           bool immutable); /* as each class does it */
/* link(), link_error() as each class does them (group: its tasks; chord: its body ...). */
celery_status cel_sig_link(struct cel_arena *a, struct cel_sig *sig,
                           struct cel_sig *callback);
celery_status cel_sig_link_error(struct cel_arena *a, struct cel_sig *sig,
                                 struct cel_sig *errback);
/* stamp(**stamps): stamped_headers and values on the whole tree (without a visitor). */
celery_status cel_sig_stamp(struct cel_arena *a, struct cel_sig *sig,
                            const struct cel_node *stamps);

/* "add", "celery.chain" ...; subtask_type ("" for a plain task). */
struct cel_slice cel_sig_task_name(const struct cel_sig *sig);
struct cel_slice cel_sig_type(const struct cel_sig *sig);

/* ---- ids ---- */

/* Signature.freeze(): every part gets its ids; gives the result tuple [[id, parent], children]. */
celery_status cel_sig_freeze(const struct cel_canvas *c, struct cel_arena *a,
                             struct cel_sig *sig, struct cel_node **ret_result,
                             celery_error *err);

/* ---- applying ---- */

/*
 * sig.apply_async(args, kwargs, **options): effects are added to *effects, the result tuple
 * (AsyncResult.as_tuple(), GroupResult.as_tuple(), parents included) is given.  args: array or
 * NULL; kwargs and options: objects or NULL; options by upstream's names: parent_id, root_id,
 * priority, chain, chord, group_id, group_index, link, link_error, task_id, countdown ...
 * sig is not changed, but belongs to one thread at a time.  On an error nothing is added.
 */
celery_status cel_sig_apply(const struct cel_canvas *c, struct cel_arena *a,
                            const struct cel_sig *sig, const struct cel_node *args,
                            const struct cel_node *kwargs, const struct cel_node *options,
                            struct cel_effects *effects, struct cel_node **ret_result,
                            celery_error *err);

#endif
