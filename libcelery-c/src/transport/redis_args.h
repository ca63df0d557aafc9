/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of one command, put together without copying texts. */
#ifndef CEL_TRANSPORT_REDIS_ARGS_H
#define CEL_TRANSPORT_REDIS_ARGS_H

#include "base/slice.h"
#include <celery/error.h>

enum { CEL_REDIS_ARGS_INTS = 32 };

/* Used again and again; {0} is valid.  Remembers if an addition failed. */
struct cel_redis_args {
    struct cel_slice *words;
    size_t n;
    size_t cap;
    bool failed;
    size_t n_ints;
    char ints[CEL_REDIS_ARGS_INTS][24];
};

void cel_redis_args_fini(struct cel_redis_args *a);
void cel_redis_args_clear(struct cel_redis_args *a);
void cel_redis_args_add(struct cel_redis_args *a, struct cel_slice word); /* borrowed */
void cel_redis_args_adds(struct cel_redis_args *a, const char *word);     /* borrowed */
/* At most CEL_REDIS_ARGS_INTS of them in a command. */
void cel_redis_args_add_int(struct cel_redis_args *a, int64_t value);

#endif
