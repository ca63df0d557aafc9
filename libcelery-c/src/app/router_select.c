/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues that are consumed (celery/app/amqp.py Queues.select, deselect, select_add). */
#include "app/router_state.h"
#include "base/error.h"
#include <stdio.h>

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
    struct cel_queue **chosen = cel_arena_alloc(
        &router->arena, (router->n_chosen + 1) * sizeof(struct cel_queue *));
    if (n < 0 || (size_t)n >= sizeof name) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "worker_direct: the node name is too long");
    }
    q.name = cel_arena_strndup(&router->arena, name, (size_t)n);
    q.routing_key = cel_arena_strndup(&router->arena, nodename, strlen(nodename));
    if (!chosen || !q.name || !q.routing_key ||
        cel_queue_arguments(&router->arena, NULL, router->defaults.max_priority,
                            &q.arguments, err) < 0 ||
        cel_router_add(router, &q, &added, err) < 0) {
        return cel_error_nomem(err);
    }
    memcpy(chosen, router->chosen, router->n_chosen * sizeof(struct cel_queue *));
    chosen[router->n_chosen++] = added;
    router->chosen = chosen;
    return CELERY_OK;
}

size_t cel_router_count(const struct cel_router *router)
{
    return router->n_chosen;
}

const struct cel_queue *cel_router_at(const struct cel_router *router, size_t i)
{
    return i < router->n_chosen ? router->chosen[i] : NULL;
}
