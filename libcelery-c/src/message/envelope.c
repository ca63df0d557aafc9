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

static void add_name(struct cel_buf *out, const char *name)
{
    (void)cel_buf_adds(out, out->data[out->len - 1] == '{' ? "\"" : ", \"");
    (void)cel_buf_adds(out, name);
    (void)cel_buf_adds(out, "\": ");
}

static void add_text(struct cel_buf *out, const char *name, struct cel_slice text)
{
    if (text.data && cel_buf_ok(out)) {
        add_name(out, name);
        (void)cel_json_write_string(out, text);
    }
}

static void add_int(struct cel_buf *out, const char *name, int value)
{
    if (cel_buf_ok(out)) {
        add_name(out, name);
        (void)cel_buf_add_int(out, value);
    }
}

celery_status cel_envelope_write_properties(struct cel_buf *out,
                                            const struct cel_envelope *env)
{
    if (env->raw.data) {
        return env->properties ? cel_json_write(out, env->properties)
                               : cel_buf_adds(out, "{}");
    }
    (void)cel_buf_adds(out, "{");
    add_text(out, "content_type", env->content_type);
    add_text(out, "content_encoding", env->content_encoding);
    if (env->delivery_mode > 0) {
        add_int(out, "delivery_mode", env->delivery_mode);
    }
    add_int(out, "priority", env->priority);
    add_text(out, "correlation_id", env->correlation_id);
    add_text(out, "reply_to", env->reply_to);
    add_text(out, "expiration", env->expiration);
    for (const struct cel_node *k = cel_node_first(env->properties), *v; k; k = v->next) {
        v = k->next;
        (void)cel_buf_adds(out, ", ");
        (void)cel_json_write(out, k);
        (void)cel_buf_adds(out, ": ");
        (void)cel_json_write(out, v);
    }
    return cel_buf_addc(out, '}');
}
