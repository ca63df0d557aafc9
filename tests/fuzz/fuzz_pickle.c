/* SPDX-License-Identifier: BSD-3-Clause */
/* Pickles: what is read can be written, and what was written reads back equal; limits hold. */
#include "base/arena.h"
#include "codec/pickle.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Typed values are written as objects, which may read back in another spelling. */
static bool has_typed(const struct cel_node *n)
{
    struct cel_slice type;
    const struct cel_node *value;
    if (cel_json_typed(n, &type, &value)) {
        return true;
    }
    for (const struct cel_node *c = cel_node_first(n); c; c = c->next) {
        if (has_typed(c)) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_json_limits limits = {.depth = 100, .elements = 100000};
    struct cel_arena a;
    cel_arena_init(&a, (size_t)64 << 20);
    struct cel_node *n;
    celery_error err = {0};
    if (cel_pickle_read(&a, cel_slice((const char *)data, size), &limits, &n, &err) < 0) {
        require(err.status < 0 && err.message[0] != '\0');
        cel_arena_fini(&a);
        return 0;
    }
    struct cel_buf out = {0};
    struct cel_node *again;
    cel_pickle_exception(&a, n);
    cel_pickle_group(&a, n);
    require(cel_pickle_write(&out, n, &err) == CELERY_OK);
    limits = (struct cel_json_limits){.depth = 200, .elements = 1000000};
    require(cel_pickle_read(&a, cel_buf_slice(&out), &limits, &again, &err) == CELERY_OK);
    require(has_typed(n) || cel_node_equal(n, again));
    cel_buf_clear(&out);
    require(cel_json_write(&out, n) == CELERY_OK);
    cel_buf_fini(&out);
    cel_arena_fini(&a);
    return 0;
}
