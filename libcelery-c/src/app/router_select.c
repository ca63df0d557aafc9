/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues that are consumed (celery/app/amqp.py Queues.select, deselect, select_add). */
#include "app/router_state.h"
#include "base/error.h"
#include <stdio.h>

/* Queues that a worker can be told to consume; what they are made of is never given back. */
#define QUEUES_MAX 1000

static size_t count_texts(const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n]) {
        n++;
    }
    return n;
}

static bool has_text(const char *const *texts, const char *text)
{
    for (; texts && *texts; texts++) {
        if (strcmp(*texts, text) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_chosen(struct cel_queue *const *chosen, size_t n,
                      const struct cel_queue *q)
{
    for (size_t i = 0; i < n; i++) {
        if (chosen[i] == q) {
            return true;
        }
    }
    return false;
}

celery_status cel_router_select(struct cel_router *router, const char *const *select,
                                const char *const *exclude, celery_error *err)
{
    size_t n_select = count_texts(select), n = 0;
    size_t max = n_select ? n_select : router->n_queues;
    struct cel_queue **chosen =
        cel_arena_alloc(&router->arena, (max + 1) * sizeof *chosen);
    if (!chosen) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < max; i++) {
        struct cel_queue *q = n_select ? NULL : router->queues[i];
        celery_status st = CELERY_OK;
        if (n_select) {
            st = cel_router_want(router, cel_slice_of(select[i]), &q, err);
        }
        if (st < 0) {
            return st;
        }
        if (!has_text(exclude, q->name) && !is_chosen(chosen, n, q)) {
            chosen[n++] = q;
        }
    }
    router->chosen = chosen;
    router->n_chosen = n;
    router->chosen_cap = max + 1;
    return CELERY_OK;
}

static celery_status choose(struct cel_router *r, struct cel_queue *q, celery_error *err)
{
    if (r->n_chosen >= r->chosen_cap) {
        size_t cap = r->n_chosen * 2 + 1;
        struct cel_queue **grown =
            cel_arena_alloc(&r->arena, cap * sizeof(struct cel_queue *));

        if (!grown) {
            return cel_error_nomem(err);
        }
        if (r->n_chosen > 0) {
            memcpy(grown, r->chosen, r->n_chosen * sizeof(struct cel_queue *));
        }
        r->chosen = grown;
        r->chosen_cap = cap;
    }
    r->chosen[r->n_chosen++] = q;
    return CELERY_OK;
}

celery_status cel_router_add_direct(struct cel_router *router, const char *nodename,
                                    celery_error *err)
{
    char name[512];
    struct cel_queue q = {
        .exchange = "C.dq2", .exchange_type = "direct", .durable = true};
    struct cel_queue *added = NULL;
    int n = snprintf(name, sizeof name, "%s.dq2", nodename);
    if (n < 0 || (size_t)n >= sizeof name) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "worker_direct: the node name is too long");
    }
    q.name = cel_arena_strndup(&router->arena, name, (size_t)n);
    q.routing_key = cel_arena_strndup(&router->arena, nodename, strlen(nodename));
    if (!q.name || !q.routing_key ||
        cel_queue_arguments(&router->arena, NULL, router->defaults.max_priority,
                            &q.arguments, err) < 0 ||
        cel_router_add(router, &q, &added, err) < 0) {
        return cel_error_nomem(err);
    }
    return choose(router, added, err);
}

/* ---- while the worker runs ---- */

static const char *keep(struct cel_router *r, const char *text)
{
    return text ? cel_arena_strndup(&r->arena, text, strlen(text)) : NULL;
}

static celery_status make_like(struct cel_router *r, const struct cel_queue *like,
                               struct cel_queue **ret, celery_error *err)
{
    struct cel_queue q = {.durable = true, .name = keep(r, like->name)};

    if (r->n_queues >= QUEUES_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "there are %d queues already",
                             QUEUES_MAX);
    }
    q.exchange = like->exchange ? keep(r, like->exchange) : q.name;
    q.exchange_type = keep(r, like->exchange_type ? like->exchange_type : "direct");
    q.routing_key = like->routing_key ? keep(r, like->routing_key) : q.name;
    if (!q.name || !q.exchange || !q.exchange_type || !q.routing_key ||
        cel_queue_arguments(&r->arena, NULL, r->defaults.max_priority, &q.arguments,
                            err) < 0) {
        return cel_error_nomem(err);
    }
    return cel_router_add(r, &q, ret, err);
}

celery_status cel_router_start(struct cel_router *router, const struct cel_queue *like,
                               const struct cel_queue **ret_queue, celery_error *err)
{
    struct cel_queue *q = cel_map_get(&router->by_name, cel_slice_of(like->name));
    celery_status status = q ? CELERY_OK : make_like(router, like, &q, err);

    *ret_queue = NULL;
    if (status < 0 || is_chosen(router->chosen, router->n_chosen, q)) {
        return status;
    }
    *ret_queue = q;
    return choose(router, q, err);
}

const struct cel_queue *cel_router_stop(struct cel_router *router, struct cel_slice name)
{
    for (size_t i = 0; i < router->n_chosen; i++) {
        struct cel_queue *q = router->chosen[i];

        if (cel_slice_is(name, q->name)) {
            router->n_chosen--;
            memmove(router->chosen + i, router->chosen + i + 1,
                    (router->n_chosen - i) * sizeof(struct cel_queue *));
            return q;
        }
    }
    return NULL;
}

size_t cel_router_count(const struct cel_router *router)
{
    return router->n_chosen;
}

const struct cel_queue *cel_router_at(const struct cel_router *router, size_t i)
{
    return i < router->n_chosen ? router->chosen[i] : NULL;
}
