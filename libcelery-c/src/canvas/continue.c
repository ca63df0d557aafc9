/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/app/trace.py _dispatch_callbacks_and_chain(), and the body of a chord. */
#include "canvas/continue.h"
#include "base/error.h"
#include "codec/json_raw.h"

#include <stdio.h>

static const struct cel_node *embedded(const struct cel_task_call *call, const char *name)
{
    const struct cel_node *n = cel_node_get(call->embed, cel_slice_of(name));

    return cel_node_truth(n) ? n : NULL;
}

/* Asked for every task: the four are null or empty in a plain one. */
bool cel_continue_needed(const struct cel_task_call *call)
{
    for (const struct cel_node *k = cel_node_first(call->embed), *v; k; k = v->next) {
        struct cel_slice name = cel_node_text(k);

        v = k->next;
        if (cel_node_truth(v) &&
            (cel_slice_is(name, "callbacks") || cel_slice_is(name, "errbacks") ||
             cel_slice_is(name, "chain") || cel_slice_is(name, "chord"))) {
            return true;
        }
    }
    return false;
}

bool cel_continue_is_part(const struct cel_task_call *call)
{
    return call->group.len > 0 && call->id.len > 0 && embedded(call, "chord");
}

/* ---- options ---- */

static void put_text(struct cel_arena *a, struct cel_node *o, const char *key,
                     struct cel_slice text)
{
    if (text.len > 0) {
        cel_node_put(a, o, cel_slice_of(key), cel_node_new_string(a, text));
    }
}

/*
 * What a task hands to those that it calls, in the order of trace_task(), which shows in the
 * options of a chord's body; a priority that is not inherited is None there.  chain: the steps
 * behind; NULL: none are handed on.
 */
static struct cel_node *inherited(struct cel_arena *a, const struct cel_task_call *call,
                                  int priority, struct cel_node *chain)
{
    struct cel_node *o = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *level =
        priority >= 0 ? cel_node_new_int(a, priority) : cel_node_new(a, CELERY_KIND_NULL);

    if (o && chain && cel_node_put(a, o, CEL_SLICE("chain"), chain) < 0) {
        return NULL;
    }
    if (o) {
        put_text(a, o, "parent_id", call->id);
        put_text(a, o, "root_id", call->root_id.len ? call->root_id : call->id);
        if (cel_node_put(a, o, CEL_SLICE("priority"), level) < 0) {
            return NULL;
        }
    }
    return o;
}

/* Celery.send_task(): what the messages take from the running task when they have not got it. */
static struct cel_canvas running(const struct cel_canvas *c, struct cel_arena *a,
                                 const struct cel_task_call *call, int priority)
{
    struct cel_canvas own = *c;

    own.running_id = call->id;
    own.running_root = call->root_id;
    own.traceparent = call->traceparent;
    own.tracestate = call->tracestate;
    own.running_priority = priority >= 0 ? cel_node_new_int(a, priority) : NULL;
    return own;
}

/* (value,) */
static struct cel_node *one(struct cel_arena *a, const struct cel_node *value)
{
    struct cel_node *args = cel_node_new(a, CELERY_KIND_ARRAY);

    return args && cel_node_append(args, cel_node_copy(a, value)) == CELERY_OK ? args
                                                                               : NULL;
}

/* ---- success ---- */

struct dispatch {
    struct cel_canvas c; /* with the task as the running one */
    struct cel_arena *a;
    struct cel_effects *effects;
    const struct cel_node *args;
    struct cel_node *options;
    celery_error *err;
};

static celery_status apply(struct dispatch *d, const struct cel_sig *sig)
{
    struct cel_node *tuple = NULL;

    return cel_sig_apply(&d->c, d->a, sig, d->args, NULL, d->options, d->effects, &tuple,
                         d->err);
}

/* Groups one by one; what is left as one new group, if that is more than one (#1936). */
static celery_status several_callbacks(struct dispatch *d,
                                       const struct cel_node *callbacks)
{
    struct cel_sig **plain =
        cel_arena_alloc(d->a, (size_t)callbacks->size * sizeof(struct cel_sig *));
    celery_status status = plain ? CELERY_OK : cel_error_nomem(d->err);
    size_t n = 0;
    size_t i = 0;

    for (const struct cel_node *k = cel_node_first(callbacks); k && status == CELERY_OK;
         k = k->next) {
        struct cel_sig *sig = NULL;
        char where[40];

        snprintf(where, sizeof where, "callbacks[%zu]", i++);
        status = cel_canvas_read(d->a, k, where, &sig, d->err);
        if (status == CELERY_OK && cel_slice_is(cel_sig_type(sig), "group")) {
            status = apply(d, sig);
        } else if (status == CELERY_OK) {
            plain[n++] = sig;
        }
    }
    if (status == CELERY_OK && n > 0) {
        struct cel_sig *group = cel_sig_group(d->a, plain, n);

        status = group ? apply(d, group) : cel_error_nomem(d->err);
    }
    return status;
}

static celery_status one_callback(struct dispatch *d, const struct cel_node *callback,
                                  const char *where)
{
    struct cel_sig *sig = NULL;
    celery_status status = cel_canvas_read(d->a, callback, where, &sig, d->err);

    return status == CELERY_OK ? apply(d, sig) : status;
}

static celery_status not_a_list(const char *name, celery_error *err)
{
    return cel_error_set(err, CELERY_EMESSAGE, "%s: not a list", name);
}

static celery_status callbacks_of(struct dispatch *d, const struct cel_task_call *call)
{
    const struct cel_node *callbacks = embedded(call, "callbacks");

    if (!callbacks) {
        return CELERY_OK;
    }
    if (callbacks->kind != CELERY_KIND_ARRAY) {
        return not_a_list("callbacks", d->err);
    }
    return callbacks->size > 1
               ? several_callbacks(d, callbacks)
               : one_callback(d, cel_node_first(callbacks), "callbacks[0]");
}

/* All steps but the last, and the last one, each from its place in the list. */
static celery_status part_nodes(struct dispatch *d, const struct cel_node *chain,
                                struct cel_node **ret_rest,
                                const struct cel_node **ret_last)
{
    *ret_rest = cel_node_new(d->a, CELERY_KIND_ARRAY);
    for (const struct cel_node *k = cel_node_first(chain); k; k = k->next) {
        if (k->next && cel_node_append(*ret_rest, cel_node_copy(d->a, k)) < 0) {
            return cel_error_nomem(d->err);
        }
        *ret_last = k;
    }
    return CELERY_OK;
}

/* The same of a chain that is text. */
static celery_status part_text(struct dispatch *d, const struct cel_node *chain,
                               size_t at, struct cel_node **ret_rest,
                               const struct cel_node **ret_last)
{
    const size_t comma = at > 0 ? 2 : 0;
    struct cel_node *last = NULL;
    celery_status status = cel_json_parse(
        d->a, cel_slice(chain->text + at, chain->size - at), NULL, &last, d->err);

    if (status < 0) {
        return status;
    }
    *ret_last = last;
    *ret_rest = cel_json_raw(d->a, cel_slice(chain->text, at - comma));
    return *ret_rest ? CELERY_OK : cel_error_nomem(d->err);
}

/* The chain is stored in reverse: its last element is the next step. */
static celery_status next_step(struct dispatch *d, const struct cel_task_call *call,
                               int priority)
{
    const struct cel_node *chain = embedded(call, "chain");
    const struct cel_node *last = NULL;
    struct cel_node *rest = NULL;
    char where[40] = "chain";

    if (!chain) {
        return CELERY_OK;
    }
    if (chain->kind != CELERY_KIND_ARRAY && chain->kind != CEL_KIND_RAW) {
        return not_a_list("chain", d->err);
    }
    celery_status status = chain->kind == CEL_KIND_RAW
                               ? part_text(d, chain, call->chain_last, &rest, &last)
                               : part_nodes(d, chain, &rest, &last);

    if (status < 0) {
        return status;
    }
    d->options = inherited(d->a, call, priority, rest);
    if (!d->options) {
        return cel_error_nomem(d->err);
    }
    if (chain->kind == CELERY_KIND_ARRAY) {
        snprintf(where, sizeof where, "chain[%u]", chain->size - 1);
    }
    return one_callback(d, last, where);
}

celery_status cel_continue_success(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call,
                                   const struct cel_node *result, int priority,
                                   struct cel_effects *effects, celery_error *err)
{
    struct dispatch d = {
        .c = running(c, a, call, priority),
        .a = a,
        .effects = effects,
        .args = one(a, result),
        .options = inherited(a, call, priority, NULL),
        .err = err,
    };

    if (!d.args || !d.options) {
        return cel_error_nomem(err);
    }
    celery_status status = callbacks_of(&d, call);

    return status == CELERY_OK ? next_step(&d, call, priority) : status;
}

/* ---- the body of a chord ---- */

celery_status cel_continue_chord(const struct cel_canvas *c, struct cel_arena *a,
                                 const struct cel_task_call *last,
                                 const struct cel_node *body,
                                 const struct cel_node *results, int priority,
                                 struct cel_effects *effects, celery_error *err)
{
    struct cel_node *options = cel_node_new(a, CELERY_KIND_OBJECT);
    struct dispatch d = {
        running(c, a, last, priority), a, effects, one(a, results), options, err};
    struct cel_sig *sig = NULL;

    if (!d.args || !options) {
        return cel_error_nomem(err);
    }
    celery_status status = cel_canvas_read(a, body, "chord", &sig, err);

    if (status < 0) {
        return status;
    }
    return apply(&d, sig);
}
