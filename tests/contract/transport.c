/* SPDX-License-Identifier: BSD-3-Clause */
/* What every transport promises; run as `transport memory`, `transport redis` ... */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "message/envelope_json.h"
#include "net/redis_conn.h"
#include "rabbit_server.h"
#include "redis_server.h"
#include "transport/memory.h"
#include "transport/transport.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE = 20, MAX_GOT = 8192 };

static struct cel_loop *loop;
static struct redis_server *server; /* NULL: another broker */
static struct rabbit_server *rabbit;
static bool files;
static char folder[] = "/tmp/contract-transport-XXXXXX";
static bool sqs;
static const char *url_text;
static struct cel_url *url;
static int n_names;

/* One transport and what it told. */
struct side {
    struct cel_transport *t;
    struct cel_delivery got[MAX_GOT];
    size_t n_got;
    int lost;
    int broadcasts;
    char listening[200]; /* the queue that was told last */
    char broadcast[400];
    bool ack_at_once;
    bool close_at_once;
};

struct answer {
    bool done;
    celery_status status;
    int64_t value;
};

static void on_done(void *ctx, const celery_error *err, int64_t value)
{
    struct answer *a = ctx;

    assert_false(a->done);
    *a = (struct answer){true, err ? err->status : CELERY_OK, value};
}

static struct cel_done to(struct answer *a)
{
    *a = (struct answer){0};
    return (struct cel_done){on_done, a};
}

static void on_delivered(void *ctx, struct cel_delivery *d)
{
    struct side *s = ctx;

    assert_true(s->n_got < MAX_GOT);
    assert_int_not_equal(d->tag, 0);
    assert_non_null(d->envelope);
    s->got[s->n_got++] = *d;
    if (s->ack_at_once) {
        s->t->ops->ack(s->t, d->tag, (struct cel_done){0});
    }
    if (s->close_at_once) {
        s->t->ops->close(s->t);
    }
}

static void on_lost(void *ctx, const celery_error *why)
{
    ((struct side *)ctx)->lost++;
    print_message("lost: %s\n", why->message);
}

static void on_broadcast(void *ctx, const char *exchange, struct cel_slice routing_key,
                         struct cel_envelope *give_envelope)
{
    struct side *s = ctx;

    s->broadcasts++;
    snprintf(s->broadcast, sizeof s->broadcast, "%s %.*s %.*s", exchange,
             (int)routing_key.len, routing_key.data, (int)give_envelope->body.len,
             give_envelope->body.data);
    cel_envelope_free(give_envelope);
}

static void on_listening(void *ctx, const char *queue)
{
    struct side *s = ctx;

    snprintf(s->listening, sizeof s->listening, "%s", queue);
}

static const struct cel_transport_events events = {.delivered = on_delivered,
                                                   .lost = on_lost,
                                                   .broadcast = on_broadcast,
                                                   .listening = on_listening};

static void pass(void)
{
    assert_int_equal(cel_loop_pass(loop, 0.05), CELERY_OK);
}

static void settle_down(double seconds)
{
    for (double end = cel_clock_mono() + seconds; cel_clock_mono() < end;) {
        cel_loop_pass(loop, 0.02);
    }
}

static void await(struct answer *a)
{
    for (double end = cel_clock_mono() + PATIENCE; !a->done;) {
        assert_true(cel_clock_mono() < end);
        pass();
    }
}

static int64_t done_well(struct answer *a)
{
    await(a);
    assert_int_equal(a->status, CELERY_OK);
    return a->value;
}

static void await_got(struct side *s, size_t n)
{
    for (double end = cel_clock_mono() + PATIENCE; s->n_got < n;) {
        assert_true(cel_clock_mono() < end);
        pass();
    }
}

static void connect_side(struct side *s)
{
    struct answer a;

    s->t->ops->connect(s->t, 0, to(&a));
    done_well(&a);
}

static struct side *new_side(void)
{
    struct side *s = calloc(1, sizeof *s);
    celery_error err = {0};

    assert_int_equal(cel_transport_new(loop, &url, 1, NULL, &events, s, &s->t, &err), 0);
    connect_side(s);
    return s;
}

static void forget_got(struct side *s)
{
    for (size_t i = 0; i < s->n_got; i++) {
        cel_envelope_free(s->got[i].envelope);
    }
    s->n_got = 0;
}

static void free_side(struct side *s)
{
    s->t = cel_transport_free(s->t);
    forget_got(s);
    free(s);
}

/* A name no other test has. */
static const char *new_name(const char *kind)
{
    static char names[8][40];
    char *name = names[n_names % 8];

    snprintf(name, 40, "%s%d", kind, n_names++);
    return name;
}

static void declare_queue(struct side *s, const struct cel_queue *q)
{
    struct answer a;

    s->t->ops->declare(s->t, q, to(&a));
    done_well(&a);
}

static void declare(struct side *s, const char *queue, const char *exchange,
                    const char *type, const char *key)
{
    const struct cel_queue q = {.name = queue,
                                .exchange = exchange,
                                .exchange_type = type,
                                .routing_key = key,
                                .durable = true};

    declare_queue(s, &q);
}

/* A queue with priorities: RabbitMQ has them where they are asked for. */
static void declare_priorities(struct side *s, const char *queue)
{
    struct cel_arena arena = {0};
    struct cel_node *arguments = cel_node_new(&arena, CELERY_KIND_OBJECT);
    const struct cel_queue q = {.name = queue,
                                .exchange = "",
                                .exchange_type = "direct",
                                .routing_key = queue,
                                .arguments = arguments,
                                .durable = true};

    cel_node_put(&arena, arguments, CEL_SLICE("x-max-priority"),
                 cel_node_new_int(&arena, 9));
    declare_queue(s, &q);
    cel_arena_fini(&arena);
}

static void consume(struct side *s, const char *queue, unsigned prefetch)
{
    assert_int_equal(s->t->ops->set_prefetch(s->t, prefetch), CELERY_OK);
    assert_int_equal(s->t->ops->consume(s->t, queue, NULL), CELERY_OK);
}

static struct cel_envelope *message(const char *exchange, const char *key,
                                    const char *body, int priority)
{
    struct cel_envelope *env = cel_envelope_new();

    assert_non_null(env);
    env->content_type = CEL_SLICE("application/json");
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = cel_slice_of(body);
    env->exchange = cel_slice_of(exchange);
    env->routing_key = cel_slice_of(key);
    env->delivery_mode = 2;
    env->priority = priority;
    return env;
}

static int64_t publish(struct side *s, const char *exchange, const char *key,
                       const char *body, int priority)
{
    struct cel_envelope *env = message(exchange, key, body, priority);
    struct answer a;
    int64_t value;

    s->t->ops->publish(s->t, exchange, key, env, to(&a));
    value = done_well(&a);
    cel_envelope_free(env);
    return value;
}

static void assert_body(const struct cel_delivery *d, const char *body)
{
    struct cel_slice got = d->envelope->body;

    if (!cel_slice_is(got, body)) {
        fail_msg("body is %.*s, not %s", (int)got.len, got.data, body);
    }
}

static int64_t ack(struct side *s, uint64_t tag)
{
    struct answer a;

    s->t->ops->ack(s->t, tag, to(&a));
    return done_well(&a);
}

static int64_t reject(struct side *s, uint64_t tag, bool requeue, bool front,
                      const char *header, int64_t value)
{
    struct answer a;

    s->t->ops->reject(s->t, tag, requeue, front, header, value, to(&a));
    return done_well(&a);
}

static int64_t count(struct side *s, const char *queue)
{
    struct answer a;

    if (sqs) { /* whose counts are right after a while */
        settle_down(0.1);
    }
    s->t->ops->count(s->t, queue, to(&a));
    return done_well(&a);
}

static void on_pushed(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    *(bool *)ctx = true;
}

static void on_opened(void *ctx)
{
    *(bool *)ctx = true;
}

static void on_closed(void *ctx, const celery_error *why)
{
    fail_msg("%s", why->message);
}

/* Older than a writer takes. */
static void push_file(const char *queue, struct cel_slice raw)
{
    static const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    static unsigned n;
    char path[200];

    snprintf(path, sizeof path, "data_in/0_%04u.%s.msg", n++, queue);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(raw.data, 1, raw.len, file), raw.len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

/* Puts bytes into a queue as they are. */
static void push_raw(const char *queue, struct cel_slice raw)
{
    const struct cel_redis_events quiet = {.opened = on_opened, .closed = on_closed};
    const struct cel_redis_options options = {0};
    struct cel_slice words[] = {CEL_SLICE("LPUSH"), cel_slice_of(queue), raw};
    struct cel_redis *redis;
    bool opened = false, pushed = false;

    if (files) {
        push_file(queue, raw);
        return;
    }
    if (!server) {
        assert_int_equal(cel_memory_push("contract", queue, raw), 0);
        return;
    }
    assert_int_equal(
        cel_redis_open(loop, &url, 1, &options, &quiet, &opened, &redis, NULL), 0);
    while (!opened) {
        pass();
    }
    assert_int_equal(cel_redis_command(redis, on_pushed, &pushed, 3, words), 0);
    while (!pushed) {
        pass();
    }
    cel_redis_free(redis);
}

/* ---- finding ---- */

static void test_find_names_what_this_build_has(void **state)
{
    celery_error err = {0};

    assert_non_null(cel_transport_find("redis", &err));
    assert_non_null(cel_transport_find("rediss", &err));
    assert_non_null(cel_transport_find("memory", &err));
    assert_null(cel_transport_find("gopher", &err));
    assert_int_equal(err.status, CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "gopher"));
    assert_non_null(strstr(err.message, "redis://"));
    assert_non_null(cel_transport_names()[0]);
}

/* ---- connection ---- */

static void test_close_twice_is_harmless(void **state)
{
    struct side *s = new_side();

    s->t->ops->close(s->t);
    s->t->ops->close(s->t);
    settle_down(0.05);
    assert_int_equal(s->lost, 0);
    free_side(s);
}

static void test_calls_on_a_closed_transport_fail(void **state)
{
    struct side *s = new_side();
    struct cel_queue q = {.name = "q", .exchange = "", .routing_key = "q"};
    struct cel_envelope *env = message("", "q", "x", 0);
    struct answer a;

    s->t->ops->close(s->t);
    s->t->ops->publish(s->t, "", "q", env, to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ECLOSED);
    s->t->ops->declare(s->t, &q, to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ECLOSED);
    s->t->ops->ack(s->t, 1, to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ECLOSED);
    s->t->ops->count(s->t, "q", to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ECLOSED);
    assert_int_equal(s->t->ops->consume(s->t, "q", NULL), CELERY_ECLOSED);
    cel_envelope_free(env);
    free_side(s);
}

static void test_close_ends_pending_operations(void **state)
{
    struct side *s = new_side();
    struct cel_envelope *env = message("", "q", "x", 0);
    const char *queue = new_name("pending");
    struct answer a;

    s->t->ops->publish(s->t, "", queue, env, to(&a));
    s->t->ops->close(s->t);
    assert_true(a.done);
    cel_envelope_free(env);
    free_side(s);
}

static void test_unsettled_messages_survive_a_reconnect(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("back");
    bool resumes = s->t->ops->flags & CEL_TRANSPORT_RESUMES;

    declare(s, queue, "", "direct", queue);
    for (int i = 0; i < 5; i++) {
        publish(s, "", queue, "m", 0);
    }
    consume(s, queue, 0);
    await_got(s, 5);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    s->t->ops->close(s->t);
    connect_side(s);
    consume(s, queue, 0);
    await_got(s, resumes ? 5 : 9);
    settle_down(0.2);
    assert_int_equal(s->n_got, resumes ? 5 : 9);
    for (size_t i = resumes ? 1 : 5; i < s->n_got; i++) {
        assert_true(resumes || s->got[i].redelivered);
        assert_int_equal(ack(s, s->got[i].tag), 1);
    }
    assert_int_equal(count(s, queue), 0);
    free_side(s);
}

/* ---- delivering ---- */

static void test_a_message_arrives_as_it_was_sent(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("plain");
    const struct cel_delivery *d = &s->got[0];

    declare(s, queue, "", "direct", queue);
    consume(s, queue, 4);
    publish(s, "", queue, "{\"a\": 1}", 0);
    await_got(s, 1);
    assert_body(d, "{\"a\": 1}");
    assert_string_equal(d->queue, queue);
    assert_false(d->redelivered);
    assert_false(d->malformed);
    assert_true(cel_slice_is(d->envelope->content_type, "application/json"));
    assert_true(cel_slice_is(d->envelope->routing_key, queue));
    assert_int_equal(ack(s, d->tag), 1);
    assert_int_equal(count(s, queue), 0);
    free_side(s);
}

static void test_messages_keep_their_order(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("order");
    char body[20];

    declare(s, queue, "", "direct", queue);
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof body, "%d", i);
        publish(s, "", queue, body, 0);
    }
    s->ack_at_once = true;
    consume(s, queue, 7);
    await_got(s, 50);
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof body, "%d", i);
        assert_body(&s->got[i], body);
    }
    free_side(s);
}

/* Low numbers first with the virtual transports, high ones with AMQP. */
static void test_priorities_decide_who_comes_first(void **state)
{
    static const int sent[] = {9, 3, 0, 6, 0};
    static const char *const bodies[] = {"nine", "three", "zero", "six", "zero too"};
    static const char *const low[] = {"zero", "zero too", "three", "six", "nine"};
    static const char *const high[] = {"nine", "six", "three", "zero", "zero too"};
    const char *const *wanted = rabbit ? high : low;
    struct side *s = new_side();
    const char *queue = new_name("priority");

    if (!(s->t->ops->flags & CEL_TRANSPORT_PRIORITIES)) {
        free_side(s);
        return;
    }
    declare_priorities(s, queue);
    for (int i = 0; i < 5; i++) {
        publish(s, "", queue, bodies[i], sent[i]);
    }
    assert_int_equal(count(s, queue), 5);
    s->ack_at_once = true;
    consume(s, queue, 1);
    await_got(s, 5);
    for (int i = 0; i < 5; i++) {
        assert_body(&s->got[i], wanted[i]);
    }
    free_side(s);
}

static void test_prefetch_is_never_exceeded(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("prefetch");

    declare(s, queue, "", "direct", queue);
    for (int i = 0; i < 10; i++) {
        publish(s, "", queue, "m", 0);
    }
    consume(s, queue, 3);
    await_got(s, 3);
    settle_down(0.2);
    assert_int_equal(s->n_got, 3);
    ack(s, s->got[1].tag);
    await_got(s, 4);
    settle_down(0.1);
    assert_int_equal(s->n_got, 4);
    s->t->ops->set_prefetch(s->t, 0);
    await_got(s, 10);
    free_side(s);
}

static void test_what_needs_no_ack_is_settled(void **state)
{
    struct side *s = new_side();
    struct cel_queue q = {.name = new_name("replies"),
                          .exchange = "",
                          .exchange_type = "direct",
                          .durable = true,
                          .no_ack = true};
    struct answer a;

    q.routing_key = q.name;
    s->t->ops->declare(s->t, &q, to(&a));
    done_well(&a);
    for (int i = 0; i < 10; i++) {
        publish(s, "", q.name, "m", 0);
    }
    consume(s, q.name, 3);
    await_got(s, 10);
    settle_down(0.1);
    s->t->ops->close(s->t);
    connect_side(s);
    s->t->ops->declare(s->t, &q, to(&a));
    done_well(&a);
    consume(s, q.name, 3);
    settle_down(0.2);
    assert_int_equal(s->n_got, 10);
    free_side(s);
}

static void test_credit_bounds_what_comes(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("credit");

    if (!s->t->ops->set_credit) {
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    for (int i = 0; i < 10; i++) {
        publish(s, "", queue, "m", 0);
    }
    s->t->ops->set_credit(s->t, 2);
    s->ack_at_once = true; /* no unsettled message holds anything up */
    consume(s, queue, 4);
    await_got(s, 2);
    settle_down(0.2);
    assert_int_equal(s->n_got, 2);
    s->t->ops->set_credit(s->t, 0);
    settle_down(0.1);
    assert_int_equal(s->n_got, 2);
    s->t->ops->set_credit(s->t, 1);
    await_got(s, 3);
    settle_down(0.1);
    assert_int_equal(s->n_got, 3);
    s->ack_at_once = false;
    s->t->ops->set_credit(s->t, 100);
    await_got(s, 7);
    settle_down(0.1);
    assert_int_equal(s->n_got, 7); /* the prefetch count holds as well */
    free_side(s);
}

static void test_every_queue_is_served(void **state)
{
    struct side *s = new_side();
    const char *full = new_name("full"), *other = new_name("other");
    bool found = false;

    declare(s, full, "", "direct", full);
    declare(s, other, "", "direct", other);
    for (int i = 0; i < 20; i++) {
        publish(s, "", full, "full", 0);
    }
    publish(s, "", other, "other", 0);
    s->ack_at_once = true;
    consume(s, full, 1);
    consume(s, other, 1);
    await_got(s, 21);
    for (size_t i = 0; i < 10; i++) {
        found = found || strcmp(s->got[i].queue, other) == 0;
    }
    assert_true(found);
    free_side(s);
}

static void test_two_consumers_share_a_queue(void **state)
{
    struct side *a = new_side(), *b = new_side();
    const char *queue = new_name("shared");

    declare(a, queue, "", "direct", queue);
    a->ack_at_once = b->ack_at_once = true;
    consume(a, queue, 2);
    consume(b, queue, 2);
    for (int i = 0; i < 200; i++) {
        publish(a, "", queue, "m", 0);
    }
    while (a->n_got + b->n_got < 200) {
        pass();
    }
    settle_down(0.2);
    assert_int_equal(a->n_got + b->n_got, 200);
    assert_int_equal(count(a, queue), 0);
    free_side(a);
    free_side(b);
}

static void test_many_messages_in_one_pass(void **state)
{
    enum { N = 3000 };
    struct side *s = new_side();
    const char *queue = new_name("many");
    struct cel_envelope *env = message("", queue, "m", 0);
    struct answer *answers = calloc(N, sizeof *answers);

    declare(s, queue, "", "direct", queue);
    for (int i = 0; i < N; i++) {
        s->t->ops->publish(s->t, "", queue, env, to(&answers[i]));
    }
    for (int i = 0; i < N; i++) {
        done_well(&answers[i]);
    }
    s->ack_at_once = true;
    consume(s, queue, 1000);
    await_got(s, N);
    settle_down(0.1);
    assert_int_equal(s->n_got, N);
    assert_int_equal(count(s, queue), 0);
    cel_envelope_free(env);
    free(answers);
    free_side(s);
}

static void test_a_waiting_consumer_is_woken_soon(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("idle");
    double start, worst = 0;

    declare(s, queue, "", "direct", queue);
    s->ack_at_once = true;
    consume(s, queue, 4);
    settle_down(0.3);
    for (size_t i = 0; i < 20; i++) {
        start = cel_clock_mono();
        publish(s, "", queue, "m", 0);
        await_got(s, i + 1);
        worst = cel_clock_mono() - start > worst ? cel_clock_mono() - start : worst;
        settle_down(0.02);
    }
    assert_true(worst < 1.0); /* and not the interval of some poll */
    free_side(s);
}

static void test_cancel_ends_the_flow(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("cancel");

    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "first", 0);
    consume(s, queue, 1);
    await_got(s, 1);
    assert_int_equal(s->t->ops->cancel(s->t, queue, NULL), CELERY_OK);
    publish(s, "", queue, "second", 0);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    settle_down(0.2);
    assert_int_equal(s->n_got, 1);
    assert_int_equal(count(s, queue), 1);
    consume(s, queue, 1);
    await_got(s, 2);
    free_side(s);
}

static void test_close_inside_delivered(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("inside");

    declare(s, queue, "", "direct", queue);
    for (int i = 0; i < 5; i++) {
        publish(s, "", queue, "m", 0);
    }
    s->close_at_once = true;
    consume(s, queue, 5);
    await_got(s, 1);
    settle_down(0.1);
    assert_int_equal(s->n_got, 1);
    assert_int_equal(s->lost, 0);
    free_side(s);
}

/* ---- settling ---- */

static void test_a_delivery_is_settled_once(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("once");

    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "m", 0);
    consume(s, queue, 1);
    await_got(s, 1);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    assert_int_equal(ack(s, s->got[0].tag), 0);
    assert_int_equal(reject(s, s->got[0].tag, true, false, NULL, 0), 0);
    assert_int_equal(ack(s, 12345678901u), 0);
    assert_int_equal(count(s, queue), 0);
    free_side(s);
}

static void test_reject_puts_at_the_end_of_the_line(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("requeue");

    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "first", 0);
    publish(s, "", queue, "second", 0);
    consume(s, queue, 1);
    await_got(s, 1);
    assert_int_equal(reject(s, s->got[0].tag, true, false, "crashes", 2), 1);
    await_got(s, 2);
    assert_body(&s->got[1], "second");
    ack(s, s->got[1].tag);
    await_got(s, 3);
    assert_body(&s->got[2], "first");
    assert_true(s->got[2].redelivered);
    assert_int_equal(
        cel_node_int(cel_envelope_header(s->got[2].envelope, CEL_SLICE("crashes")), -1),
        2);
    free_side(s);
}

static void test_reject_to_the_front_keeps_priority(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("front");

    if (sqs) { /* it has no such place */
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "a", 6);
    publish(s, "", queue, "b", 6);
    publish(s, "", queue, "c", 9);
    consume(s, queue, 1);
    await_got(s, 1);
    assert_int_equal(reject(s, s->got[0].tag, true, true, NULL, 0), 1);
    await_got(s, 2);
    assert_body(&s->got[1], "a");
    ack(s, s->got[1].tag);
    await_got(s, 3);
    assert_body(&s->got[2], "b");
    free_side(s);
}

static int64_t count_start(struct side *s, uint64_t tag, int64_t most)
{
    struct answer a;

    s->t->ops->count_start(s->t, tag, most, to(&a));
    return done_well(&a);
}

/* One whose messages come back soon after it is gone. */
static struct side *brief_side(const char *queue)
{
    struct side *s = calloc(1, sizeof *s);

    assert_int_equal(cel_transport_new(loop, &url, 1, NULL, &events, s, &s->t, NULL), 0);
    s->t->lease_seconds = 1;
    connect_side(s);
    declare(s, queue, "", "direct", queue);
    return s;
}

/* The only message of the queue is not settled: another gets it. */
static struct side *lose_side(struct side *give_side, const char *queue)
{
    struct side *s = brief_side(queue);

    free_side(give_side);
    consume(s, queue, 4);
    await_got(s, 1);
    assert_true(s->got[0].redelivered);
    return s;
}

static void test_starts_are_counted_over_deliveries(void **state)
{
    const char *queue = new_name("starts");
    struct side *s = brief_side(queue);

    publish(s, "", queue, "m", 0);
    consume(s, queue, 4);
    await_got(s, 1);
    assert_int_equal(count_start(s, s->got[0].tag, 3), 0);
    assert_int_equal(count_start(s, s->got[0].tag, 3), 0); /* once for a delivery */
    for (int64_t n = 1; n < 3; n++) {
        s = lose_side(s, queue);
        assert_int_equal(count_start(s, s->got[0].tag, 1), n); /* too many: only asked */
        assert_int_equal(count_start(s, s->got[0].tag, 3), n);
    }
    s = lose_side(s, queue);
    assert_int_equal(count_start(s, s->got[0].tag, 3), 3);
    assert_int_equal(count_start(s, s->got[0].tag, 3), 3);
    if (sqs) { /* it counts receipts */
        assert_int_equal(ack(s, s->got[0].tag), 1);
        assert_int_equal(count_start(s, s->got[0].tag, 9), -1);
        free_side(s);
        return;
    }
    /* Not started here: it goes back with its count. */
    assert_int_equal(reject(s, s->got[0].tag, true, true, NULL, 0), 1);
    await_got(s, 2);
    assert_int_equal(count_start(s, s->got[1].tag, 9), 3);
    /* Started here, and ended: it begins anew. */
    assert_int_equal(reject(s, s->got[1].tag, true, true, NULL, 0), 1);
    await_got(s, 3);
    assert_int_equal(count_start(s, s->got[2].tag, 9), 0);
    assert_int_equal(ack(s, s->got[2].tag), 1);
    assert_int_equal(count_start(s, s->got[2].tag, 9), -1);
    free_side(s);
}

static void test_reject_without_requeue_removes(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("drop");

    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "m", 0);
    consume(s, queue, 1);
    await_got(s, 1);
    assert_int_equal(reject(s, s->got[0].tag, false, false, NULL, 0), 1);
    settle_down(0.1);
    assert_int_equal(count(s, queue), 0);
    assert_int_equal(s->n_got, 1);
    free_side(s);
}

static void test_park_removes_and_keeps(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("park");
    struct answer a;

    if (!s->t->ops->park) {
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "m", 0);
    consume(s, queue, 1);
    await_got(s, 1);
    s->t->ops->park(s->t, s->got[0].tag, "no reason", to(&a));
    assert_int_equal(done_well(&a), 1);
    assert_int_equal(ack(s, s->got[0].tag), 0);
    assert_int_equal(count(s, queue), 0);
    free_side(s);
}

/* How many messages stand in the dead-letter list of a queue. */
static int64_t parked(struct side *s, const char *queue)
{
    char name[80];

    if (!server && !rabbit && !sqs && !files) {
        return (int64_t)cel_memory_parked("contract", queue);
    }
    snprintf(name, sizeof name, "%s.celery-c.dead", queue);
    return count(s, name);
}

static void test_bury_keeps_what_was_settled_already(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("bury");
    struct cel_envelope *bytes = message("", queue, "", 0);
    struct answer a;

    if (!s->t->ops->bury) {
        cel_envelope_free(bytes);
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "m", 0);
    consume(s, queue, 1);
    await_got(s, 1);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    s->t->max_dead = 2;
    for (int i = 1; i <= 3; i++) {
        s->t->ops->bury(s->t, queue, s->got[0].envelope, "no \"reason\"\n", to(&a));
        done_well(&a);
        assert_int_equal(parked(s, queue), i < 3 || sqs ? i : 2); /* it trims nothing */
    }
    bytes->raw = cel_slice("a\0b", 3);
    bytes->body = CEL_SLICE_NULL;
    s->t->ops->bury(s->t, queue, bytes, "bytes", to(&a));
    done_well(&a);
    assert_int_equal(count(s, queue), 0);
    s->t->ops->close(s->t);
    s->t->ops->bury(s->t, queue, bytes, "closed", to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ECLOSED);
    cel_envelope_free(bytes);
    free_side(s);
}

static void test_malformed_messages_do_not_stop_the_flow(void **state)
{
    static const char *const bad[] = {"no json", "7", "[]",
                                      "{}",      "",  "{\"properties\": 1}"};
    struct side *s = new_side();
    const char *queue = new_name("poison");
    struct answer a;
    size_t n = sizeof bad / sizeof *bad;

    if (rabbit || sqs) { /* in frames, or base64: tests/wire, tests/unit/transport */
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    for (size_t i = 0; i < n; i++) {
        push_raw(queue, cel_slice_of(bad[i]));
    }
    publish(s, "", queue, "good", 0);
    consume(s, queue, 0);
    await_got(s, n + 1);
    for (size_t i = 0; i < n; i++) {
        assert_true(s->got[i].malformed);
        assert_true(s->got[i].why[0]);
        assert_true(cel_slice_is(s->got[i].envelope->raw, bad[i]));
        s->t->ops->park(s->t, s->got[i].tag, s->got[i].why, to(&a));
        assert_int_equal(done_well(&a), 1);
    }
    assert_body(&s->got[n], "good");
    assert_int_equal(ack(s, s->got[n].tag), 1);
    assert_int_equal(count(s, queue), 0);
    free_side(s);
}

/* ---- exchanges and queues ---- */

static void test_direct_and_topic_exchanges_route(void **state)
{
    struct side *s = new_side();
    const char *direct = new_name("direct"), *topic = new_name("topic");
    const char *one = new_name("one"), *two = new_name("two"), *all = new_name("all");

    declare(s, one, direct, "direct", "one");
    declare(s, two, topic, "topic", "task.*.two");
    declare(s, all, topic, "topic", "task.#");
    publish(s, direct, "one", "m", 0);
    if (!rabbit &&
        !sqs) { /* there it is an error: test_what_no_queue_takes_is_an_error */
        publish(s, direct, "other", "m", 0);
    }
    publish(s, topic, "task.x.two", "m", 0);
    publish(s, topic, "task.x.y", "m", 0);
    assert_int_equal(count(s, one), 1);
    assert_int_equal(count(s, two), 1);
    assert_int_equal(count(s, all), 2);
    free_side(s);
}

/* To whoever listens; how many do, -1: some. */
static int64_t broadcast(struct side *s, const char *exchange, const char *body)
{
    struct cel_envelope *env = message(exchange, "", body, 0);
    struct answer a;
    int64_t heard;

    env->counted = true;
    s->t->ops->publish(s->t, exchange, "", env, to(&a));
    heard = done_well(&a);
    cel_envelope_free(env);
    return heard;
}

static void test_fanout_reaches_who_listens(void **state)
{
    struct side *s = new_side(), *sender = new_side();
    const char *exchange = new_name("fan"), *queue = new_name("ear");
    const struct cel_queue ear = {.name = queue,
                                  .exchange = exchange,
                                  .exchange_type = "fanout",
                                  .routing_key = "",
                                  .auto_delete = true,
                                  .no_ack = true,
                                  .exchange_transient = true};
    const struct cel_queue mouth = {.name = exchange,
                                    .exchange = exchange,
                                    .exchange_type = "fanout",
                                    .routing_key = "",
                                    .exchange_transient = true,
                                    .exchange_only = true};

    if (!(s->t->ops->flags & CEL_TRANSPORT_FANOUT)) {
        free_side(s);
        free_side(sender);
        return;
    }
    declare_queue(s, &ear);
    declare_queue(sender, &mouth);
    consume(s, queue, 1);
    while (strcmp(s->listening, queue) != 0) {
        pass();
    }
    int64_t heard = broadcast(sender, exchange, "hello");
    assert_true(heard == 1 || heard == -1);
    while (s->broadcasts == 0) {
        pass();
    }
    assert_non_null(strstr(s->broadcast, exchange));
    assert_non_null(strstr(s->broadcast, "hello"));
    s->t->ops->cancel(s->t, queue, NULL);
    settle_down(0.2);
    assert_int_equal(broadcast(sender, exchange, "again"), 0);
    settle_down(0.2);
    assert_int_equal(s->broadcasts, 1);
    free_side(s);
    free_side(sender);
}

static void test_purge_and_count(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("purge");
    struct answer a;

    if (!s->t->ops->purge || !s->t->ops->count) {
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    publish(s, "", queue, "m", 0);
    publish(s, "", queue, "m", 9);
    publish(s, "", queue, "m", 4);
    assert_int_equal(count(s, queue), 3);
    s->t->ops->purge(s->t, queue, to(&a));
    assert_int_equal(done_well(&a), 3);
    while (sqs && count(s, queue) != 0) { /* up to a minute, says Amazon */
    }
    assert_int_equal(count(s, queue), 0);
    free_side(s);
}

static void test_a_deleted_queue_is_gone(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("gone"), *exchange = new_name("x");
    struct answer a;

    declare(s, queue, exchange, "direct", "k");
    publish(s, exchange, "k", "m", 0);
    assert_int_equal(count(s, queue), 1);
    s->t->ops->delete_queue(s->t, queue, to(&a));
    done_well(&a);
    assert_int_equal(count(s, queue), 0);
    s->t->ops->delete_queue(s->t, queue, to(&a)); /* again is harmless */
    done_well(&a);
    declare(s, queue, exchange, "direct", "k");
    publish(s, exchange, "k", "m2", 0);
    assert_int_equal(count(s, queue), 1);
    free_side(s);
}

static void test_declaring_twice_is_harmless(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("twice"), *exchange = new_name("x");

    declare(s, queue, exchange, "direct", "k");
    declare(s, queue, exchange, "direct", "k");
    publish(s, exchange, "k", "m", 0);
    assert_int_equal(count(s, queue), 1);
    free_side(s);
}

static void test_an_unknown_exchange_type_is_refused(void **state)
{
    struct side *s = new_side();
    struct cel_queue q = {.name = "q",
                          .exchange = "x",
                          .exchange_type = rabbit ? "no such" : "headers",
                          .durable = true};
    struct answer a;

    s->t->ops->declare(s->t, &q, to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ENOTSUP);
    free_side(s);
}

/* ---- AMQP alone ---- */

static void test_what_no_queue_takes_is_an_error(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("nowhere");
    struct cel_envelope *env = message("", queue, "m", 0);
    struct answer a;

    if (rabbit) {
        s->t->ops->publish(s->t, "", queue, env, to(&a));
        await(&a);
        assert_int_equal(a.status, CELERY_ENOTSUP);
        env->optional = true;
        s->t->ops->publish(s->t, "", queue, env, to(&a));
        await(&a);
        assert_int_equal(a.status, CELERY_OK);
    }
    cel_envelope_free(env);
    free_side(s);
}

static void test_a_refusal_costs_nothing_else(void **state)
{
    struct side *s = new_side();
    const char *queue = new_name("other"), *none = new_name("none");
    struct cel_queue q = {.name = queue, .exchange = "", .exchange_type = "direct"};
    struct cel_envelope *env = message("", queue, "m", 0);
    struct answer declared, lost, sent[20];

    if (!rabbit) {
        cel_envelope_free(env);
        free_side(s);
        return;
    }
    declare(s, queue, "", "direct", queue);
    consume(s, queue, 40);
    s->t->ops->declare(s->t, &q, to(&declared)); /* now it is not durable */
    for (int i = 0; i < 20; i++) {
        s->t->ops->publish(s->t, "", queue, env, to(&sent[i]));
        if (i == 10) {
            s->t->ops->publish(s->t, none, "x", env, to(&lost)); /* no such exchange */
        }
    }
    for (int i = 0; i < 20; i++) {
        done_well(&sent[i]);
    }
    await(&lost);
    assert_int_not_equal(lost.status, CELERY_OK);
    await(&declared);
    assert_int_equal(declared.status, CELERY_ECONFIG);
    await_got(s, 20);
    for (size_t i = 0; i < s->n_got; i++) {
        assert_int_equal(ack(s, s->got[i].tag), 1);
    }
    assert_int_equal(s->lost, 0);
    cel_envelope_free(env);
    free_side(s);
}

static int set_up(const char *name)
{
    if (strcmp(name, "redis") == 0) {
        if (!redis_server_installed()) {
            return TEST_SKIPPED;
        }
        server = redis_server_start(NULL);
        if (!server) {
            return 1;
        }
        url_text = redis_server_url(server);
    } else if (strcmp(name, "amqp") == 0) {
        const struct rabbit_server_options options = {.shared = true};

        if (!rabbit_server_installed()) {
            return TEST_SKIPPED;
        }
        rabbit = rabbit_server_start(&options);
        if (!rabbit) {
            return 1;
        }
        url_text = rabbit_server_url(rabbit);
    } else if (strcmp(name, "sqs") == 0) {
        url_text = getenv("CELERY_TEST_SQS"); /* tests/support/sqs.py */
        sqs = true;
        if (!url_text) {
            return TEST_SKIPPED;
        }
    } else if (strcmp(name, "filesystem") == 0) {
        files = true;
        url_text = "filesystem://";
        if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("data_in", 0700) < 0 ||
            symlink("data_in", "data_out") < 0) {
            return 1;
        }
    } else {
        url_text = "memory://contract";
    }
    return cel_url_parse(url_text, &url, NULL) < 0 || cel_loop_new(&loop, NULL) < 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_names_what_this_build_has),
        cmocka_unit_test(test_close_twice_is_harmless),
        cmocka_unit_test(test_calls_on_a_closed_transport_fail),
        cmocka_unit_test(test_close_ends_pending_operations),
        cmocka_unit_test(test_unsettled_messages_survive_a_reconnect),
        cmocka_unit_test(test_a_message_arrives_as_it_was_sent),
        cmocka_unit_test(test_messages_keep_their_order),
        cmocka_unit_test(test_priorities_decide_who_comes_first),
        cmocka_unit_test(test_prefetch_is_never_exceeded),
        cmocka_unit_test(test_what_needs_no_ack_is_settled),
        cmocka_unit_test(test_credit_bounds_what_comes),
        cmocka_unit_test(test_every_queue_is_served),
        cmocka_unit_test(test_two_consumers_share_a_queue),
        cmocka_unit_test(test_many_messages_in_one_pass),
        cmocka_unit_test(test_a_waiting_consumer_is_woken_soon),
        cmocka_unit_test(test_cancel_ends_the_flow),
        cmocka_unit_test(test_close_inside_delivered),
        cmocka_unit_test(test_a_delivery_is_settled_once),
        cmocka_unit_test(test_reject_puts_at_the_end_of_the_line),
        cmocka_unit_test(test_reject_to_the_front_keeps_priority),
        cmocka_unit_test(test_starts_are_counted_over_deliveries),
        cmocka_unit_test(test_reject_without_requeue_removes),
        cmocka_unit_test(test_park_removes_and_keeps),
        cmocka_unit_test(test_bury_keeps_what_was_settled_already),
        cmocka_unit_test(test_malformed_messages_do_not_stop_the_flow),
        cmocka_unit_test(test_direct_and_topic_exchanges_route),
        cmocka_unit_test(test_fanout_reaches_who_listens),
        cmocka_unit_test(test_purge_and_count),
        cmocka_unit_test(test_a_deleted_queue_is_gone),
        cmocka_unit_test(test_declaring_twice_is_harmless),
        cmocka_unit_test(test_an_unknown_exchange_type_is_refused),
        cmocka_unit_test(test_what_no_queue_takes_is_an_error),
        cmocka_unit_test(test_a_refusal_costs_nothing_else),
    };
    int failed = set_up(argc > 1 ? argv[1] : "memory");

    if (failed == 0) {
        failed =
            cmocka_run_group_tests_name(argc > 1 ? argv[1] : "memory", tests, NULL, NULL);
    }
    cel_loop_free(loop);
    cel_url_free(url);
    redis_server_stop(server);
    rabbit_server_stop(rabbit);
    if (files) {
        char command[64];
        snprintf(command, sizeof command, "rm -r %s", folder);
        failed += system(command);
    }
    return failed;
}
