/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/arena.h"
#include "base/alloc.h"
#include <stdalign.h>

enum { FIRST_CHUNK = 1024, LARGEST_STEP = 1 << 20, KEPT_CHUNK = 64 * 1024 };

struct cel_arena_chunk {
    alignas(max_align_t) struct cel_arena_chunk *older;
    size_t size; /* bytes behind this header */
};

void cel_arena_init(struct cel_arena *a, size_t max)
{
    *a = (struct cel_arena){.max = max};
}

static void free_chunks(struct cel_arena_chunk *chunk)
{
    while (chunk) {
        struct cel_arena_chunk *older = chunk->older;
        cel_free(chunk);
        chunk = older;
    }
}

void cel_arena_fini(struct cel_arena *a)
{
    free_chunks(a->chunks);
    *a = (struct cel_arena){.max = a->max};
}

void cel_arena_reset(struct cel_arena *a)
{
    struct cel_arena_chunk *kept = a->chunks;
    if (!kept) {
        return;
    }
    if (kept->size > KEPT_CHUNK) {
        /* One large message must not hold its memory for ever. */
        cel_arena_fini(a);
        return;
    }
    free_chunks(kept->older);
    kept->older = NULL;
    a->next = (char *)(kept + 1);
    a->end = a->next + kept->size;
    a->used = sizeof *kept + kept->size;
}

/*
 * Half of what there is comes on top, less when the ceiling is near: most messages just fit their
 * first chunk, and those that do not mostly lack little.
 */
static struct cel_arena_chunk *add_chunk(struct cel_arena *a, size_t need)
{
    size_t size = a->used / 2;
    if (size < FIRST_CHUNK) {
        size = FIRST_CHUNK;
    } else if (size > LARGEST_STEP) {
        size = LARGEST_STEP;
    }
    if (size < need) {
        size = need;
    }
    if (a->max) {
        size_t left = a->max > a->used ? a->max - a->used : 0;
        if (left < sizeof(struct cel_arena_chunk) + need) {
            return NULL;
        }
        if (size > left - sizeof(struct cel_arena_chunk)) {
            size = need;
        }
    }
    struct cel_arena_chunk *chunk = cel_alloc(sizeof *chunk + size);
    if (chunk) {
        chunk->older = a->chunks;
        chunk->size = size;
        a->chunks = chunk;
        a->used += sizeof *chunk + size;
        a->next = (char *)(chunk + 1);
        a->end = a->next + size;
    }
    return chunk;
}

void *cel_arena_alloc(struct cel_arena *a, size_t size)
{
    if (size > SIZE_MAX / 4) {
        return NULL;
    }
    const size_t align = alignof(max_align_t);
    size_t need = size ? (size + align - 1) / align * align : align;
    if ((size_t)(a->end - a->next) < need && !add_chunk(a, need)) {
        return NULL;
    }
    void *block = a->next;
    a->next += need;
    return block;
}

bool cel_arena_reserve(struct cel_arena *a, size_t size)
{
    char *block = cel_arena_alloc(a, size);
    if (block) {
        a->next = block;
    }
    return block != NULL;
}

char *cel_arena_strndup(struct cel_arena *a, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? cel_arena_alloc(a, len + 1) : NULL;
    if (copy) {
        if (len > 0) {
            memcpy(copy, text, len);
        }
        copy[len] = '\0';
    }
    return copy;
}
