/* SPDX-License-Identifier: BSD-3-Clause */
/* Checked allocation.  All of the library allocates through these. */
#ifndef CEL_BASE_ALLOC_H
#define CEL_BASE_ALLOC_H

#include <stddef.h>

/* NULL when out of memory or when a test asked for failure.  cel_alloc() does not zero. */
void *cel_alloc(size_t size);
void *cel_calloc(size_t count, size_t size);

/* As realloc(); on failure the old block stays.  The product is checked for overflow. */
void *cel_realloc(void *block, size_t count, size_t size);

char *cel_strdup(const char *text);
char *cel_strndup(const char *text, size_t len); /* always NUL-terminated */
void cel_free(void *block);                      /* NULL is harmless */

/*
 * For tests: let the nth allocation from now fail (1: the next; 0: none), once or from
 * then on.  cel_alloc_count() counts allocations since the last call of this.
 */
void cel_alloc_fail_at(unsigned long nth, int from_then_on);
unsigned long cel_alloc_count(void);

#endif
