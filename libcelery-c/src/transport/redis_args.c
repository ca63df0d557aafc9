/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_args.h"
#include "base/alloc.h"
#include <inttypes.h>
#include <stdio.h>

void cel_redis_args_fini(struct cel_redis_args *a)
{
    cel_free(a->words);
    *a = (struct cel_redis_args){0};
}

void cel_redis_args_clear(struct cel_redis_args *a)
{
    a->n = a->n_ints = 0;
    a->failed = false;
}

void cel_redis_args_add(struct cel_redis_args *a, struct cel_slice word)
{
    if (a->n == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 64;
        struct cel_slice *words = cel_realloc(a->words, cap, sizeof *words);

        if (!words) {
            a->failed = true;
            return;
        }
        a->words = words;
        a->cap = cap;
    }
    a->words[a->n++] = word;
}

void cel_redis_args_adds(struct cel_redis_args *a, const char *word)
{
    cel_redis_args_add(a, cel_slice_of(word));
}

void cel_redis_args_add_int(struct cel_redis_args *a, int64_t value)
{
    if (a->n_ints == CEL_REDIS_ARGS_INTS) {
        a->failed = true;
        return;
    }
    snprintf(a->ints[a->n_ints], sizeof a->ints[0], "%" PRId64, value);
    cel_redis_args_adds(a, a->ints[a->n_ints++]);
}
