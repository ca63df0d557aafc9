/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/heap.h"
#include "base/alloc.h"

void cel_heap_fini(struct cel_heap *h)
{
    for (size_t i = 0; i < h->count; i++) {
        h->nodes[i]->index = 0;
    }
    cel_free(h->nodes);
    *h = (struct cel_heap){0};
}

static void put(struct cel_heap *h, size_t index, struct cel_heap_node *node)
{
    h->nodes[index - 1] = node;
    node->index = index;
}

static void sift_up(struct cel_heap *h, struct cel_heap_node *node)
{
    size_t i = node->index;
    while (i > 1 && h->nodes[i / 2 - 1]->key > node->key) {
        put(h, i, h->nodes[i / 2 - 1]);
        i /= 2;
    }
    put(h, i, node);
}

static void sift_down(struct cel_heap *h, struct cel_heap_node *node)
{
    size_t i = node->index;
    while (i * 2 <= h->count) {
        size_t child = i * 2;
        if (child < h->count && h->nodes[child]->key < h->nodes[child - 1]->key) {
            child++;
        }
        if (h->nodes[child - 1]->key >= node->key) {
            break;
        }
        put(h, i, h->nodes[child - 1]);
        i = child;
    }
    put(h, i, node);
}

celery_status cel_heap_reserve(struct cel_heap *h, size_t count)
{
    if (count <= h->cap) {
        return CELERY_OK;
    }
    size_t cap = h->cap ? h->cap : 16;
    while (cap < count) {
        cap *= 2;
    }
    struct cel_heap_node **nodes = cel_realloc(h->nodes, cap, sizeof *nodes);
    if (!nodes) {
        return CELERY_ENOMEM;
    }
    h->nodes = nodes;
    h->cap = cap;
    return CELERY_OK;
}

celery_status cel_heap_add(struct cel_heap *h, struct cel_heap_node *node, double key)
{
    if (cel_heap_reserve(h, h->count + 1) < 0) {
        return CELERY_ENOMEM;
    }
    node->key = key;
    put(h, ++h->count, node);
    sift_up(h, node);
    return CELERY_OK;
}

void cel_heap_remove(struct cel_heap *h, struct cel_heap_node *node)
{
    if (node->index == 0) {
        return;
    }
    struct cel_heap_node *last = h->nodes[--h->count];
    if (last != node) {
        put(h, node->index, last);
        sift_up(h, last);
        sift_down(h, last);
    }
    node->index = 0;
}

void cel_heap_move(struct cel_heap *h, struct cel_heap_node *node, double key)
{
    if (node->index > 0) {
        node->key = key;
        sift_up(h, node);
        sift_down(h, node);
    }
}
