/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking for tasks: one, those of a kind by time, how many of each name. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/state.h"
#include <stdlib.h>

const celery_state_task *celery_state_task_of(const celery_state *s, const char *uuid)
{
    struct cel_state_task *t =
        s && uuid ? cel_map_get(&s->by_uuid, cel_slice_of(uuid)) : NULL;

    return t ? &t->pub : NULL;
}

static bool is(const char *wanted, const char *text)
{
    return !wanted || (text && strcmp(wanted, text) == 0);
}

static bool passes(const celery_state_filter *f, const celery_state_task *t)
{
    return !f ||
           (is(f->name, t->name) && is(f->worker, t->worker) && is(f->state, t->state));
}

static int by_time(const void *a, const void *b)
{
    const struct cel_state_task *x = *(const struct cel_state_task *const *)a;
    const struct cel_state_task *y = *(const struct cel_state_task *const *)b;

    if (x->newest_clock != y->newest_clock) {
        return x->newest_clock < y->newest_clock ? 1 : -1;
    }
    if (x->newest_time != y->newest_time) {
        return x->newest_time < y->newest_time ? 1 : -1;
    }
    return strcmp(x->pub.uuid, y->pub.uuid);
}

/* All that pass, in new memory; *ret_n. */
static const struct cel_state_task **
collect(const celery_state *s, const celery_state_filter *filter, size_t *ret_n)
{
    const struct cel_state_task **all =
        cel_alloc((s->by_uuid.count + 1) * sizeof(struct cel_state_task *));
    size_t n = 0;

    for (const struct cel_list *it = s->tasks.next; all && it != &s->tasks;
         it = it->next) {
        const struct cel_state_task *t =
            cel_container_of(it, struct cel_state_task, node);

        if (passes(filter, &t->pub)) {
            all[n++] = t;
        }
    }
    *ret_n = n;
    return all;
}

celery_status celery_state_each_task(const celery_state *s,
                                     const celery_state_filter *filter,
                                     celery_state_task_fn fn, void *ctx,
                                     celery_error *err)
{
    size_t n = 0;

    if (!s) {
        return CELERY_EINVAL;
    }
    const struct cel_state_task **all = collect(s, filter, &n);
    if (!all) {
        return cel_error_nomem(err);
    }
    qsort((void *)all, n, sizeof *all, by_time);
    if (filter && filter->limit && filter->limit < n) {
        n = filter->limit;
    }
    for (size_t i = 0; i < n && fn(ctx, &all[i]->pub); i++) {
    }
    cel_free((void *)all);
    return CELERY_OK;
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    const struct cel_state_task *x = *(const struct cel_state_task *const *)a;
    const struct cel_state_task *y = *(const struct cel_state_task *const *)b;

    if (!x->pub.name || !y->pub.name) {
        return !x->pub.name - !y->pub.name;
    }
    return strcmp(x->pub.name, y->pub.name);
}

static void count_one(celery_state_type *type, const char *state)
{
    static const struct {
        const char *state;
        size_t offset;
    } counters[] = {
        {"PENDING", offsetof(celery_state_type, pending)},
        {"RECEIVED", offsetof(celery_state_type, received)},
        {"STARTED", offsetof(celery_state_type, started)},
        {"SUCCESS", offsetof(celery_state_type, succeeded)},
        {"FAILURE", offsetof(celery_state_type, failed)},
        {"RETRY", offsetof(celery_state_type, retried)},
        {"REVOKED", offsetof(celery_state_type, revoked)},
        {"REJECTED", offsetof(celery_state_type, rejected)},
    };
    size_t *counter = &type->other;

    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        if (strcmp(counters[i].state, state) == 0) {
            counter = (size_t *)(void *)((char *)type + counters[i].offset);
        }
    }
    ++*counter;
    type->total++;
}

celery_status celery_state_each_type(const celery_state *s, celery_state_type_fn fn,
                                     void *ctx, celery_error *err)
{
    size_t n = 0;
    bool more = true;

    if (!s) {
        return CELERY_EINVAL;
    }
    const struct cel_state_task **all = collect(s, NULL, &n);
    if (!all) {
        return cel_error_nomem(err);
    }
    qsort((void *)all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n && all[i]->pub.name && more;) {
        celery_state_type type = {.name = all[i]->pub.name};

        for (; i < n && is(type.name, all[i]->pub.name); i++) {
            count_one(&type, all[i]->pub.state);
        }
        more = fn(ctx, &type);
    }
    cel_free((void *)all);
    return CELERY_OK;
}
