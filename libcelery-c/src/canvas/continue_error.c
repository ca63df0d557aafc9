/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/backends/base.py: failures that reach what waits. */
#include "base/error.h"
#include "canvas/failing.h"

/* Signatures looked at for one failure; a chain is a list, but may hold chords in chords. */
#define ELEMENTS_MAX 100000

void cel_failing_skip(struct cel_failing *f, const char *what)
{
    if (f->err && f->err->status == CELERY_OK) {
        cel_error_set(f->err, CELERY_EMESSAGE, "%s: not a signature", what);
    }
}

void cel_failing_note(struct cel_failing *f, celery_status status,
                      const celery_error *why)
{
    if (status == CELERY_ENOMEM) {
        f->nomem = true;
    } else if (status < 0 && f->err && f->err->status == CELERY_OK) {
        *f->err = *why;
    }
}

celery_status cel_failing_end(struct cel_failing *f)
{
    return f->nomem ? cel_error_nomem(f->err) : CELERY_OK;
}

/* ---- copies ---- */

void cel_failing_add_copy(struct cel_failing *f, const struct cel_continue_copy *copy)
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

const struct cel_node *cel_failing_options(const struct cel_node *sig)
{
    return cel_node_get(sig, CEL_SLICE("options"));
}

struct cel_slice cel_failing_option(const struct cel_node *sig, const char *name)
{
    const struct cel_node *n = cel_node_get(cel_failing_options(sig), cel_slice_of(name));

    return cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
}

bool cel_failing_is_type(const struct cel_node *sig, const char *type)
{
    return cel_slice_is(cel_node_text(cel_node_get(sig, CEL_SLICE("subtask_type"))),
                        type);
}

const struct cel_node *cel_failing_kwarg(const struct cel_node *sig, const char *name)
{
    return cel_node_get(cel_node_get(sig, CEL_SLICE("kwargs")), cel_slice_of(name));
}

/* One step of a chain, as the Context that _fail_chain() makes of it. */
static void copy_of_step(struct cel_failing *f, const struct cel_node *sig)
{
    const struct cel_node *chord =
        cel_node_get(cel_failing_options(sig), CEL_SLICE("chord"));
    struct cel_continue_copy copy = {
        .task_id = cel_failing_option(sig, "task_id"),
        .group_id = cel_failing_option(sig, "group_id"),
        .parent_id = cel_failing_option(sig, "parent_id"),
        .group_index = cel_node_int(
            cel_node_get(cel_failing_options(sig), CEL_SLICE("group_index")), -1),
        .chord = cel_node_truth(chord) ? chord : NULL,
    };

    if (copy.task_id.len > 0) {
        cel_failing_add_copy(f, &copy);
    }
}

void cel_failing_chain(struct cel_failing *f, const struct cel_node *chain)
{
    size_t n = 0;

    if (cel_node_is_null(chain)) {
        return;
    }
    if (chain->kind != CELERY_KIND_ARRAY) {
        cel_failing_skip(f, "chain");
        return;
    }
    for (int round = 0; round < 2; round++) {
        for (const struct cel_node *k = cel_node_first(chain); k; k = k->next) {
            const struct cel_node *sig = k;

            if (k->kind != CELERY_KIND_OBJECT) {
                cel_failing_skip(f, "chain");
                continue;
            }
            if (round == 0) {
                copy_of_step(f, sig);
            }
            /* Bodies come behind all steps, and bodies of bodies behind those. */
            while (round == 1 && cel_failing_is_type(sig, "chord") &&
                   n++ < ELEMENTS_MAX) {
                sig = cel_failing_kwarg(sig, "body");
                copy_of_step(f, sig);
            }
        }
    }
}

celery_status cel_continue_failure(const struct cel_canvas *c, struct cel_arena *a,
                                   const struct cel_task_call *call,
                                   const struct cel_continue_exc *exc,
                                   struct cel_effects *effects,
                                   struct cel_continue_copies *copies, celery_error *err)
{
    struct cel_canvas traced = *c;
    struct cel_failing f = {&traced, a, exc, effects, copies, err, false};
    const struct cel_failed who = {
        .id = call->id,
        .root_id = call->root_id,
        .parent_id = call->parent_id,
        .group = call->group,
        .task = call->task,
        .args = call->args,
        .kwargs = call->kwargs,
        .retries = call->retries,
    };

    traced.traceparent = call->traceparent;
    traced.tracestate = call->tracestate;
    cel_failing_chain(&f, cel_node_get(call->embed, CEL_SLICE("chain")));
    cel_failing_call_errbacks(&f, &who, cel_node_get(call->embed, CEL_SLICE("errbacks")));
    return cel_failing_end(&f);
}
