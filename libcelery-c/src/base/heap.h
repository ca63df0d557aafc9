/* SPDX-License-Identifier: BSD-3-Clause */
/* Binary min-heap of intrusive nodes ordered by a double. */
#ifndef CEL_BASE_HEAP_H
#define CEL_BASE_HEAP_H

#include <celery/error.h>
#include <stddef.h>

struct cel_heap_node {
    double key;
    size_t index; /* 1-based position; 0: not in a heap */
};

struct cel_heap {
    struct cel_heap_node **nodes;
    size_t count;
    size_t cap;
};

/* {0} is a valid empty heap. */
void cel_heap_fini(struct cel_heap *h);

/* Room for that many nodes in all, so that adding cannot fail. */
celery_status cel_heap_reserve(struct cel_heap *h, size_t count);
celery_status cel_heap_add(struct cel_heap *h, struct cel_heap_node *node, double key);
void cel_heap_remove(struct cel_heap *h,
                     struct cel_heap_node *node); /* absent: harmless */
void cel_heap_move(struct cel_heap *h, struct cel_heap_node *node, double key);

static inline struct cel_heap_node *cel_heap_first(const struct cel_heap *h)
{
    return h->count ? h->nodes[0] : NULL;
}

#endif
