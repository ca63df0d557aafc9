/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_declare.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "message/delayed.h"
#include "transport/amqp_ask.h"
#include "transport/amqp_consume.h"
#include "transport/amqp_post.h"
#include <stdio.h>

enum {
    ACCESS_REFUSED = 403,
    NOT_FOUND = 404,
    LOCKED = 405,
    PRECONDITION = 406,
    COMMAND_INVALID = 503,
};

/* ---- definitions ---- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_step(const struct cel_queue_step *a, const struct cel_queue_step *b)
{
    return a->kind == b->kind && a->durable == b->durable &&
           a->auto_delete == b->auto_delete && a->exclusive == b->exclusive &&
           a->passive == b->passive && same_text(a->name, b->name) &&
           same_text(a->type, b->type) && same_text(a->source, b->source) &&
           same_text(a->routing_key, b->routing_key) &&
           (a->arguments == b->arguments || cel_node_equal(a->arguments, b->arguments));
}

static bool same_queue(const struct cel_queue *a, const struct cel_queue *b)
{
    struct cel_queue_step x, y;
    size_t i = 0;

    for (; cel_queue_step(a, i, &x); i++) {
        if (!cel_queue_step(b, i, &y) || !same_step(&x, &y)) {
            return false;
        }
    }
    return !cel_queue_step(b, i, &y) && a->no_ack == b->no_ack;
}

static void keep_text(struct cel_arena *a, const char **text, bool *failed)
{
    if (*text) {
        *text = cel_arena_strndup(a, *text, strlen(*text));
        *failed = *failed || !*text;
    }
}

static void keep_node(struct cel_arena *a, const struct cel_node **node, bool *failed)
{
    if (*node) {
        *node = cel_node_copy(a, *node);
        *failed = *failed || !*node;
    }
}

static void keep_bindings(struct cel_arena *a, struct cel_queue *q, bool *failed)
{
    struct cel_binding *bindings = NULL;

    if (q->n_bindings > 0) {
        bindings = cel_arena_alloc(a, q->n_bindings * sizeof *bindings);
        *failed = *failed || !bindings;
    }
    for (size_t i = 0; bindings && i < q->n_bindings; i++) {
        struct cel_binding *b = &bindings[i];

        *b = q->bindings[i];
        keep_text(a, &b->exchange, failed);
        keep_text(a, &b->exchange_type, failed);
        keep_text(a, &b->routing_key, failed);
        keep_node(a, &b->arguments, failed);
        keep_node(a, &b->exchange_arguments, failed);
    }
    q->bindings = bindings;
}

/* To be declared again when the queue is gone. */
static bool keep_definition(struct cel_amqp_queue *queue, const struct cel_queue *q)
{
    struct cel_arena arena = {0};
    struct cel_queue def = *q;
    bool failed = false;

    cel_arena_init(&arena, 0);
    def.name = queue->name;
    keep_text(&arena, &def.exchange, &failed);
    keep_text(&arena, &def.exchange_type, &failed);
    keep_text(&arena, &def.routing_key, &failed);
    keep_node(&arena, &def.arguments, &failed);
    keep_node(&arena, &def.exchange_arguments, &failed);
    keep_node(&arena, &def.binding_arguments, &failed);
    keep_node(&arena, &def.consumer_arguments, &failed);
    keep_bindings(&arena, &def, &failed);
    if (failed) {
        cel_arena_fini(&arena);
        return false;
    }
    cel_arena_fini(&queue->arena);
    queue->arena = arena;
    queue->def = def;
    queue->fanout =
        same_text(def.exchange_type, "fanout") && !same_text(def.exchange, "");
    return true;
}

bool cel_amqp_is_fanout(struct cel_amqp_transport *a, const char *exchange)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        if (q->fanout && same_text(q->def.exchange, exchange)) {
            return true;
        }
    }
    return false;
}

/* ---- refusals ---- */

/* "inequivalent arg 'x-max-priority' for queue ...": which one. */
static struct cel_slice differing(const char *text)
{
    const char *at = strstr(text, "inequivalent arg '");
    const char *end;

    if (!at) {
        return CEL_SLICE_NULL;
    }
    at += strlen("inequivalent arg '");
    end = strchr(at, '\'');
    return end ? cel_slice(at, (size_t)(end - at)) : CEL_SLICE_NULL;
}

static const char *setting_for(struct cel_slice argument)
{
    if (cel_slice_is(argument, "x-max-priority")) {
        return "task_queue_max_priority, or max_priority of the queue in task_queues";
    }
    if (cel_slice_is(argument, "x-queue-type")) {
        return "task_default_queue_type, or x-queue-type in its queue_arguments";
    }
    if (cel_slice_is(argument, "type")) {
        return "exchange_type of the queue in task_queues, or "
               "task_default_exchange_type";
    }
    if (cel_slice_is(argument, "durable") || cel_slice_is(argument, "auto_delete")) {
        return "durable and auto_delete of the queue in task_queues";
    }
    return "queue_arguments of the queue in task_queues";
}

/* What the broker says of a declaration, and what can be done about it. */
static void explain(const char *queue, celery_error *err)
{
    char text[sizeof err->message];
    struct cel_slice arg;
    int code = err->code;

    snprintf(text, sizeof text, "%s", err->message);
    arg = differing(text);
    if (err->code == PRECONDITION && arg.len > 0) {
        cel_error_set(err, CELERY_ECONFIG,
                      "queue %s is there already with another %.*s: set %s to what it "
                      "has, or delete it at the broker: %s",
                      queue, (int)arg.len, arg.data, setting_for(arg), text);
    } else if (err->code == PRECONDITION) {
        cel_error_set(err, CELERY_ECONFIG, "queue %s cannot be declared so: %s", queue,
                      text);
    } else if (err->code == LOCKED) {
        cel_error_set(err, CELERY_ECONFIG,
                      "queue %s belongs to another connection alone (exclusive): %s",
                      queue, text);
    } else if (err->code == COMMAND_INVALID) {
        cel_error_set(err, CELERY_ECONFIG,
                      "queue %s: the broker does not know its exchange type: set "
                      "exchange_type to direct, topic, fanout or headers, or enable the "
                      "plugin for it: %s",
                      queue, text);
    } else if (err->code == ACCESS_REFUSED) {
        cel_error_set(err, CELERY_EAUTH,
                      "queue %s: the user may not configure it: grant that, or declare "
                      "it beforehand and give it no_declare: %s",
                      queue, text);
    } else {
        cel_error_prefix(err, err->status, "declaring queue %s: ", queue);
    }
    err->code = code;
}

/* ---- declaring ---- */

struct declaration {
    struct cel_amqp_transport *a;
    struct cel_amqp_queue *queue;
    bool ours; /* nobody's publishes wait for it */
    struct cel_done done;
};

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct declaration d = *(struct declaration *)ctx;
    celery_error why = err ? *err : (celery_error){0};

    cel_free(ctx);
    d.queue->declared = !err;
    if (err && err->status != CELERY_ECLOSED) {
        explain(d.queue->name, &why);
    }
    if (!d.ours && d.a->asking.declaring > 0 && --d.a->asking.declaring == 0) {
        cel_amqp_post_flush(d.a);
    }
    cel_done(d.done, err ? &why : NULL, 0);
}

static void run_declaration(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                            bool ours, struct cel_done done)
{
    struct declaration *d = cel_alloc(sizeof *d);
    struct cel_amqp_ask *ask = d ? cel_amqp_ask_new(a) : NULL;
    struct cel_queue_step step;

    if (!ask) {
        cel_free(d);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    *d = (struct declaration){a, q, ours, done};
    for (size_t i = 0; cel_queue_step(&q->def, i, &step); i++) {
        cel_amqp_ask_step(ask, &step);
    }
    a->asking.declaring += !ours;
    cel_amqp_ask_run(a, ask, (struct cel_done){on_declared, d});
}

/*
 * The broker closes the connection over a type that it does not have.  Plugins' types begin
 * with "x-".
 */
static bool has_type(const char *type)
{
    static const char *const types[] = {"", "direct", "topic", "fanout", "headers"};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (same_text(type, types[i])) {
            return true;
        }
    }
    return strncmp(type, "x-", 2) == 0;
}

/* RabbitMQ before 3.8 ignores the argument: it would be a queue that only looks like one. */
static bool has_quorum(const struct cel_amqp_server *s)
{
    return strcmp(s->product, "RabbitMQ") != 0 || s->major > 3 ||
           (s->major == 3 && s->minor >= 8);
}

/* What the broker would not refuse, or not in a way that leaves the connection. */
static celery_status check_queue(const struct cel_amqp_transport *a,
                                 const struct cel_queue *q, celery_error *err)
{
    const struct cel_amqp_server *s = cel_amqp_conn_server(a->conn);

    if (!has_type(q->exchange_type)) {
        return cel_error_set(
            err, CELERY_ENOTSUP,
            "queue %s: there are no exchanges of type %s; use direct, topic, fanout "
            "or headers",
            q->name, q->exchange_type);
    }
    if (cel_queue_is_quorum(q) && !has_quorum(s)) {
        return cel_error_set(err, CELERY_ENOTSUP,
                             "queue %s: %s %s has no quorum queues: use RabbitMQ 3.10 or "
                             "newer, or set its x-queue-type to classic",
                             q->name, s->product, s->version);
    }
    return CELERY_OK;
}

/* The shortest of all that are consumed counts for all. */
static void heed_timeout(struct cel_amqp_transport *a, const struct cel_queue *q)
{
    double ms =
        cel_node_double(cel_node_get(q->arguments, CEL_SLICE("x-consumer-timeout")), 0);

    if (ms > 0 && ms / 1000 < a->set.consumer_timeout) {
        a->set.consumer_timeout = ms / 1000;
    }
}

void cel_amqp_declare(struct cel_transport *t, const struct cel_queue *q,
                      struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_queue *queue;
    celery_error err = {0};

    if (cel_amqp_is_closed(a, done)) {
        return;
    }
    if (check_queue(a, q, &err) < 0) {
        cel_done(done, &err, 0);
        return;
    }
    queue = cel_amqp_find_queue(a, q->name);
    if (!queue) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    if (queue->def.name && queue->declared && same_queue(&queue->def, q)) {
        cel_done(done, NULL, 0);
        return;
    }
    if (!keep_definition(queue, q)) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    heed_timeout(a, q);
    run_declaration(a, queue, false, done);
}

void cel_amqp_redeclare(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                        struct cel_done done)
{
    q->declared = false;
    if (q->def.name) {
        run_declaration(a, q, true, done);
    } else {
        cel_done(done, NULL, 0);
    }
}

void cel_amqp_declare_own(struct cel_amqp_transport *a, const char *name,
                          const struct cel_node *arguments, struct cel_done done)
{
    struct cel_amqp_ask *ask = cel_amqp_ask_new(a);
    const struct cel_amqp_method m = {
        .id = CEL_AMQP_QUEUE_DECLARE,
        .queue = cel_slice_of(name),
        .bits = CEL_AMQP_DURABLE,
        .table = arguments,
    };

    cel_amqp_ask_add(ask, &m);
    cel_amqp_ask_run(a, ask, done);
}

void cel_amqp_forget_declared(struct cel_amqp_queue *q)
{
    q->declared = false;
    q->dead_declared = false;
    q->delay_bound = false;
    memset(q->delays, 0, sizeof q->delays);
}

/* ---- native delayed delivery ---- */

struct delaying {
    struct cel_amqp_transport *a;
    struct cel_done done;
};

static void on_levels(void *ctx, const celery_error *err, int64_t answer)
{
    struct delaying d = *(struct delaying *)ctx;

    cel_free(ctx);
    d.a->native_delay = d.a->native_delay || !err;
    cel_done(d.done, err, answer);
}

static void run_delaying(struct cel_amqp_transport *a, struct cel_amqp_ask *give_ask,
                         struct cel_done done)
{
    struct delaying *d = cel_alloc(sizeof *d);

    if (!d) {
        cel_amqp_ask_drop(give_ask);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    *d = (struct delaying){a, done};
    cel_amqp_ask_run(a, give_ask, (struct cel_done){on_levels, d});
}

void cel_amqp_declare_delayed(struct cel_transport *t, const char *queue_type,
                              const struct cel_queue *queues, size_t n,
                              struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_ask *ask = cel_amqp_ask_new(a);
    struct cel_arena arena = {0};
    struct cel_queue_step *steps = NULL;
    const char *direct;
    char text[300];
    celery_error err = {0};
    size_t n_steps = 0;
    celery_status status = cel_delayed_steps(&arena, queue_type, &steps, &n_steps, &err);

    for (size_t i = 0; i < n_steps && status == 0; i++) {
        cel_amqp_ask_step(ask, &steps[i]);
    }
    for (size_t q = 0; q < n && status == 0; q++) {
        direct = NULL;
        n_steps = 0;
        status =
            cel_delayed_bind_steps(&arena, &queues[q], &steps, &n_steps, &direct, &err);
        for (size_t i = 0; i < n_steps && status == 0; i++) {
            cel_amqp_ask_step(ask, &steps[i]);
        }
        if (direct) {
            cel_delayed_direct_text(direct, text, sizeof text);
            cel_log(CELERY_LOG_WARNING, "%s", text);
        }
    }
    cel_arena_fini(&arena);
    if (status < 0) {
        cel_amqp_ask_drop(ask);
        cel_done(done, &err, 0);
        return;
    }
    run_delaying(a, ask, done);
}

/* ---- counting and purging ---- */

static void ask_queue(struct cel_transport *t, uint32_t id, const char *queue,
                      struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_ask *ask = cel_amqp_ask_new(a);
    const struct cel_amqp_method m = {
        .id = id,
        .queue = cel_slice_of(queue),
        .bits = id == CEL_AMQP_QUEUE_DECLARE ? CEL_AMQP_PASSIVE : 0u,
    };

    cel_amqp_ask_add(ask, &m);
    cel_amqp_ask_run(a, ask, done);
}

static void on_counted(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_done done = *(struct cel_done *)ctx;

    cel_free(ctx);
    /* No queue, no messages: as Redis has it. */
    if (err && err->code == NOT_FOUND) {
        cel_done(done, NULL, 0);
    } else {
        cel_done(done, err, err ? 0 : answer);
    }
}

static void count_with(struct cel_transport *t, uint32_t id, const char *queue,
                       struct cel_done done)
{
    struct cel_done *kept = cel_alloc(sizeof *kept);

    if (!kept) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    *kept = done;
    ask_queue(t, id, queue, (struct cel_done){on_counted, kept});
}

void cel_amqp_purge(struct cel_transport *t, const char *queue, struct cel_done done)
{
    count_with(t, CEL_AMQP_QUEUE_PURGE, queue, done);
}

void cel_amqp_count(struct cel_transport *t, const char *queue, struct cel_done done)
{
    count_with(t, CEL_AMQP_QUEUE_DECLARE, queue, done);
}

/* Its consumer goes first: the broker's word that its queue is gone would bring it back. */
void cel_amqp_delete_queue(struct cel_transport *t, const char *queue,
                           struct cel_done done)
{
    struct cel_amqp_queue *q =
        cel_amqp_known_queue(cel_amqp_transport(t), cel_slice_of(queue));

    cel_amqp_cancel(t, queue, NULL);
    if (q) {
        cel_amqp_forget_declared(q);
    }
    count_with(t, CEL_AMQP_QUEUE_DELETE, queue, done);
}
