/* SPDX-License-Identifier: BSD-3-Clause */
/* A tag is the slot's number plus one, below the slot's generation in the high half. */
#include "transport/hold.h"
#include "base/alloc.h"
#include <stdbool.h>
#include <string.h>

enum { FIRST_SLOTS = 16, MAX_SLOTS = 1 << 30 };

struct slot {
    uint32_t generation;
    uint32_t next_free;
    bool used;
    _Alignas(max_align_t) char item[];
};

static struct slot *slot_at(const struct cel_hold *h, size_t i)
{
    return (struct slot *)(void *)(h->slots + i * h->slot_size);
}

void cel_hold_init(struct cel_hold *h, size_t item_size)
{
    size_t align = _Alignof(struct slot);

    *h = (struct cel_hold){.item_size = item_size, .free_slot = UINT32_MAX};
    h->slot_size = (sizeof(struct slot) + item_size + align - 1) / align * align;
}

void cel_hold_fini(struct cel_hold *h)
{
    cel_free(h->slots);
    cel_hold_init(h, h->item_size);
}

static bool grow(struct cel_hold *h)
{
    size_t cap = h->cap ? h->cap * 2 : FIRST_SLOTS;
    char *slots;

    if (cap > MAX_SLOTS) {
        return false;
    }
    slots = cel_realloc(h->slots, cap, h->slot_size);
    if (!slots) {
        return false;
    }
    h->slots = slots;
    for (size_t i = cap; i-- > h->cap;) {
        struct slot *s = slot_at(h, i);
        *s = (struct slot){.next_free = h->free_slot};
        h->free_slot = (uint32_t)i;
    }
    h->cap = cap;
    return true;
}

void *cel_hold_add(struct cel_hold *h, uint64_t *ret_tag)
{
    struct slot *s;
    uint32_t i;

    if (h->free_slot == UINT32_MAX && !grow(h)) {
        return NULL;
    }
    i = h->free_slot;
    s = slot_at(h, i);
    h->free_slot = s->next_free;
    s->used = true;
    memset(s->item, 0, h->item_size);
    h->count++;
    *ret_tag = (uint64_t)s->generation << 32 | (i + 1u);
    return s->item;
}

static struct slot *find(const struct cel_hold *h, uint64_t tag)
{
    uint32_t i = (uint32_t)tag;
    struct slot *s;

    if (i == 0 || i > h->cap) {
        return NULL;
    }
    s = slot_at(h, i - 1);
    return s->used && s->generation == tag >> 32 ? s : NULL;
}

void *cel_hold_get(const struct cel_hold *h, uint64_t tag)
{
    struct slot *s = find(h, tag);

    return s ? s->item : NULL;
}

void cel_hold_remove(struct cel_hold *h, uint64_t tag)
{
    struct slot *s = find(h, tag);

    if (s) {
        s->used = false;
        s->generation++;
        s->next_free = h->free_slot;
        h->free_slot = (uint32_t)tag - 1;
        h->count--;
    }
}

void *cel_hold_next(const struct cel_hold *h, size_t *at, uint64_t *ret_tag)
{
    while (*at < h->cap) {
        size_t i = (*at)++;
        struct slot *s = slot_at(h, i);

        if (s->used) {
            *ret_tag = (uint64_t)s->generation << 32 | (i + 1);
            return s->item;
        }
    }
    return NULL;
}
