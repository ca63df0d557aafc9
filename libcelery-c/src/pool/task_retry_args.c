/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arguments of a retry that was given only one kind of them (celery/app/task.py 5.7.0
 * Task.retry, "Explicit args/kwargs can change how a task's parameters are passed"): what the
 * request brought stays, except where it would be given twice.
 */
#include "codec/unpack_format.h"
#include "pool/task.h"

/* Positional arguments are new: keywords of the same parameters go. */
static const struct cel_node *other_kwargs(celery_task *task,
                                           const struct cel_parameters *p, size_t given)
{
    struct cel_node *kept = cel_node_new(&task->arena, CELERY_KIND_OBJECT);
    for (const struct cel_node *k = cel_node_first(task->call.kwargs); k;
         k = k->next->next) {
        bool twice = false;
        for (size_t i = 0; i < given && i < p->n_positional; i++) {
            twice |= cel_slice_eq(p->list[i].name, cel_node_text(k));
        }
        if (!twice && cel_node_put(&task->arena, kept, cel_node_text(k),
                                   cel_node_copy(&task->arena, k->next)) < 0) {
            return NULL;
        }
    }
    return kept;
}

/* Keywords are new: those of parameters that came by position take their places. */
static bool merge_kwargs(celery_task *task, const struct cel_parameters *p,
                         struct cel_task_call *call)
{
    struct cel_arena *a = &task->arena;
    struct cel_node *args = cel_node_new(a, CELERY_KIND_ARRAY);
    struct cel_node *rest = cel_node_new(a, CELERY_KIND_OBJECT);
    size_t i = 0;

    for (const struct cel_node *n = cel_node_first(task->call.args); n;
         n = n->next, i++) {
        const struct cel_node *given =
            i < p->n_positional ? cel_node_get(call->kwargs, p->list[i].name) : NULL;
        if (cel_node_append(args, cel_node_copy(a, given ? given : n)) < 0) {
            return false;
        }
    }
    if (i > p->n_positional && !p->any_positional) {
        return true; /* one too many before: the next execution says so */
    }
    for (const struct cel_node *k = cel_node_first(call->kwargs); k; k = k->next->next) {
        bool taken = false;
        for (size_t j = 0; j < i && j < p->n_positional; j++) {
            taken |= cel_slice_eq(p->list[j].name, cel_node_text(k));
        }
        if (!taken &&
            cel_node_put(a, rest, cel_node_text(k), cel_node_copy(a, k->next)) < 0) {
            return false;
        }
    }
    call->args = args;
    call->kwargs = rest;
    return true;
}

bool cel_task_retry_arguments(celery_task *task, const struct cel_node *args,
                              const struct cel_node *kwargs, struct cel_task_call *call)
{
    struct cel_parameters p;
    bool known = (args == NULL) != (kwargs == NULL) && task->format &&
                 cel_parameters_parse(task->format, &p);

    call->args = args ? args : call->args;
    call->kwargs = kwargs ? kwargs : call->kwargs;
    if (known && args && cel_node_first(task->call.kwargs)) {
        call->kwargs = other_kwargs(task, &p, args->size);
        return call->kwargs != NULL;
    }
    if (known && kwargs && cel_node_first(task->call.args)) {
        return merge_kwargs(task, &p, call);
    }
    return true;
}
