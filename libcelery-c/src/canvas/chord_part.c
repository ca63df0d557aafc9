/* SPDX-License-Identifier: BSD-3-Clause */
/* What canvas.py asks of chords besides applying them. */
#include "canvas/sig.h"

/* _chord._descend() */
static size_t descend(struct cel_ctx *x, const struct cel_sig *sig)
{
    const struct cel_list_obj *tasks = sig->kw->tasks;
    size_t size = 0;

    if (!cel_ctx_enter(x)) {
        cel_ctx_leave(x);
        return 0;
    }
    if (sig->type == CEL_SIG_GROUP) {
        for (size_t i = 0; i < tasks->n; i++) {
            size += cel_chord_descend(x, &tasks->items[i]);
        }
    } else if (sig->type == CEL_SIG_CHAIN) {
        for (size_t i = tasks->n; i > 0 && size == 0; i--) {
            size = cel_chord_descend(x, &tasks->items[i - 1]);
        }
    } else if (sig->type == CEL_SIG_CHORD) {
        size = sig->kw->body ? descend(x, sig->kw->body) : 0;
    } else {
        size = 1;
    }
    cel_ctx_leave(x);
    return size;
}

size_t cel_chord_descend(struct cel_ctx *x, const struct cel_val *part)
{
    const struct cel_sig *sig = cel_sig_of(x, part);

    return sig ? descend(x, sig) : 0;
}

/* _is_chain_led_by_task() */
bool cel_body_is_led_by_task(const struct cel_sig *body)
{
    return body && body->type == CEL_SIG_CHAIN && cel_sig_size(body) > 0 &&
           body->kw->tasks->items[0].sig->type != CEL_SIG_GROUP;
}

/* _first_task_options() */
static struct cel_opts *first_task_options(struct cel_ctx *x, const struct cel_sig *chain)
{
    static const char *const consumed[] = {"chord",   "group_id",   "group_index",
                                           "link",    "link_error", "parent_id",
                                           "root_id", "task_id"};
    struct cel_opts *o = cel_opts_copy(x, chain->opts);
    struct cel_val v;

    for (size_t i = 0; i < sizeof consumed / sizeof consumed[0]; i++) {
        (void)cel_opts_pop(o, cel_slice_of(consumed[i]), &v);
    }
    return o;
}

/* _chord._unroll_body() */
struct cel_list_obj *cel_chord_unrolled(struct cel_ctx *x, const struct cel_sig *chord)
{
    struct cel_sig *task = cel_sig_cloned(x, chord, NULL, NULL, NULL);
    struct cel_list_obj *tasks = task ? cel_chain_unchained(x, task->kw->body) : NULL;

    if (!tasks || tasks->n == 0) {
        return NULL;
    }
    task->kw->body = cel_sig_cloned(x, tasks->items[0].sig, NULL, NULL,
                                    first_task_options(x, task->kw->body));
    tasks->items[0] = cel_val_sig(task);
    return tasks;
}

/* _chain._unroll_chords() */
void cel_chain_unroll_chords(struct cel_ctx *x, struct cel_sig *chain)
{
    struct cel_list_obj *pending = cel_list_obj_copy(x, chain->kw->tasks);
    struct cel_list_obj *tasks = cel_list_obj_new(x, chain->kw->tasks->n);
    size_t head = 0;

    if (!cel_ctx_enter(x)) {
        pending = NULL;
    }
    while (pending && cel_ctx_ok(x) && head < pending->n) {
        struct cel_sig *task = cel_sig_of(x, &pending->items[head++]);
        if (task && task->type == CEL_SIG_CHAIN) {
            task = cel_sig_cloned(x, task, NULL, NULL, NULL);
            if (task) {
                cel_chain_unroll_chords(x, task);
            }
        }
        if (task && task->type == CEL_SIG_CHORD &&
            cel_body_is_led_by_task(task->kw->body)) {
            cel_list_obj_put_front(x, pending, &head, cel_chord_unrolled(x, task));
        } else if (task) {
            cel_list_obj_add(x, tasks, cel_val_sig(task));
        }
    }
    if (tasks && cel_ctx_ok(x)) {
        chain->kw->tasks = tasks;
    }
    cel_ctx_leave(x);
}

/* _clear_chord_option() */
static void clear_chord(struct cel_ctx *x, struct cel_sig *sig)
{
    struct cel_val v;

    (void)cel_opts_pop(sig->opts, CEL_KEY("chord"), &v);
    if (!cel_ctx_enter(x)) {
        /* too deep */
    } else if (sig->type == CEL_SIG_GROUP) {
        for (size_t i = 0; i < sig->kw->tasks->n; i++) {
            clear_chord(x, sig->kw->tasks->items[i].sig);
        }
    } else if (sig->type == CEL_SIG_CHAIN && cel_sig_size(sig) > 0) {
        clear_chord(x, sig->kw->tasks->items[sig->kw->tasks->n - 1].sig);
    } else if (sig->type == CEL_SIG_CHORD && sig->kw->body) {
        clear_chord(x, sig->kw->body);
    }
    cel_ctx_leave(x);
}

/* _strip_chord_header_links(): the body goes back to the header when that is sent. */
void cel_chord_strip_links(struct cel_ctx *x, struct cel_sig *sig)
{
    if (!cel_ctx_enter(x)) {
        /* too deep */
    } else if (sig->type == CEL_SIG_CHORD) {
        if (sig->kw->header) {
            clear_chord(x, sig->kw->header);
            cel_chord_strip_links(x, sig->kw->header);
        }
        if (sig->kw->body) {
            cel_chord_strip_links(x, sig->kw->body);
        }
    } else if (sig->type == CEL_SIG_GROUP || sig->type == CEL_SIG_CHAIN) {
        for (size_t i = 0; i < sig->kw->tasks->n; i++) {
            cel_chord_strip_links(x, sig->kw->tasks->items[i].sig);
        }
    }
    cel_ctx_leave(x);
}
