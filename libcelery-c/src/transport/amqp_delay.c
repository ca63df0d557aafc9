/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_delay.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "message/delayed.h"
#include "transport/amqp_ask.h"
#include "transport/amqp_declare.h"
#include "transport/amqp_post.h"
#include <stdio.h>

/* Seconds for which a declaration counts; less than what x-expires has beyond the waits. */
#define DECLARED_FOR 1800.0

#define HOUR_MS ((int64_t)3600 * 1000)

unsigned cel_amqp_delay_level(double until)
{
    double left = until - cel_clock_wall();
    unsigned level = 0;

    while (level + 1 < CEL_AMQP_LEVELS && left >= (double)((int64_t)2 << level)) {
        level++;
    }
    return level;
}

void cel_amqp_delay_name(const struct cel_amqp_queue *q, unsigned level, char *text,
                         size_t size)
{
    snprintf(text, size, "%s.celery-c.delay.%u", q->name, level);
}

static bool put_text(struct cel_arena *a, struct cel_node *object, const char *name,
                     const char *value)
{
    return cel_node_put(a, object, cel_slice_of(name),
                        cel_node_new_string(a, cel_slice_of(value))) == 0;
}

static bool put_int(struct cel_arena *a, struct cel_node *object, const char *name,
                    int64_t value)
{
    return cel_node_put(a, object, cel_slice_of(name), cel_node_new_int(a, value)) == 0;
}

/* Beside a quorum queue as safe as that; otherwise the broker could drop what it moves. */
static bool put_quorum(struct cel_arena *a, struct cel_node *object)
{
    return put_text(a, object, "x-queue-type", "quorum") &&
           put_text(a, object, "x-overflow", "reject-publish") &&
           put_text(a, object, "x-dead-letter-strategy", "at-least-once");
}

const struct cel_node *cel_amqp_onward(struct cel_arena *arena,
                                       const struct cel_amqp_queue *to, int64_t ttl,
                                       int64_t expires)
{
    struct cel_node *object = cel_node_new(arena, CELERY_KIND_OBJECT);
    bool ok = object && put_int(arena, object, "x-message-ttl", ttl) &&
              put_text(arena, object, "x-dead-letter-exchange", "") &&
              put_text(arena, object, "x-dead-letter-routing-key", to->name) &&
              put_int(arena, object, "x-expires", expires);

    if (ok && cel_queue_is_quorum(&to->def)) {
        ok = put_quorum(arena, object);
    }
    return ok ? object : NULL;
}

struct declaring {
    struct cel_amqp_queue *queue;
    unsigned level;
    double at;
    struct cel_done done;
};

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct declaring d = *(struct declaring *)ctx;

    cel_free(ctx);
    if (!err) {
        d.queue->delays[d.level] = d.at;
    }
    cel_done(d.done, err, 0);
}

void cel_amqp_delay_declare(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                            unsigned level, struct cel_done done)
{
    double now = cel_loop_now(a->base.loop), before = q->delays[level];
    int64_t ttl = ((int64_t)1 << level) * 1000;
    struct cel_arena arena = {0};
    const struct cel_node *arguments;
    struct declaring *d;
    char name[300];

    if (before > 0 && now - before < DECLARED_FOR) {
        cel_done(done, NULL, 0);
        return;
    }
    d = cel_alloc(sizeof *d);
    arguments = d ? cel_amqp_onward(&arena, q, ttl, 2 * ttl + HOUR_MS) : NULL;
    if (!arguments) {
        cel_free(d);
        cel_arena_fini(&arena);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    *d = (struct declaring){q, level, now, done};
    cel_amqp_delay_name(q, level, name, sizeof name);
    cel_amqp_declare_own(a, name, arguments, (struct cel_done){on_declared, d});
    cel_arena_fini(&arena);
}

/* ---- native delayed delivery ---- */

bool cel_amqp_delay_is_native(const struct cel_amqp_transport *a,
                              const struct cel_amqp_queue *q)
{
    return a->native_delay && cel_delayed_can_return(q->name);
}

struct binding {
    struct cel_amqp_queue *queue;
    struct cel_done done;
};

static void on_bound(void *ctx, const celery_error *err, int64_t answer)
{
    struct binding b = *(struct binding *)ctx;

    cel_free(ctx);
    b.queue->delay_bound = !err;
    cel_done(b.done, err, 0);
}

void cel_amqp_delay_bind(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                         struct cel_done done)
{
    struct cel_arena arena = {0};
    struct cel_queue_step step;
    struct cel_amqp_ask *ask;
    struct binding *b;

    if (q->delay_bound) {
        cel_done(done, NULL, 0);
        return;
    }
    b = cel_alloc(sizeof *b);
    if (!b || cel_delayed_return_step(&arena, q->name, &step, NULL) < 0) {
        cel_free(b);
        cel_arena_fini(&arena);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    *b = (struct binding){q, done};
    ask = cel_amqp_ask_new(a);
    cel_amqp_ask_step(ask, &step);
    cel_amqp_ask_run(a, ask, (struct cel_done){on_bound, b});
    cel_arena_fini(&arena);
}

void cel_amqp_delay_native(struct cel_amqp_transport *a, const struct cel_amqp_queue *q,
                           struct cel_envelope *copy, double until, struct cel_done done)
{
    double left = until - cel_clock_wall();
    char *key;

    if (cel_delayed_return_key(&copy->arena, left < 1 ? 1 : left, q->name, &key, NULL) <
        0) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    cel_amqp_post(&a->base, CEL_DELAYED_ENTRY, key, copy, done);
}
