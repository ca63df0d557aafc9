/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is freed all at once: one message, one document. */
#ifndef CEL_BASE_ARENA_H
#define CEL_BASE_ARENA_H

#include "base/slice.h"

struct cel_arena_chunk;

struct cel_arena {
    struct cel_arena_chunk *chunks; /* newest first */
    char *next;                     /* free bytes of the newest chunk */
    char *end;
    size_t used; /* bytes taken from malloc in all */
    size_t max;  /* ceiling for used; 0: none */
};

/* {0} is a valid empty arena.  first: bytes for the first chunk (0: 1 KiB). */
void cel_arena_init(struct cel_arena *a, size_t max);
void cel_arena_fini(struct cel_arena *a);

/* Frees all but one chunk and starts again. */
void cel_arena_reset(struct cel_arena *a);

/* Makes the next allocations, up to size bytes in all, come from one chunk. */
bool cel_arena_reserve(struct cel_arena *a, size_t size);

/* Aligned for any type, not zeroed.  NULL when out of memory or over the ceiling. */
void *cel_arena_alloc(struct cel_arena *a, size_t size);

/* NUL-terminated copy; NULL when out of memory. */
char *cel_arena_strndup(struct cel_arena *a, const char *text, size_t len);

#endif
