/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Redis transport on a private server: what kombu sees of us and we of kombu, and that no
 * message is lost.  `redis_transport kill` runs the long part.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "message/envelope_json.h"
#include "net/redis_conn.h"
#include "redis_server.h"
#include "transport/redis_dead.h"
#include "transport/redis_state.h"
#include "transport/transport.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 20, MAX_GOT = 4096 };

static struct cel_loop *loop;
static struct redis_server *server;
static struct cel_url *url;
static struct cel_redis *probe; /* looks at the server from outside */
static bool probe_open;

/* ---- the outside view ---- */

struct view {
    bool done;
    int64_t number;
    size_t size;
    char text[8][4096]; /* the reply, or its elements */
};

static void copy(char *to, struct cel_slice text)
{
    size_t n = text.len < 4095 ? text.len : 4095;

    memcpy(to, text.data ? text.data : "", n);
    to[n] = 0;
}

static void on_viewed(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct view *v = ctx;

    v->done = true;
    v->number = cel_resp_int(reply);
    v->size = cel_resp_size(reply);
    copy(v->text[0], cel_resp_text(reply));
    for (size_t i = 0; i < v->size && i < 8; i++) {
        copy(v->text[i], cel_resp_text(cel_resp_at(reply, i)));
    }
}

static struct view *view(void)
{
    static struct view views[4]; /* texts of earlier ones may be asked with */
    static unsigned n;
    struct view *v = &views[n++ % 4];

    *v = (struct view){0};
    return v;
}

static void pass(void)
{
    assert_int_equal(cel_loop_pass(loop, 0.05), CELERY_OK);
}

static struct view *asked;
#define ASK(...) \
    (asked = view(), answered(cel_redis_commandf(probe, on_viewed, asked, __VA_ARGS__)))

static struct view *answered(celery_status status)
{
    struct view *v = asked;

    assert_int_equal(status, CELERY_OK);
    while (!v->done) {
        pass();
    }
    return v;
}

static void on_probe_open(void *ctx)
{
    probe_open = true;
}

static void on_probe_closed(void *ctx, const celery_error *why)
{
    probe = cel_redis_free(probe);
    probe_open = false;
}

static void open_probe(void)
{
    static const struct cel_redis_events events = {.opened = on_probe_open,
                                                   .closed = on_probe_closed};
    static const struct cel_redis_options options = {0};

    assert_int_equal(cel_redis_open(loop, &url, 1, &options, &events, NULL, &probe, NULL),
                     0);
    while (!probe_open) {
        pass();
    }
}

/* ---- a transport and what it told ---- */

struct side {
    struct cel_transport *t;
    struct cel_arena options;
    struct cel_delivery got[MAX_GOT];
    size_t n_got;
    int lost;
    celery_error why;
    int taken;
};

struct answer {
    bool done;
    celery_status status;
    int64_t value;
};

static void on_done(void *ctx, const celery_error *err, int64_t value)
{
    *(struct answer *)ctx = (struct answer){true, err ? err->status : CELERY_OK, value};
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
    s->got[s->n_got++] = *d;
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct side *s = ctx;

    s->lost++;
    s->why = *why;
    print_message("lost: %s\n", why->message);
}

static void on_taken(void *ctx, uint64_t tag)
{
    ((struct side *)ctx)->taken++;
}

static const struct cel_transport_events events = {
    .delivered = on_delivered, .lost = on_lost, .taken = on_taken};

static void settle_down(double seconds)
{
    for (double end = cel_clock_mono() + seconds; cel_clock_mono() < end;) {
        cel_loop_pass(loop, 0.02);
    }
}

static struct answer *await(struct answer *a)
{
    for (double end = cel_clock_mono() + PATIENCE; !a->done;) {
        assert_true(cel_clock_mono() < end);
        pass();
    }
    return a;
}

static void await_got(struct side *s, size_t n)
{
    for (double end = cel_clock_mono() + PATIENCE; s->n_got < n;) {
        assert_true(cel_clock_mono() < end);
        pass();
    }
}

/* A sweep forgets the score of what it has put back one step later, an idle side its own. */
static void await_no_scores(void)
{
    for (double end = cel_clock_mono() + PATIENCE;
         ASK("EXISTS unacked.celery-c.held")->number > 0;) {
        assert_true(cel_clock_mono() < end);
        pass();
    }
}

static struct side *new_side_at(struct cel_url **at, const char *options)
{
    struct side *s = calloc(1, sizeof *s);
    struct cel_node *node = NULL;
    celery_error err = {0};
    struct answer a;

    if (options) {
        assert_int_equal(
            cel_json_parse(&s->options, cel_slice_of(options), NULL, &node, NULL), 0);
    }
    if (cel_transport_new(loop, at, 1, node, &events, s, &s->t, &err) < 0) {
        fail_msg("%s", err.message);
    }
    s->t->ops->connect(s->t, 0, to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    return s;
}

static struct side *new_side(const char *options)
{
    return new_side_at(&url, options);
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
    cel_arena_fini(&s->options);
    free(s);
}

static void consume(struct side *s, const char *queue, unsigned prefetch)
{
    assert_int_equal(s->t->ops->set_prefetch(s->t, prefetch), CELERY_OK);
    assert_int_equal(s->t->ops->consume(s->t, queue, NULL), CELERY_OK);
}

static void start_publish(struct side *s, const char *queue, const char *body,
                          int priority, struct answer *a)
{
    struct cel_envelope *env = cel_envelope_new();

    env->content_type = CEL_SLICE("application/json");
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = cel_slice_of(body);
    env->exchange = CEL_SLICE("");
    env->routing_key = cel_slice_of(queue);
    env->delivery_mode = 2;
    env->priority = priority;
    s->t->ops->publish(s->t, "", queue, env, to(a));
    cel_envelope_free(env);
}

static void publish(struct side *s, const char *queue, const char *body, int priority)
{
    struct answer a;

    start_publish(s, queue, body, priority, &a);
    assert_int_equal(await(&a)->status, CELERY_OK);
}

static void publish_large(struct side *s, const char *queue, size_t len)
{
    char *body = malloc(len + 1);

    memset(body, 'x', len);
    body[len] = 0;
    publish(s, queue, body, 0);
    free(body);
}

static void connect_again(struct side *s)
{
    struct answer a;

    s->t->ops->connect(s->t, 0, to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
}

static int64_t ack(struct side *s, uint64_t tag)
{
    struct answer a;

    s->t->ops->ack(s->t, tag, to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    return a.value;
}

static void ack_all(struct side *s)
{
    for (size_t i = 0; i < s->n_got; i++) {
        assert_int_equal(ack(s, s->got[i].tag), 1);
    }
    forget_got(s);
}

/*
 * Nothing is left but leases, which expire, bindings, and with a global_keyprefix the mutex that
 * kombu 5.2 does not find again.
 */
static void assert_nothing_left(void)
{
    static const char script[] =
        "local left = {} "
        "for _, key in ipairs(redis.call('KEYS', '*')) do "
        "  if not (string.find(key, '.celery-c.lease.', 1, true) and "
        "      redis.call('TTL', key) > 0) and "
        "      not string.find(key, '_kombu.', 1, true) and key ~= 'pre:unacked_mutex' then "
        "    left[#left + 1] = key "
        "  end "
        "end "
        "return table.concat(left, ' ')";

    settle_down(0.1);
    assert_string_equal(ASK("EVAL %s 0", script)->text[0], "");
    ASK("FLUSHALL");
}

/* ---- Python ---- */

static const char python_head[] =
    "import json, os, sys, time\n"
    "from kombu import Connection, Queue, Exchange\n"
    "conn = Connection(sys.argv[1], transport_options=json.loads(sys.argv[2]))\n"
    "channel = conn.default_channel\n"
    "client = channel.client\n";

/* Runs a script with Debian's kombu; false when there is none. */
static bool python(const char *options, const char *text, char *ret_out, size_t size)
{
    char path[] = "/tmp/redis-transport-XXXXXX", command[600];
    int fd = mkstemp(path);
    FILE *pipe;
    size_t n;

    assert_true(fd >= 0);
    assert_true(write(fd, python_head, sizeof python_head - 1) > 0);
    assert_true(write(fd, text, strlen(text)) > 0);
    close(fd);
    snprintf(command, sizeof command,
             "/usr/bin/python3 %s redis://127.0.0.1:%d/0 '%s' 2>&1", path,
             redis_server_port(server), options);
    pipe = popen(command, "r");
    n = fread(ret_out, 1, size - 1, pipe);
    ret_out[n] = 0;
    pclose(pipe);
    unlink(path);
    return !strstr(ret_out, "No module named");
}

/* ---- kombu and we ---- */

static void test_kombu_restores_what_we_claimed(void **state)
{
    struct side *s = new_side("{\"visibility_timeout\": 4}");
    char out[20000];

    publish(s, "celery", "zero", 0);
    publish(s, "celery", "five", 5);
    consume(s, "celery", 10);
    await_got(s, 2);
    forget_got(s);
    if (!python("{}",
                "for tag in client.zrange('unacked_index', 0, -1):\n"
                "    channel.qos.restore_by_tag(tag)\n"
                "assert client.zcard('unacked_index') == 0\n"
                "assert client.hlen('unacked') == 0\n"
                "print('restored', end='')\n",
                out, sizeof out)) {
        free_side(s);
        skip();
    }
    assert_string_equal(out, "restored");
    await_got(s, 2);
    assert_true(s->got[0].redelivered);
    assert_true(s->got[1].redelivered);
    ack_all(s);
    while (s->taken < 2) {
        pass();
    }
    free_side(s);
    assert_nothing_left();
}

static void test_the_entries_are_those_of_kombu(void **state)
{
    struct side *s = new_side(NULL);
    char ours[4096], out[4000];

    if (!python("{}",
                "from celery import Celery\n"
                "app = Celery(broker=sys.argv[1])\n"
                "app.send_task('t.add', (2, 3), task_id='x')\n"
                "print(client.lindex('celery', 0).decode(), end='')\n",
                out, sizeof out)) {
        free_side(s);
        skip();
    }
    consume(s, "celery", 1);
    await_got(s, 1);
    assert_true(cel_slice_is(s->got[0].envelope->raw, out));
    snprintf(ours, sizeof ours, "[%s, \"\", \"celery\"]", out);
    assert_string_equal(ASK("HVALS unacked")->text[0], ours);
    assert_true(
        cel_slice_is(s->got[0].envelope->delivery_tag, ASK("HKEYS unacked")->text[0]));
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

/* Both restore one message of real Celery: the bytes must be the same. */
static void test_we_restore_as_kombu_does(void **state)
{
    struct side *s;
    char theirs[20000], out[20000];

    if (!python(
            "{}",
            "from celery import Celery\n"
            "app = Celery(broker=sys.argv[1])\n"
            "app.send_task('t.add', ('\\xe9\\ud83d\\ude00', 3), task_id='x', priority=6)\n"
            "key = 'celery\\x06\\x166'\n"
            "raw = client.lindex(key, 0)\n"
            "q = Queue('celery', Exchange(''), 'celery')\n"
            "m = channel.basic_get('celery')\n"
            "assert m is not None\n"
            "tag = client.zrange('unacked_index', 0, -1)[0]\n"
            "value = client.hget('unacked', tag)\n"
            "channel.qos.restore_by_tag(tag)\n"
            /* 5.2 forgets the priority and restores to the bare queue */
            "print((client.rpop(key) or client.rpop('celery')).decode(), end='')\n"
            "client.hset('unacked', tag, value)\n"
            "client.zadd('unacked_index', {tag: time.time() - 4000})\n"
            "sys.stdout.flush()\n"
            "os._exit(0)\n",
            theirs, sizeof theirs)) {
        skip();
    }
    assert_true(theirs[0] == '{');
    snprintf(out, sizeof out, "%s", theirs);
    s = new_side(NULL);
    consume(s, "celery", 1);
    await_got(s, 1);
    assert_true(s->got[0].redelivered);
    if (!cel_slice_is(s->got[0].envelope->raw, theirs)) {
        fail_msg("\n%s\n%.*s", theirs, (int)s->got[0].envelope->raw.len,
                 s->got[0].envelope->raw.data);
    }
    assert_int_equal(s->got[0].envelope->priority, 6);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_keyprefix_and_bindings_are_those_of_kombu(void **state)
{
    static const char options[] = "{\"global_keyprefix\": \"pre:\"}";
    struct side *s = new_side(options);
    struct cel_queue q = {.name = "news",
                          .exchange = "papers",
                          .exchange_type = "topic",
                          .routing_key = "uk.*.#"};
    char out[20000], theirs[4096];
    struct answer a;

    s->t->ops->declare(s->t, &q, to(&a));
    await(&a);
    snprintf(theirs, sizeof theirs, "%s",
             ASK("SMEMBERS pre:_kombu.binding.papers")->text[0]);
    ASK("FLUSHALL");
    if (!python(
            options,
            "q = Queue('news', Exchange('papers', 'topic'), 'uk.*.#')(channel)\n"
            "q.declare()\n"
            "p = conn.Producer()\n"
            "p.publish({'a': 1}, exchange='papers', routing_key='uk.x.y')\n"
            "print(client.smembers('_kombu.binding.papers').pop().decode(), end='')\n",
            out, sizeof out)) {
        free_side(s);
        skip();
    }
    assert_string_equal(out, theirs);
    consume(s, "news", 1);
    await_got(s, 1);
    assert_int_equal(ASK("HLEN pre:unacked")->number, 1);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

/* ---- what must not be lost ---- */

static int64_t count_start(struct side *s, uint64_t tag)
{
    struct answer a;

    s->t->ops->count_start(s->t, tag, 3, to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    return a.value;
}

static void test_counted_starts_leave_no_key(void **state)
{
    struct side *s = new_side(NULL);

    consume(s, "q", 4);
    publish(s, "q", "{}", 0);
    await_got(s, 1);
    assert_int_equal(count_start(s, s->got[0].tag), 0);
    assert_int_equal(ASK("EVAL %s 0", "return #redis.call('KEYS', '*.starts.*')")->number,
                     1);
    /* Whatever becomes of the message, its count does not stay for ever. */
    assert_true(ASK("EVAL %s 0", "return redis.call('TTL', redis.call('KEYS', "
                                 "'*.starts.*')[1])")
                    ->number > 3600);
    ack_all(s);
    forget_got(s);

    /* Counted by one that died, and settled by one that did not count. */
    publish(s, "q", "{}", 0);
    await_got(s, 1);
    assert_int_equal(count_start(s, s->got[0].tag), 0);
    s->t->ops->reject(s->t, s->got[0].tag, true, true, NULL, 0, (struct cel_done){0});
    await_got(s, 2);
    assert_true(s->got[1].redelivered);
    assert_int_equal(ASK("EVAL %s 0",
                         "return redis.call('HSET', 'unacked.celery-c.starts.' .. "
                         "redis.call('HKEYS', 'unacked')[1], 'n', 2)")
                         ->number,
                     1);
    ack(s, s->got[1].tag);
    free_side(s);
    assert_nothing_left();
}

static int64_t defer(struct side *s, uint64_t tag, double seconds)
{
    struct answer a;

    s->t->ops->defer(s->t, tag, cel_clock_wall() + seconds, to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    return a.value;
}

/* Held by nobody, and restored by whoever restores what is older than the time-out. */
static void test_a_deferred_message_comes_back_in_time(void **state)
{
    struct side *s = new_side("{\"visibility_timeout\": 4}");

    consume(s, "q", 1);
    publish(s, "q", "later", 0);
    publish(s, "q", "now", 0);
    await_got(s, 1);
    assert_int_equal(defer(s, s->got[0].tag, 3600), 1);
    assert_int_equal(ack(s, s->got[0].tag), 0); /* it is not ours */
    await_got(s, 2);                            /* and takes no room */
    assert_true(cel_slice_is(s->got[1].envelope->body, "now"));
    assert_int_equal(ack(s, s->got[1].tag), 1);
    settle_down(2.5); /* some rounds */
    assert_int_equal(s->n_got, 2);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    assert_int_equal(ASK("EXISTS unacked.celery-c.held")->number, 0);
    /* kombu takes everything older than its time-out: that will be a quarter before. */
    double due =
        strtod(ASK("EVAL %s 0", "return redis.call('ZRANGE', 'unacked_index', 0, 0, "
                                "'WITHSCORES')[2]")
                   ->text[0],
               NULL) +
        4;
    double wait = due - cel_clock_wall();
    assert_true(wait > 3560 && wait < 3600);

    publish(s, "q", "soon", 0);
    await_got(s, 3);
    assert_int_equal(defer(s, s->got[2].tag, 2), 1);
    await_got(s, 4);
    assert_true(s->got[3].redelivered);
    assert_true(cel_slice_is(s->got[3].envelope->body, "soon"));
    assert_int_equal(ack(s, s->got[3].tag), 1);
    ASK("DEL unacked unacked_index");
    free_side(s);
    assert_nothing_left();
}

static void test_two_messages_with_one_tag_are_both_delivered(void **state)
{
    struct side *s = new_side(NULL);
    struct cel_slice raw;

    publish(s, "q", "one", 0);
    consume(s, "q", 1);
    await_got(s, 1);
    raw = s->got[0].envelope->raw;
    cel_redis_commandf(probe, NULL, NULL, "LPUSH q %b", &raw); /* held already */
    cel_redis_commandf(probe, NULL, NULL, "LPUSH q %b", &raw); /* and twice in a claim */
    cel_redis_commandf(probe, NULL, NULL, "LPUSH q %b", &raw);
    s->t->ops->set_prefetch(s->t, 10);
    await_got(s, 4);
    assert_int_equal(ASK("HLEN unacked")->number, 4);
    assert_int_equal(ASK("ZCARD unacked_index")->number, 4);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

/* ---- what is sent to an empty queue that the sender reads ---- */

static struct side *reader_of(const char *queue)
{
    struct side *s = new_side(NULL);

    consume(s, queue, 4);
    settle_down(0.2); /* it waits */
    return s;
}

static void test_a_message_for_ourselves_is_held_at_once(void **state)
{
    struct side *s = reader_of("q");
    char held[4096];

    ASK("CONFIG RESETSTAT");
    publish(s, "q", "one", 3);
    await_got(s, 1);
    assert_null(strstr(ASK("INFO commandstats")->text[0], "cmdstat_lpush"));
    snprintf(held, sizeof held, "[%.*s, \"\", \"q\"]", (int)s->got[0].envelope->raw.len,
             s->got[0].envelope->raw.data);
    assert_string_equal(ASK("HVALS unacked")->text[0], held);
    snprintf(held, sizeof held, "%s", ASK("HKEYS unacked")->text[0]);
    assert_string_equal(ASK("ZRANGE unacked_index 0 -1")->text[0], held);
    assert_int_equal(ASK("EXISTS q")->number, 0);
    ack_all(s);
    publish(s, "other", "two", 0); /* which nobody reads */
    assert_int_equal(ASK("LLEN other")->number, 1);
    ASK("DEL other");
    free_side(s);
    assert_nothing_left();
}

static void test_what_waits_goes_before_a_message_for_ourselves(void **state)
{
    struct side *s = reader_of("q");
    struct cel_slice raw;
    struct answer a;

    publish(s, "q", "early", 0);
    await_got(s, 1);
    raw = s->got[0].envelope->raw;
    assert_int_equal(ack(s, s->got[0].tag), 1);
    /* Both come while nobody may write, and have their turn in this order. */
    ASK("CLIENT PAUSE 300 WRITE");
    cel_redis_commandf(probe, NULL, NULL, "LPUSH q %b", &raw);
    settle_down(0.05);
    start_publish(s, "q", "late", 9, &a);
    assert_int_equal(await(&a)->status, CELERY_OK);
    await_got(s, 3);
    assert_true(cel_slice_is(s->got[1].envelope->body, "early"));
    assert_true(cel_slice_is(s->got[2].envelope->body, "late"));
    assert_int_equal(ack(s, s->got[1].tag), 1);
    assert_int_equal(ack(s, s->got[2].tag), 1);
    free_side(s);
    assert_nothing_left();
}

static void test_a_message_for_ourselves_with_a_tag_that_is_held(void **state)
{
    struct side *s = reader_of("q");
    struct cel_envelope *again = NULL;
    struct answer a;

    publish(s, "q", "one", 0);
    await_got(s, 1);
    assert_int_equal(cel_envelope_read(s->got[0].envelope->raw, &again, NULL), CELERY_OK);
    again->written = true;
    s->t->ops->publish(s->t, "", "q", again, to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    await_got(s, 2);
    assert_int_equal(ASK("HLEN unacked")->number, 2);
    assert_int_equal(ASK("ZCARD unacked_index")->number, 2);
    cel_envelope_free(again);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_an_unanswered_message_for_ourselves_comes_back(void **state)
{
    struct side *s = reader_of("q");
    struct answer a;

    redis_server_signal(server, SIGSTOP);
    start_publish(s, "q", "m", 0, &a);
    settle_down(0.1);
    s->t->ops->close(s->t); /* it is in the server's hands */
    assert_true(a.done);
    assert_true(a.status < 0);
    redis_server_signal(server, SIGCONT);
    connect_again(s);
    settle_down(0.2);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    consume(s, "q", 4);
    await_got(s, 1);
    assert_true(s->got[0].redelivered);
    ack_all(s);
    await_no_scores();
    free_side(s);
    assert_nothing_left();
}

static void test_a_full_server_refuses_a_message_for_ourselves(void **state)
{
    struct side *s = reader_of("q");
    struct answer a;

    ASK("CONFIG SET maxmemory 1");
    start_publish(s, "q", "m", 0, &a);
    assert_int_equal(await(&a)->status, CELERY_ESYSTEM);
    ASK("CONFIG SET maxmemory 0");
    settle_down(0.1);
    assert_int_equal(s->n_got, 0);
    assert_int_equal(s->lost, 0);
    publish(s, "q", "m", 0);
    await_got(s, 1);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_a_forgotten_script_holds_all_the_same(void **state)
{
    struct side *s = reader_of("q");

    for (size_t i = 0; i < 3; i++) {
        ASK("CONFIG RESETSTAT");
        publish(s, "q", "m", 0);
        await_got(s, i + 1);
        assert_null(strstr(ASK("INFO commandstats")->text[0], "cmdstat_lpush"));
        assert_int_equal(ASK("HLEN unacked")->number, i + 1);
        if (i > 0) {
            ASK("SCRIPT FLUSH");
        }
    }
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_a_message_for_ourselves_that_cannot_be_held_leaves_nothing(void **state)
{
    struct side *s = reader_of("q");
    struct answer a;

    ASK("SET unacked_index text");
    start_publish(s, "q", "m", 0, &a);
    assert_true(await(&a)->status < 0);
    settle_down(0.1);
    assert_int_equal(s->n_got, 0);
    assert_int_equal(ASK("EXISTS unacked q")->number, 0);
    free_side(s);
    ASK("FLUSHALL");
}

static void test_without_transactions_messages_are_pushed(void **state)
{
    struct side *s = reader_of("q");
    struct answer a;

    ASK("ACL SETUSER default -multi");
    start_publish(s, "q", "one", 0, &a);
    assert_true(await(&a)->status < 0);
    while (!s->lost) {
        pass();
    }
    connect_again(s);
    consume(s, "q", 4);
    ASK("CONFIG RESETSTAT");
    publish(s, "q", "two", 0);
    assert_non_null(strstr(ASK("INFO commandstats")->text[0], "cmdstat_lpush"));
    await_got(s, 2); /* what was half done as well */
    ASK("ACL SETUSER default +multi");
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_a_failed_registration_puts_back(void **state)
{
    struct side *s = new_side(NULL);

    publish(s, "q", "one", 0);
    publish(s, "q", "two", 0);
    ASK("SET unacked text");
    consume(s, "q", 10);
    while (!s->lost) {
        pass();
    }
    assert_int_equal(s->lost, 1);
    assert_non_null(strstr(s->why.message, "WRONGTYPE"));
    assert_int_equal(ASK("LLEN q")->number, 2);
    assert_int_equal(ASK("ZCARD unacked_index")->number, 0);
    assert_int_equal(ASK("EXISTS unacked.celery-c.held")->number, 0);
    free_side(s);
    ASK("FLUSHALL");
}

static void test_a_full_server_still_gives_and_registers(void **state)
{
    struct side *s = new_side("{\"visibility_timeout\": 2}");
    struct answer a;

    publish(s, "q", "one", 0);
    publish(s, "q", "two", 0);
    publish(s, "q", "three", 0);
    ASK("CONFIG SET maxmemory 1");
    consume(s, "q", 3);
    await_got(s, 3);
    settle_down(1.5); /* renewals */
    assert_int_equal(s->lost, 0);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    s->t->ops->park(s->t, s->got[1].tag, "why", to(&a));
    assert_int_equal(await(&a)->value, 1);
    s->t->ops->reject(s->t, s->got[2].tag, true, false, NULL, 0, to(&a));
    assert_int_equal(await(&a)->value, 1);
    await_got(s, 4);
    assert_int_equal(ack(s, s->got[3].tag), 1);
    ASK("CONFIG SET maxmemory 0");
    ASK("DEL q.celery-c.dead");
    free_side(s);
    assert_nothing_left();
}

static void test_a_too_large_message_is_parked_unread(void **state)
{
    struct side *s = new_side(NULL);
    struct cel_redis_dead dead;
    struct cel_arena arena = {0};
    char *body = calloc(1, 3001);
    struct view *v;
    struct answer a;

    memset(body, 'x', 3000);
    s->t->max_message = 2000;
    publish(s, "q", body, 0);
    publish(s, "q", "small", 0);
    consume(s, "q", 10);
    await_got(s, 2);
    assert_true(s->got[0].malformed);
    assert_non_null(strstr(s->got[0].why, "larger than 2000"));
    assert_true(cel_slice_is(s->got[0].envelope->routing_key, "q"));
    s->t->ops->park(s->t, s->got[0].tag, "x", to(&a));
    assert_int_equal(await(&a)->value, 1);
    assert_int_equal(ack(s, s->got[1].tag), 1);
    v = ASK("LRANGE q.celery-c.dead 0 -1");
    assert_int_equal(v->size, 1);
    assert_true(cel_redis_dead_read(&arena, cel_slice_of(v->text[0]), &dead));
    assert_true(cel_slice_is(dead.queue, "q"));
    assert_true(dead.time > 1.7e9);
    assert_true(cel_slice_starts(dead.raw, CEL_SLICE("{\"body\": \"eHh4")));
    cel_arena_fini(&arena);
    free(body);
    free_side(s);
    ASK("FLUSHALL");
}

static void test_dead_letters_are_bounded(void **state)
{
    struct side *s = new_side(NULL);
    struct cel_slice raw = CEL_SLICE("\xff\n not a message");
    struct view *v;

    s->t->max_dead = 3;
    for (int i = 0; i < 5; i++) {
        cel_redis_commandf(probe, NULL, NULL, "LPUSH q %b", &raw);
    }
    consume(s, "q", 10);
    await_got(s, 5);
    v = ASK("LRANGE q.celery-c.dead 0 -1");
    assert_int_equal(v->size, 3);
    assert_non_null(strstr(v->text[0], "}\n\xff\n not a message"));
    free_side(s);
    ASK("FLUSHALL");
}

/* What is large is not moved by the server's Lua. */
static void test_a_large_message_is_parked_as_it_is(void **state)
{
    static const char same[] =
        "local e = redis.call('LINDEX', 'q.celery-c.dead', 0) "
        "return {e and string.find(e, '\"why\"', 1, true) and 1 or 0, "
        "e and string.sub(e, string.find(e, '\\n', 1, true) + 1) == ARGV[1] and 'same'}";
    struct side *s = new_side(NULL);
    struct cel_slice raw;
    struct answer a;

    publish_large(s, "q", 400000);
    publish_large(s, "q", 400000);
    consume(s, "q", 2);
    await_got(s, 2);
    raw = s->got[0].envelope->raw;
    s->t->ops->park(s->t, s->got[0].tag, "why", to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    assert_int_equal(a.value, 1);
    assert_string_equal(ASK("EVAL %s 0 %b", same, &raw)->text[1], "same");
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    ASK("ZADD unacked_index 1 %b",
        &s->got[1].envelope->delivery_tag); /* somebody's now */
    s->t->ops->park(s->t, s->got[1].tag, "why", to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    assert_int_equal(a.value, 0);
    assert_int_equal(ASK("LLEN q.celery-c.dead")->number, 1);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    free_side(s);
    ASK("FLUSHALL");
}

/* LPUSH is refused then, and the transaction with it. */
static void test_a_full_server_parks_what_is_large(void **state)
{
    struct side *s = new_side(NULL);
    struct answer a;

    publish_large(s, "q", 400000);
    consume(s, "q", 1);
    await_got(s, 1);
    ASK("CONFIG SET maxmemory 1");
    s->t->ops->park(s->t, s->got[0].tag, "why", to(&a));
    assert_int_equal(await(&a)->status, CELERY_OK);
    assert_int_equal(a.value, 1);
    ASK("CONFIG SET maxmemory 0");
    assert_int_equal(ASK("LLEN q.celery-c.dead")->number, 1);
    assert_int_equal(ASK("HLEN unacked")->number, 0);
    free_side(s);
    ASK("DEL q.celery-c.dead");
    assert_nothing_left();
}

/* It is held from the claim on, and comes when its bytes are there. */
static void test_a_large_message_lets_others_by(void **state)
{
    struct side *s = new_side(NULL);

    publish_large(s, "q", 1500000);
    publish(s, "q", "small", 0);
    consume(s, "q", 2);
    await_got(s, 1);
    assert_true(cel_slice_is(s->got[0].envelope->body, "small"));
    assert_int_equal(ASK("HLEN unacked")->number, 2);
    await_got(s, 2);
    assert_int_equal(s->got[1].envelope->body.len, 1500000);
    assert_false(s->got[1].malformed);
    assert_false(s->got[1].redelivered);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_a_large_message_that_was_not_fetched_comes_again(void **state)
{
    struct side *s = new_side(NULL);
    struct cel_redis_transport *r = (struct cel_redis_transport *)s->t;

    publish_large(s, "q", 1500000);
    consume(s, "q", 1);
    while (r->hold.count == 0) {
        pass();
    }
    assert_int_equal(s->n_got, 0); /* claimed, but its bytes are on their way */
    s->t->ops->close(s->t);
    assert_int_equal(r->hold.count, 0);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    connect_again(s);
    consume(s, "q", 1);
    await_got(s, 1);
    assert_true(s->got[0].redelivered);
    assert_int_equal(s->got[0].envelope->body.len, 1500000);
    ack_all(s);
    await_no_scores();
    free_side(s);
    assert_nothing_left();
}

/* ---- ownership ---- */

static void test_the_lease_is_as_long_as_asked(void **state)
{
    static const char script[] =
        "local longest = 0 "
        "for _, key in ipairs(redis.call('KEYS', '*lease.*')) do "
        "  longest = math.max(longest, redis.call('PTTL', key)) "
        "end "
        "return tostring(longest)";
    struct side *s = new_side(NULL);
    double left;

    s->t->lease_seconds = 1.5; /* whole seconds: 2 */
    publish(s, "q", "m", 0);
    consume(s, "q", 1);
    await_got(s, 1);
    settle_down(2.5);
    left = strtod(ASK("EVAL %s 0", script)->text[0], NULL);
    assert_true(left > 1000 && left <= 2000); /* renewed in time, and not for longer */
    free_side(s);
    ASK("FLUSHALL");
}

static void test_held_messages_are_renewed(void **state)
{
    struct side *s = new_side("{\"visibility_timeout\": 1}");
    struct side *other = new_side("{\"visibility_timeout\": 1}");
    char first[4096];

    publish(s, "q", "one", 0);
    consume(s, "q", 10);
    await_got(s, 1);
    snprintf(first, sizeof first, "%s",
             ASK("ZRANGE unacked_index 0 -1 WITHSCORES")->text[1]);
    for (int i = 0; i < 6; i++) { /* a worker that comes sweeps what is too old */
        free_side(other);
        other = new_side("{\"visibility_timeout\": 1}");
        consume(other, "q", 10);
        settle_down(0.5);
    }
    assert_int_equal(other->n_got, 0);
    assert_int_equal(s->taken, 0);
    assert_string_not_equal(first, ASK("ZRANGE unacked_index 0 -1 WITHSCORES")->text[1]);
    assert_int_equal(ASK("HLEN unacked.celery-c.held")->number, 1);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    free_side(s);
    free_side(other);
    assert_nothing_left();
}

static void test_what_was_taken_is_not_settled(void **state)
{
    struct side *s = new_side("{\"visibility_timeout\": 8}");
    const char *tag;

    publish(s, "q", "one", 0);
    publish(s, "q", "two", 0);
    consume(s, "q", 10);
    await_got(s, 2);
    tag = ASK("ZRANGE unacked_index 0 -1")->text[0];
    ASK("ZINCRBY unacked_index 0.25 %s", tag); /* as if claimed by another */
    settle_down(2.5);
    assert_int_equal(s->taken, 1);
    assert_int_equal(ack(s, s->got[0].tag) + ack(s, s->got[1].tag), 1);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    free_side(s);
    ASK("FLUSHALL");
}

static void test_a_late_ack_leaves_the_new_holder_alone(void **state)
{
    struct side *s = new_side(NULL);
    const char *tag;

    publish(s, "q", "one", 0);
    consume(s, "q", 10);
    await_got(s, 1);
    tag = ASK("ZRANGE unacked_index 0 -1")->text[0];
    ASK("ZINCRBY unacked_index 0.25 %s", tag); /* as if claimed by another */
    assert_int_equal(ack(s, s->got[0].tag), 0);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    free_side(s);
    ASK("FLUSHALL");
}

/* As many as are held and settled at once: who counts them alone would not see the one. */
static void test_one_of_many_acks_leaves_the_new_holder_alone(void **state)
{
    struct side *s = new_side(NULL);
    struct answer answers[3];
    char stolen[64];
    int64_t settled = 0;

    publish(s, "q", "one", 0);
    publish(s, "q", "two", 0);
    publish(s, "q", "three", 0);
    consume(s, "q", 10);
    await_got(s, 3);
    snprintf(stolen, sizeof stolen, "%.36s", ASK("ZRANGE unacked_index 1 1")->text[0]);
    ASK("ZINCRBY unacked_index 0.25 %s", stolen); /* as if claimed by another */
    for (size_t i = 0; i < 3; i++) {
        s->t->ops->ack(s->t, s->got[i].tag, to(&answers[i]));
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(await(&answers[i])->status, CELERY_OK);
        settled += answers[i].value;
    }
    assert_int_equal(settled, 2);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    assert_int_equal(ASK("HEXISTS unacked %s", stolen)->number, 1);
    free_side(s);
    ASK("FLUSHALL");
}

/* With more claims on their way than come back full. */
static void test_acks_during_claims_are_all_found(void **state)
{
    struct side *s = new_side(NULL);
    struct answer answers[6];
    size_t n = 0;

    consume(s, "q", 4);
    for (size_t turn = 0; turn < 6; turn++) {
        forget_got(s);
        for (size_t i = 0; i <= turn; i++) {
            publish(s, "q", "m", 0);
        }
        for (n = 0; n <= turn; n++) {
            await_got(s, n + 1);
            s->t->ops->ack(s->t, s->got[n].tag, to(&answers[n]));
        }
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(await(&answers[i])->value, 1);
        }
    }
    free_side(s);
    assert_nothing_left();
}

static void test_what_kombu_held_too_long_comes_back(void **state)
{
    struct side *s = new_side(NULL);
    const char *tag;

    publish(s, "q", "one", 0);
    consume(s, "q", 10);
    await_got(s, 1);
    s->t->ops->close(s->t);
    ASK("DEL unacked.celery-c.held");
    tag = ASK("ZRANGE unacked_index 0 -1")->text[0];
    ASK("ZADD unacked_index 1000 %s", tag);
    ASK("ZADD unacked_index 1001 orphan"); /* kombu's _restore() leaves such */
    ASK("HSET unacked junk no-list");
    ASK("ZADD unacked_index 1002 junk");
    free_side(s);
    s = new_side(NULL);
    consume(s, "q", 10);
    await_got(s, 1);
    assert_true(s->got[0].redelivered);
    assert_int_equal(ASK("ZCARD unacked_index")->number, 1);
    assert_int_equal(ASK("LLEN unacked.celery-c.dead")->number, 1);
    assert_int_equal(ASK("EXISTS unacked_mutex")->number, 0);
    ASK("DEL unacked.celery-c.dead");
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

/* ---- waiting ---- */

static void test_waiting_costs_few_wake_ups(void **state)
{
    struct side *s = new_side(NULL);
    int passes = 0;

    consume(s, "q", 4);
    settle_down(1);
    for (double end = cel_clock_mono() + 4; cel_clock_mono() < end; passes++) {
        cel_loop_pass(loop, end - cel_clock_mono());
    }
    print_message("%d passes in 4 s\n", passes);
    assert_true(passes < 20);
    publish(s, "q", "one", 0);
    await_got(s, 1);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_other_senders_wake_us(void **state)
{
    struct side *s = new_side(NULL), *sender = new_side(NULL);
    double sum = 0;

    consume(s, "q", 4);
    settle_down(0.5);
    for (size_t i = 0; i < 50; i++) {
        double start;

        publish(sender, "q", "one", 0);
        start = cel_clock_mono();
        await_got(s, 1);
        sum += cel_clock_mono() - start;
        ack_all(s);
    }
    print_message("woken after %.0f us on average\n", sum / 50 * 1e6);
    assert_true(sum / 50 < 0.02);
    free_side(s);
    free_side(sender);
    assert_nothing_left();
}

static void test_without_reports_queues_are_polled(void **state)
{
    char text[200];
    struct cel_url *at;
    struct side *s, *sender = new_side(NULL);

    ASK("ACL SETUSER poor on >pw ~* &* +@all -client|tracking");
    snprintf(text, sizeof text, "redis://poor:pw@127.0.0.1:%d/0",
             redis_server_port(server));
    assert_int_equal(cel_url_parse(text, &at, NULL), 0);
    s = new_side_at(&at, NULL);
    consume(s, "q", 4);
    settle_down(0.5);
    for (size_t i = 0; i < 5; i++) {
        publish(sender, "q", "one", 0);
        await_got(s, 1);
        ack_all(s);
    }
    assert_int_equal(s->lost, 0);
    free_side(s);
    free_side(sender);
    cel_url_free(at);
    assert_nothing_left();
}

/* ---- breaking ---- */

static void test_a_killed_connection_is_told_once(void **state)
{
    struct side *s = new_side(NULL);

    publish(s, "q", "one", 0);
    consume(s, "q", 4);
    await_got(s, 1);
    settle_down(0.3);
    ASK("CLIENT KILL TYPE pubsub"); /* the second connection alone */
    settle_down(0.3);
    assert_int_equal(s->lost, 1);
    connect_again(s);
    consume(s, "q", 4);
    settle_down(0.3);
    assert_int_equal(s->n_got, 1);
    assert_int_equal(s->taken, 0);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

/* What was asked for on a connection that breaks can be asked for again on the next. */
static void test_settlements_survive_a_broken_connection(void **state)
{
    struct side *s = new_side(NULL);
    struct answer a[4];

    for (int i = 0; i < 4; i++) {
        publish(s, "q", "m", 0);
    }
    consume(s, "q", 4);
    await_got(s, 4);
    s->t->ops->ack(s->t, s->got[0].tag, to(&a[0]));
    settle_down(0.1);
    assert_int_equal(a[0].value, 1);
    s->t->ops->ack(s->t, s->got[1].tag, to(&a[1]));
    s->t->ops->reject(s->t, s->got[2].tag, true, true, NULL, 0, to(&a[2]));
    s->t->ops->park(s->t, s->got[3].tag, "x", to(&a[3]));
    s->t->ops->close(s->t);
    for (int i = 1; i < 4; i++) {
        assert_true(a[i].done);
        assert_int_equal(a[i].status, CELERY_ECLOSED);
    }
    connect_again(s);
    consume(s, "q", 4);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(ack(s, s->got[i].tag), 1);
    }
    settle_down(0.3);
    assert_int_equal(s->n_got, 4);
    free_side(s);
    assert_nothing_left();
}

/* Sent, executed, and the answer never seen: no second message, no complaint. */
static void test_an_unanswered_ack_is_found_done(void **state)
{
    struct side *s = new_side(NULL);
    struct answer a;

    publish(s, "q", "m", 0);
    consume(s, "q", 4);
    await_got(s, 1);
    settle_down(0.2);
    redis_server_signal(server, SIGSTOP);
    s->t->ops->ack(s->t, s->got[0].tag, to(&a));
    settle_down(0.1);
    s->t->ops->close(s->t);
    assert_int_not_equal(a.status, CELERY_OK);
    redis_server_signal(server, SIGCONT);
    connect_again(s);
    consume(s, "q", 4);
    settle_down(0.3);
    assert_int_equal(s->taken, 0);
    assert_int_equal(ack(s, s->got[0].tag), 0);
    assert_int_equal(s->n_got, 1);
    free_side(s);
    assert_nothing_left();
}

static void test_an_unanswered_renewal_is_no_loss(void **state)
{
    struct side *s = new_side("{\"visibility_timeout\": 2}");

    publish(s, "q", "m", 0);
    consume(s, "q", 4);
    await_got(s, 1);
    redis_server_signal(server, SIGSTOP);
    settle_down(1); /* a renewal is sent */
    s->t->ops->close(s->t);
    redis_server_signal(server, SIGCONT);
    connect_again(s);
    consume(s, "q", 4);
    settle_down(1);
    assert_int_equal(s->taken, 0);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    free_side(s);
    assert_nothing_left();
}

static void test_an_unanswered_claim_comes_back(void **state)
{
    struct side *s = new_side(NULL);

    consume(s, "q", 4);
    settle_down(0.2);
    s->t->ops->close(s->t);
    connect_again(s);
    publish(s, "q", "m", 0);
    redis_server_signal(server, SIGSTOP);
    consume(s, "q", 4);
    settle_down(0.1);
    s->t->ops->close(s->t); /* the claim is in the server's hands */
    redis_server_signal(server, SIGCONT);
    connect_again(s);
    settle_down(0.2);
    assert_int_equal(ASK("HLEN unacked")->number, 1);
    consume(s, "q", 4);
    await_got(s, 1);
    assert_true(s->got[0].redelivered);
    ack_all(s);
    free_side(s);
    assert_nothing_left();
}

static void test_a_stopped_server_is_noticed(void **state)
{
    struct side *s = new_side("{\"socket_timeout\": 1}");
    double start;

    consume(s, "q", 4);
    settle_down(0.3);
    redis_server_signal(server, SIGSTOP);
    start = cel_clock_mono();
    while (!s->lost && cel_clock_mono() < start + PATIENCE) {
        pass();
    }
    redis_server_signal(server, SIGCONT);
    print_message("noticed after %.1f s\n", cel_clock_mono() - start);
    assert_int_equal(s->lost, 1);
    free_side(s);
    ASK("FLUSHALL");
}

/* A peer that accepts and says nothing: the transport's own options win over the setting. */
static double seconds_until_refused(const char *options, double connect_timeout)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct cel_node *node = NULL;
    struct cel_transport *t = NULL;
    struct cel_arena arena = {0};
    struct cel_url *mute = NULL;
    struct answer a;
    char text[64];

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(text, sizeof text, "redis://127.0.0.1:%d/0", ntohs(at.sin_port));
    assert_int_equal(cel_url_parse(text, &mute, NULL), 0);
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(options), NULL, &node, NULL), 0);
    assert_int_equal(cel_transport_new(loop, &mute, 1, node, &events, NULL, &t, NULL), 0);
    t->connect_timeout = connect_timeout;
    double start = cel_clock_mono();
    t->ops->connect(t, 0, to(&a));
    assert_true(await(&a)->status < 0);
    double passed = cel_clock_mono() - start;
    cel_transport_free(t);
    cel_arena_fini(&arena);
    cel_url_free(mute);
    close(fd);
    return passed;
}

static void test_an_attempt_to_connect_has_its_deadline(void **state)
{
    double passed = seconds_until_refused("{}", 0.3);

    assert_true(passed >= 0.29 && passed < 3);
    passed = seconds_until_refused("{\"socket_connect_timeout\": 0.3}", 60);
    assert_true(passed >= 0.29 && passed < 3);
}

static void test_no_second_claim_of_the_same_messages(void **state)
{
    enum { N = 2000 };
    struct side *s = new_side(NULL);
    char body[20];
    bool *seen = calloc(N, sizeof *seen);

    for (int i = 0; i < N; i++) {
        snprintf(body, sizeof body, "%d", i);
        publish(s, i % 2 ? "q" : "p", body, i % 10);
    }
    consume(s, "q", 300);
    consume(s, "p", 300);
    for (int i = 0; i < N; i++) {
        struct cel_slice text;

        await_got(s, 1);
        text = s->got[0].envelope->body;
        snprintf(body, sizeof body, "%.*s", (int)text.len, text.data);
        assert_false(seen[atol(body)]);
        seen[atol(body)] = true;
        s->t->ops->ack(s->t, s->got[0].tag, (struct cel_done){0});
        cel_envelope_free(s->got[0].envelope);
        memmove(s->got, s->got + 1, --s->n_got * sizeof *s->got);
    }
    settle_down(0.3);
    assert_int_equal(s->n_got, 0);
    free(seen);
    free_side(s);
    assert_nothing_left();
}

/* ---- killing ---- */

enum { N_KILLS = 100, N_TASKS = 10000 };

struct ledger {
    unsigned char delivered[N_TASKS];
    unsigned char worked[N_TASKS];
};
static struct ledger *ledger; /* shared with the children */

static struct cel_transport *victim;
static struct cel_source *working;

/* What the victim holds. */
static struct {
    uint64_t tags[64];
    int numbers[64];
    size_t n;
} work;

/* Half of it is done, in a burst. */
static void on_worked(void *ctx)
{
    for (size_t n = work.n / 2 + 1; n > 0 && work.n > 0; n--) {
        work.n--;
        ledger->worked[work.numbers[work.n]]++;
        victim->ops->ack(victim, work.tags[work.n], (struct cel_done){0});
    }
    cel_source_rearm(working, cel_loop_now(loop) + 0.002);
}

static void on_victim_lost(void *ctx, const celery_error *why)
{
    _exit(2);
}

static void on_victim_delivered(void *ctx, struct cel_delivery *d)
{
    char body[20];

    snprintf(body, sizeof body, "%.*s", (int)d->envelope->body.len,
             d->envelope->body.data);
    work.numbers[work.n] = (int)atol(body);
    work.tags[work.n++] = d->tag;
    ledger->delivered[atol(body)]++;
    cel_envelope_free(d->envelope);
}

/* A worker that runs until it is killed. */
static void run_victim(void)
{
    static const struct cel_transport_events victim_events = {
        .delivered = on_victim_delivered, .lost = on_victim_lost};
    struct answer a;

    if (cel_loop_new(&loop, NULL) < 0 ||
        cel_transport_new(loop, &url, 1, NULL, &victim_events, NULL, &victim, NULL) < 0) {
        _exit(1);
    }
    victim->ops->connect(victim, 0, to(&a));
    while (!a.done) {
        cel_loop_pass(loop, 1);
    }
    cel_loop_add_timer(loop, &working, cel_loop_now(loop), on_worked, NULL);
    victim->ops->set_prefetch(victim, 32);
    victim->ops->consume(victim, "q", NULL);
    for (;;) {
        cel_loop_pass(loop, 1);
    }
}

static pid_t start_victim(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        run_victim();
    }
    return pid;
}

static void end_victim(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static size_t never_worked(void)
{
    size_t n = 0;

    for (int i = 0; i < N_TASKS; i++) {
        n += ledger->worked[i] == 0;
    }
    return n;
}

static void test_kill_9_loses_nothing(void **state)
{
    struct side *s = new_side(NULL);
    char body[20];
    double killed;
    size_t before, left;
    int64_t held;
    pid_t pid;

    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0, sent = 0; i < N_KILLS; i++) {
        for (; sent < (i + 1) * (N_TASKS / N_KILLS); sent++) {
            snprintf(body, sizeof body, "%d", sent);
            publish(s, "q", body, 0);
        }
        pid = start_victim();
        usleep((useconds_t)(3000 + cel_random_double() * 12000));
        end_victim(pid);
    }
    killed = cel_clock_mono();
    held = ASK("ZCARD unacked_index")->number;
    before = never_worked();
    pid = start_victim();
    for (left = before; left > 0 && cel_clock_mono() < killed + 60;
         left = never_worked()) {
        settle_down(0.2);
    }
    while (ASK("ZCARD unacked_index")->number > 0 && cel_clock_mono() < killed + 60) {
        settle_down(0.2);
    }
    print_message("%d kills: %d in the hands of the dead, %d not done yet, all "
                  "back after %.1f s; lost %d\n",
                  N_KILLS, (int)held, (int)before, cel_clock_mono() - killed, (int)left);
    assert_int_equal(left, 0);
    assert_true(cel_clock_mono() < killed + 45);
    /* An idle worker gives its score up with its next look at the queues. */
    for (killed = cel_clock_mono(); ASK("HLEN unacked.celery-c.held")->number > 0 &&
                                    cel_clock_mono() < killed + 10;) {
        settle_down(0.2);
    }
    end_victim(pid);
    free_side(s);
    munmap(ledger, sizeof *ledger);
    assert_nothing_left();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kombu_restores_what_we_claimed),
        cmocka_unit_test(test_the_entries_are_those_of_kombu),
        cmocka_unit_test(test_we_restore_as_kombu_does),
        cmocka_unit_test(test_keyprefix_and_bindings_are_those_of_kombu),
        cmocka_unit_test(test_counted_starts_leave_no_key),
        cmocka_unit_test(test_a_deferred_message_comes_back_in_time),
        cmocka_unit_test(test_two_messages_with_one_tag_are_both_delivered),
        cmocka_unit_test(test_a_message_for_ourselves_is_held_at_once),
        cmocka_unit_test(test_what_waits_goes_before_a_message_for_ourselves),
        cmocka_unit_test(test_a_message_for_ourselves_with_a_tag_that_is_held),
        cmocka_unit_test(test_an_unanswered_message_for_ourselves_comes_back),
        cmocka_unit_test(test_a_full_server_refuses_a_message_for_ourselves),
        cmocka_unit_test(test_a_forgotten_script_holds_all_the_same),
        cmocka_unit_test(test_a_message_for_ourselves_that_cannot_be_held_leaves_nothing),
        cmocka_unit_test(test_without_transactions_messages_are_pushed),
        cmocka_unit_test(test_a_failed_registration_puts_back),
        cmocka_unit_test(test_a_full_server_still_gives_and_registers),
        cmocka_unit_test(test_a_too_large_message_is_parked_unread),
        cmocka_unit_test(test_dead_letters_are_bounded),
        cmocka_unit_test(test_a_large_message_is_parked_as_it_is),
        cmocka_unit_test(test_a_full_server_parks_what_is_large),
        cmocka_unit_test(test_a_large_message_lets_others_by),
        cmocka_unit_test(test_a_large_message_that_was_not_fetched_comes_again),
        cmocka_unit_test(test_the_lease_is_as_long_as_asked),
        cmocka_unit_test(test_held_messages_are_renewed),
        cmocka_unit_test(test_what_was_taken_is_not_settled),
        cmocka_unit_test(test_a_late_ack_leaves_the_new_holder_alone),
        cmocka_unit_test(test_one_of_many_acks_leaves_the_new_holder_alone),
        cmocka_unit_test(test_acks_during_claims_are_all_found),
        cmocka_unit_test(test_what_kombu_held_too_long_comes_back),
        cmocka_unit_test(test_waiting_costs_few_wake_ups),
        cmocka_unit_test(test_other_senders_wake_us),
        cmocka_unit_test(test_without_reports_queues_are_polled),
        cmocka_unit_test(test_a_killed_connection_is_told_once),
        cmocka_unit_test(test_settlements_survive_a_broken_connection),
        cmocka_unit_test(test_an_unanswered_ack_is_found_done),
        cmocka_unit_test(test_an_unanswered_renewal_is_no_loss),
        cmocka_unit_test(test_an_unanswered_claim_comes_back),
        cmocka_unit_test(test_a_stopped_server_is_noticed),
        cmocka_unit_test(test_an_attempt_to_connect_has_its_deadline),
        cmocka_unit_test(test_no_second_claim_of_the_same_messages),
    };
    const struct CMUnitTest kills[] = {cmocka_unit_test(test_kill_9_loses_nothing)};
    bool killing = argc > 1 && strcmp(argv[1], "kill") == 0;
    int failed;

    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    server = redis_server_start(NULL);
    if (!server || cel_url_parse(redis_server_url(server), &url, NULL) < 0 ||
        cel_loop_new(&loop, NULL) < 0) {
        return 1;
    }
    open_probe();
    failed = killing ? cmocka_run_group_tests(kills, NULL, NULL)
                     : cmocka_run_group_tests(tests, NULL, NULL);
    cel_redis_free(probe);
    cel_loop_free(loop);
    cel_url_free(url);
    redis_server_stop(server);
    return failed;
}
