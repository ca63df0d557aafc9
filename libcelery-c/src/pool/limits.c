/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/limits.h"
#include "base/list.h"
#include <limits.h>

#define RESPAWN_FIRST 0.1 /* seconds */
#define RESPAWN_LAST  10.0

static void arm(struct cel_limits *l)
{
    struct cel_heap_node *first = cel_heap_first(&l->heap);
    /* A timer that fires too early costs less than one set anew for every job. */
    if (first && (l->armed <= 0 || first->key < l->armed)) {
        l->armed = first->key;
        cel_source_rearm(l->timer, first->key);
    }
}

static void on_timer(void *ctx)
{
    struct cel_limits *l = ctx;
    double now = cel_loop_now(l->loop);
    l->armed = 0;
    for (;;) {
        struct cel_heap_node *first = cel_heap_first(&l->heap);
        if (!first || first->key > now) {
            break;
        }
        struct cel_limit *limit = cel_container_of(first, struct cel_limit, node);
        cel_heap_remove(&l->heap, first);
        if (!limit->soft_next) {
            l->hard(l->ctx, limit);
            continue;
        }
        limit->soft_next = false;
        if (limit->hard_at > 0) {
            /* Never fails: the place it just left is free. */
            cel_heap_add(&l->heap, &limit->node, limit->hard_at);
        }
        l->soft(l->ctx, limit);
    }
    if (l->timer) {
        arm(l);
    }
}

celery_status cel_limits_init(struct cel_limits *l, struct cel_loop *loop,
                              void (*soft)(void *ctx, struct cel_limit *limit),
                              void (*hard)(void *ctx, struct cel_limit *limit), void *ctx)
{
    *l = (struct cel_limits){.loop = loop, .soft = soft, .hard = hard, .ctx = ctx};
    celery_status status = cel_loop_add_timer(loop, &l->timer, 0, on_timer, l);
    if (status >= 0) {
        cel_source_disarm(l->timer);
    }
    return status;
}

void cel_limits_fini(struct cel_limits *l)
{
    l->timer = cel_source_free(l->timer);
    while (cel_heap_first(&l->heap)) {
        cel_heap_remove(&l->heap, cel_heap_first(&l->heap));
    }
    cel_heap_fini(&l->heap);
}

celery_status cel_limits_begin(struct cel_limits *l, struct cel_limit *limit, double soft,
                               double hard)
{
    double now = cel_loop_now(l->loop);
    cel_heap_remove(&l->heap, &limit->node);
    limit->hard_at = hard > 0 ? now + hard : 0;
    limit->soft_next = soft > 0 && (hard <= 0 || soft < hard);
    if (!limit->soft_next && hard <= 0) {
        return CELERY_OK;
    }
    celery_status status = cel_heap_add(&l->heap, &limit->node,
                                        limit->soft_next ? now + soft : limit->hard_at);
    if (status >= 0) {
        arm(l);
    }
    return status;
}

void cel_limits_end(struct cel_limits *l, struct cel_limit *limit)
{
    cel_heap_remove(&l->heap, &limit->node);
}

unsigned cel_limits_jobs_left(int64_t max_tasks, unsigned long given)
{
    if (max_tasks <= 0) {
        return UINT_MAX;
    }
    if (given >= (unsigned long)max_tasks) {
        return 0;
    }
    unsigned long left = (unsigned long)max_tasks - given;
    return left < UINT_MAX ? (unsigned)left : UINT_MAX - 1;
}

double cel_limits_respawn_delay(unsigned failures)
{
    double delay = failures == 0 ? 0 : RESPAWN_FIRST;
    for (unsigned i = 1; i < failures && delay < RESPAWN_LAST; i++) {
        delay *= 2;
    }
    return delay < RESPAWN_LAST ? delay : RESPAWN_LAST;
}
