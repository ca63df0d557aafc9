/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/envelope.h"

/* The envelope lies in its own arena, so that a message costs one allocation. */
struct cel_envelope *cel_envelope_new_sized(size_t size)
{
    struct cel_arena arena;
    struct cel_envelope *env = NULL;
    cel_arena_init(&arena, 0);
    if (size < SIZE_MAX / 8 && cel_arena_reserve(&arena, sizeof *env + size)) {
        env = cel_arena_alloc(&arena, sizeof *env);
    }
    if (env) {
        *env = (struct cel_envelope){.arena = arena, .delivery_mode = 2};
    }
    return env;
}

struct cel_envelope *cel_envelope_new(void)
{
    return cel_envelope_new_sized(512);
}

struct cel_envelope *cel_envelope_free(struct cel_envelope *env)
{
    if (env) {
        struct cel_arena arena = env->arena;
        cel_arena_fini(&arena);
    }
    return NULL;
}

const struct cel_node *cel_envelope_header(const struct cel_envelope *env,
                                           struct cel_slice name)
{
    return env ? cel_node_get(env->headers, name) : NULL;
}
