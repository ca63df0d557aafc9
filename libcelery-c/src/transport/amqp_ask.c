/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_ask.h"
#include "base/alloc.h"
#include "base/error.h"

struct cel_amqp_ask {
    struct cel_list node;
    struct cel_amqp_transport *a;
    struct cel_arena arena;
    struct cel_amqp_method *methods;
    size_t n;
    size_t cap;
    size_t pending; /* answers to come */
    bool failed;    /* no memory for a method */
    celery_error why;
    int64_t answer;
    struct cel_done done;
};

struct cel_amqp_ask *cel_amqp_ask_new(struct cel_amqp_transport *a)
{
    struct cel_amqp_ask *ask = cel_calloc(1, sizeof *ask);

    if (ask) {
        ask->a = a;
        cel_list_init(&ask->node);
        cel_arena_init(&ask->arena, 0);
    }
    return ask;
}

void cel_amqp_ask_drop(struct cel_amqp_ask *ask)
{
    if (ask) {
        cel_list_remove(&ask->node);
        cel_arena_fini(&ask->arena);
        cel_free(ask->methods);
        cel_free(ask);
    }
}

static void end(struct cel_amqp_ask *give_ask, const celery_error *err)
{
    struct cel_done done = give_ask->done;
    int64_t answer = give_ask->answer;
    celery_error copy = err ? *err : (celery_error){0};

    cel_amqp_ask_drop(give_ask);
    cel_done(done, err ? &copy : NULL, answer);
}

/* ---- putting it together ---- */

static void keep(struct cel_amqp_ask *ask, struct cel_slice *text)
{
    char *copy =
        text->data ? cel_arena_strndup(&ask->arena, text->data, text->len) : NULL;

    ask->failed = ask->failed || (text->data && !copy);
    text->data = copy;
}

static bool grow(struct cel_amqp_ask *ask)
{
    size_t cap = ask->cap ? ask->cap * 2 : 4;
    struct cel_amqp_method *methods = cel_realloc(ask->methods, cap, sizeof *methods);

    if (!methods) {
        return false;
    }
    ask->methods = methods;
    ask->cap = cap;
    return true;
}

void cel_amqp_ask_add(struct cel_amqp_ask *ask, const struct cel_amqp_method *method)
{
    struct cel_amqp_method *m;

    if (!ask || ask->failed || (ask->n == ask->cap && !grow(ask))) {
        if (ask) {
            ask->failed = true;
        }
        return;
    }
    m = &ask->methods[ask->n++];
    *m = *method;
    keep(ask, &m->queue);
    keep(ask, &m->exchange);
    keep(ask, &m->source);
    keep(ask, &m->type);
    keep(ask, &m->routing_key);
    if (m->table) {
        m->table = cel_node_copy(&ask->arena, m->table);
        ask->failed = ask->failed || !m->table;
    }
}

static unsigned bits_of(const struct cel_queue_step *s)
{
    return (s->durable ? CEL_AMQP_DURABLE : 0u) |
           (s->auto_delete ? CEL_AMQP_AUTO_DELETE : 0u) |
           (s->exclusive ? CEL_AMQP_EXCLUSIVE : 0u) |
           (s->passive ? CEL_AMQP_PASSIVE : 0u);
}

void cel_amqp_ask_step(struct cel_amqp_ask *ask, const struct cel_queue_step *s)
{
    static const uint32_t ids[] = {
        [CEL_DECLARE_EXCHANGE] = CEL_AMQP_EXCHANGE_DECLARE,
        [CEL_DECLARE_QUEUE] = CEL_AMQP_QUEUE_DECLARE,
        [CEL_BIND_QUEUE] = CEL_AMQP_QUEUE_BIND,
        [CEL_BIND_EXCHANGE] = CEL_AMQP_EXCHANGE_BIND,
    };
    bool queue = s->kind == CEL_DECLARE_QUEUE || s->kind == CEL_BIND_QUEUE;
    struct cel_amqp_method m = {
        .id = ids[s->kind], .table = s->arguments, .bits = bits_of(s)};

    *(queue ? &m.queue : &m.exchange) = cel_slice_of(s->name);
    if (s->kind == CEL_DECLARE_EXCHANGE) {
        m.type = cel_slice_of(s->type);
    } else if (s->kind != CEL_DECLARE_QUEUE) {
        *(queue ? &m.exchange : &m.source) = cel_slice_of(s->source);
        m.routing_key = cel_slice_of(s->routing_key);
    }
    cel_amqp_ask_add(ask, &m);
}

/* ---- running ---- */

static struct cel_amqp_ask *first_ask(struct cel_amqp_transport *a)
{
    struct cel_list *first = cel_list_first(&a->asking.waiting);

    return first ? cel_container_of(first, struct cel_amqp_ask, node) : NULL;
}

static void run_first(struct cel_amqp_transport *a);

static void on_answer(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_amqp_ask *ask = ctx;
    struct cel_amqp_transport *a = ask->a;
    bool refused;

    if (err && ask->why.status == CELERY_OK) {
        ask->why = *err; /* those behind it fail because of it */
    }
    ask->answer = answer;
    if (--ask->pending > 0) {
        return;
    }
    a->asking.busy = false;
    refused = ask->why.status != CELERY_OK;
    cel_source_schedule(a->flush);
    end(ask, refused ? &ask->why : NULL);
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct cel_amqp_transport *a = ctx;

    a->asking.channel = cel_amqp_channel_free(a->asking.channel);
    cel_source_schedule(a->flush);
}

static const struct cel_amqp_channel_events events = {.closed = on_closed};

static void run_first(struct cel_amqp_transport *a)
{
    struct cel_amqp_ask *ask = first_ask(a);
    celery_error err = {0};

    if (!a->asking.channel &&
        cel_amqp_channel_open(a->conn, &events, a, &a->asking.channel, &err) < 0) {
        end(ask, &err);
        return;
    }
    a->asking.busy = true;
    /* One more than there are, so that it cannot end before all are sent. */
    ask->pending = ask->n + 1;
    for (size_t i = 0; i < ask->n; i++) {
        cel_amqp_call(a->asking.channel, &ask->methods[i],
                      (struct cel_done){on_answer, ask});
    }
    on_answer(ask, NULL, ask->answer);
}

void cel_amqp_ask_flush(struct cel_amqp_transport *a)
{
    while (a->conn && a->connected && !a->asking.busy && first_ask(a)) {
        run_first(a);
    }
}

void cel_amqp_ask_run(struct cel_amqp_transport *a, struct cel_amqp_ask *give_ask,
                      struct cel_done done)
{
    if (!give_ask || give_ask->failed || !a->connected) {
        cel_amqp_ask_drop(give_ask);
        cel_amqp_refuse(done, a->connected ? CELERY_ENOMEM : CELERY_ECLOSED);
        return;
    }
    give_ask->done = done;
    cel_list_append(&a->asking.waiting, &give_ask->node);
    cel_source_schedule(a->flush);
}

void cel_amqp_ask_reset(struct cel_amqp_transport *a)
{
    celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_amqp_ask *ask;

    a->asking.channel = NULL;
    a->asking.busy = false;
    a->asking.declaring = 0;
    while ((ask = first_ask(a))) {
        end(ask, &err);
    }
}
