/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Counting starts with the first cel_alloc_fail_at(); until then only `watched` is read. */
static atomic_bool watched;
static atomic_ulong count;
static atomic_ulong fail_nth;
static atomic_bool fail_on;

static bool refused(void)
{
    if (!atomic_load_explicit(&watched, memory_order_relaxed)) {
        return false;
    }
    unsigned long n = atomic_fetch_add(&count, 1) + 1;
    unsigned long nth = atomic_load(&fail_nth);
    return nth > 0 && (n == nth || (n > nth && atomic_load(&fail_on)));
}

void *cel_alloc(size_t size)
{
    return refused() ? NULL : malloc(size ? size : 1);
}

void *cel_calloc(size_t n, size_t size)
{
    if (n == 0 || size == 0) {
        n = size = 1;
    }
    return refused() ? NULL : calloc(n, size);
}

void *cel_realloc(void *block, size_t n, size_t size)
{
    if (size > 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    size_t bytes = n * size;
    return refused() ? NULL : realloc(block, bytes ? bytes : 1);
}

char *cel_strdup(const char *text)
{
    return cel_strndup(text, strlen(text));
}

char *cel_strndup(const char *text, size_t len)
{
    if (len == SIZE_MAX) {
        return NULL;
    }
    char *copy = cel_alloc(len + 1);
    if (copy) {
        if (len > 0) {
            memcpy(copy, text, len);
        }
        copy[len] = '\0';
    }
    return copy;
}

void cel_free(void *block)
{
    free(block);
}

void cel_alloc_fail_at(unsigned long nth, int from_then_on)
{
    atomic_store(&count, 0);
    atomic_store(&fail_nth, nth);
    atomic_store(&fail_on, from_then_on != 0);
    atomic_store(&watched, true);
}

unsigned long cel_alloc_count(void)
{
    return atomic_load(&count);
}
