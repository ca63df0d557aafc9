/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_restore.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/redis_dead.h"
#include "transport/redis_publish.h"
#include "transport/redis_settle.h"
#include "transport/redis_value.h"
#include "transport/redis_wait.h"

struct restoring {
    struct cel_redis_transport *r;
    void (*fn)(void *ctx, bool moved);
    void *ctx;
    char *field;
    char *score;
    char *queue;         /* the routing key: whose dead-letter list it would be */
    struct cel_buf raw;  /* as it was */
    struct cel_buf text; /* as it goes back */
    size_t step;
};

static void end(struct restoring *x, bool moved)
{
    void (*fn)(void *ctx, bool moved) = x->fn;
    void *ctx = x->ctx;

    cel_free(x->field);
    cel_free(x->score);
    cel_free(x->queue);
    cel_buf_fini(&x->raw);
    cel_buf_fini(&x->text);
    cel_free(x);
    fn(ctx, moved);
}

static void on_moved(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct restoring *x = ctx;
    celery_status status = cel_redis_check(x->r, reply, err, "restoring a message", NULL);

    if (status == 0) {
        cel_redis_wait_own(x->r);
    }
    end(x, status == 0 && cel_resp_int(reply) == 1);
}

/* The words up to the keys it goes to. */
static void start_move(struct restoring *x, struct cel_slice text, const char *side)
{
    struct cel_redis_args *a = &x->r->args;

    cel_redis_args_clear(a);
    cel_redis_args_adds(a, x->r->keys.unacked);
    cel_redis_args_adds(a, x->r->keys.unacked_index);
    cel_redis_args_adds(a, x->field);
    cel_redis_args_adds(a, x->score);
    cel_redis_args_adds(a, side);
    cel_redis_args_add(a, text);
}

static void send_move(struct restoring *x)
{
    if (cel_redis_send_script(x->r, &x->r->scripts.move, 2, on_moved, x) < 0) {
        end(x, false);
    }
}

static void bury(struct restoring *x, const char *reason)
{
    struct cel_buf entry = {0};
    char *key = cel_redis_dead_key(&x->r->keys, cel_slice_of(x->queue));

    cel_redis_dead_write(&entry, cel_slice_of(reason), cel_slice_of(x->queue),
                         cel_buf_slice(&x->raw));
    if (key && cel_buf_ok(&entry)) {
        start_move(x, cel_buf_slice(&entry), "LPUSH");
        cel_redis_args_adds(&x->r->args, key);
        send_move(x);
    } else {
        end(x, false);
    }
    cel_free(key);
    cel_buf_fini(&entry);
}

static void on_route(void *ctx, const struct cel_slice *queues, size_t n,
                     const celery_error *err)
{
    struct restoring *x = ctx;
    struct cel_redis_args *a = &x->r->args;
    char **keys;

    if (err || !x->r->connected) {
        end(x, false);
        return;
    }
    if (n == 0) {
        bury(x, "restored, but no queue is bound to its exchange");
        return;
    }
    keys = cel_calloc(n, sizeof *keys);
    start_move(x, cel_buf_slice(&x->text), "RPUSH");
    for (size_t i = 0; keys && i < n; i++) {
        keys[i] = cel_redis_queue_key(&x->r->keys, queues[i], x->step);
        a->failed = a->failed || !keys[i];
        cel_redis_args_adds(a, keys[i]);
    }
    if (keys && !a->failed) {
        send_move(x);
    } else {
        end(x, false);
    }
    for (size_t i = 0; keys && i < n; i++) {
        cel_free(keys[i]);
    }
    cel_free(keys);
}

/* A JSON string, or null as empty text, into a. */
static bool json_text(struct cel_arena *a, struct cel_slice json, struct cel_slice *ret)
{
    struct cel_node *node = NULL;

    if (cel_json_parse(a, json, NULL, &node, NULL) < 0) {
        return false;
    }
    *ret = cel_node_text(node);
    return true;
}

/* A message that cannot be read goes back as it is: who claims it will park it. */
static celery_status rewrite(struct restoring *x)
{
    struct cel_envelope *env = NULL;
    celery_status status = cel_envelope_read(cel_buf_slice(&x->raw), &env, NULL);

    if (status == 0) {
        x->step = cel_redis_step(&x->r->keys, env->priority);
        status = cel_envelope_write_redelivered(&x->text, env, NULL, 0);
    } else if (status == CELERY_EMESSAGE) {
        status = cel_buf_add_slice(&x->text, cel_buf_slice(&x->raw));
    }
    cel_envelope_free(env);
    return status;
}

static struct restoring *new_restoring(struct cel_redis_transport *r,
                                       struct cel_slice field, struct cel_slice score)
{
    struct restoring *x = cel_calloc(1, sizeof *x);

    if (!x) {
        return NULL;
    }
    x->r = r;
    x->field = cel_strndup(field.data, field.len);
    x->score = cel_strndup(score.data, score.len);
    if (!x->field || !x->score) {
        cel_free(x->field);
        cel_free(x->score);
        cel_free(x);
        return NULL;
    }
    return x;
}

void cel_redis_restore(struct cel_redis_transport *r, struct cel_slice field,
                       struct cel_slice score, struct cel_slice value,
                       void (*fn)(void *ctx, bool moved), void *ctx)
{
    struct restoring *x = new_restoring(r, field, score);
    struct cel_slice raw, exchange = {0}, routing_key = {0};
    struct cel_arena arena = {0};
    bool legible;

    if (!x) {
        fn(ctx, false);
        return;
    }
    x->fn = fn;
    x->ctx = ctx;
    legible = cel_redis_value_split(value, &raw, &exchange, &routing_key) &&
              json_text(&arena, exchange, &exchange) &&
              json_text(&arena, routing_key, &routing_key);
    cel_buf_add_slice(&x->raw, legible ? raw : value);
    x->queue =
        legible ? cel_strndup(routing_key.data ? routing_key.data : "", routing_key.len)
                : cel_strdup("unacked");
    if (!x->queue || !cel_buf_ok(&x->raw) || (legible && rewrite(x) < 0)) {
        end(x, false);
    } else if (!legible) {
        bury(x, "an entry of unacked that is no [message, exchange, routing key]");
    } else {
        cel_redis_route(r, exchange, routing_key, on_route, x);
    }
    cel_arena_fini(&arena);
}
