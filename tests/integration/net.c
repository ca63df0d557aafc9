/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections to private Redis servers, healthy and not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/redis_conn.h"
#include "redis_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE 20.0

static struct cel_loop *loop;

/* A connection and what was heard of it. */
struct client {
    struct cel_redis *redis;
    bool opened;
    bool closed;
    celery_error why;
    int messages;
    int invalidations;
    char text[400]; /* last reply, message or invalidated key */
    bool answered;
    celery_status failure; /* of the last command that got no reply */
    bool free_when_opened;
    bool free_on_message;
};

static void copy_text(struct client *c, struct cel_slice text)
{
    size_t n = text.len < sizeof c->text - 1 ? text.len : sizeof c->text - 1;
    memcpy(c->text, text.data ? text.data : "", n);
    c->text[n] = '\0';
}

static void on_opened(void *ctx)
{
    struct client *c = ctx;
    c->opened = true;
    if (c->free_when_opened) {
        c->redis = cel_redis_free(c->redis);
    }
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct client *c = ctx;
    assert_false(c->closed);
    c->closed = true;
    c->why = *why;
    c->redis = cel_redis_free(c->redis);
}

static void on_message(void *ctx, struct cel_slice channel, struct cel_slice payload)
{
    struct client *c = ctx;
    c->messages++;
    copy_text(c, payload);
    if (c->free_on_message) {
        c->redis = cel_redis_free(c->redis);
    }
}

static void on_invalidated(void *ctx, const struct cel_resp *keys)
{
    struct client *c = ctx;
    c->invalidations++;
    copy_text(c, keys ? cel_resp_text(cel_resp_at(keys, 0)) : CEL_SLICE("all"));
    if (cel_resp_kind(keys) == CEL_RESP_NIL) {
        copy_text(c, CEL_SLICE("all"));
    }
}

static const struct cel_redis_events events = {on_opened, on_closed, on_message,
                                               on_invalidated};

static bool pass_until(const bool *flag, double seconds)
{
    double end = cel_clock_mono() + seconds;

    while (!*flag && cel_clock_mono() < end) {
        cel_loop_pass(loop, 0.05);
    }
    return *flag;
}

static bool pass_until_count(const int *count, int wanted)
{
    double end = cel_clock_mono() + PATIENCE;

    while (*count < wanted && cel_clock_mono() < end) {
        cel_loop_pass(loop, 0.05);
    }
    return *count >= wanted;
}

static celery_status open_with(struct client *c, const char *text,
                               const struct cel_redis_options *options, celery_error *err)
{
    struct cel_url **urls = NULL;
    size_t n = 0;

    assert_int_equal(cel_url_parse_list(text, &urls, &n, err), CELERY_OK);
    celery_status status =
        cel_redis_open(loop, urls, n, options, &events, c, &c->redis, err);
    cel_url_free_list(urls, n);
    return status;
}

static const struct cel_redis_options defaults = {.client_name = "test"};

static void connect_with(struct client *c, const char *text,
                         const struct cel_redis_options *options)
{
    celery_error err = {0};

    if (open_with(c, text, options, &err) < 0) {
        fail_msg("%s", err.message);
    }
    double end = cel_clock_mono() + PATIENCE;
    while (!c->opened && !c->closed && cel_clock_mono() < end) {
        cel_loop_pass(loop, 0.05);
    }
}

static void connect_to(struct client *c, const char *text)
{
    connect_with(c, text, &defaults);
    if (!c->opened || c->closed) {
        fail_msg("%s", c->why.message);
    }
}

/* Must not open; the reason is in c->why. */
static void refuse(struct client *c, const char *text, celery_status status,
                   const char *word)
{
    connect_with(c, text, &defaults);
    assert_true(c->closed);
    assert_false(c->opened);
    if (c->why.status != status || !strstr(c->why.message, word)) {
        fail_msg("%s: %s", celery_status_name(c->why.status), c->why.message);
    }
}

static void hang_up(struct client *c)
{
    c->redis = cel_redis_free(c->redis);
}

static void on_reply(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct client *c = ctx;
    c->answered = true;
    c->failure = err ? err->status : CELERY_OK;
    if (cel_resp_kind(reply) == CEL_RESP_INT) {
        snprintf(c->text, sizeof c->text, "%lld", (long long)cel_resp_int(reply));
    } else {
        copy_text(c, err ? cel_slice_of(err->message) : cel_resp_text(reply));
    }
}

static const char *ask(struct client *c, const char *command)
{
    c->answered = false;
    struct cel_slice argv[8];
    struct cel_slice rest = cel_slice_of(command);
    size_t argc = 0;
    while (argc < 8 && cel_slice_split(&rest, ' ', &argv[argc])) {
        argc++;
    }
    assert_int_equal(cel_redis_command(c->redis, on_reply, c, argc, argv), CELERY_OK);
    assert_true(pass_until(&c->answered, PATIENCE));
    return c->text;
}

static struct redis_server *start(const char *const *extra)
{
    const struct redis_server_options options = {.extra = extra};
    struct redis_server *s = redis_server_start(&options);
    assert_non_null(s);
    return s;
}

/* ---- one server for the tests that do it no harm ---- */

static struct redis_server *server;

static int setup(void **state)
{
    celery_error err = {0};
    const struct redis_server_options options = {.tls = true};

    server = redis_server_start(&options);
    return server && cel_loop_new(&loop, &err) == CELERY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    server = redis_server_stop(server);
    loop = cel_loop_free(loop);
    return 0;
}

struct counter {
    long expected;
    long wrong;
    bool done;
    long last;
};

static void on_count(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct counter *counter = ctx;
    counter->expected++;
    counter->wrong += err || cel_resp_int(reply) != counter->expected;
    counter->done = counter->expected == counter->last;
}

static void test_pipelines_100000_commands_in_order(void **state)
{
    struct client c = {0};
    struct counter counter = {.last = 100000};
    const struct cel_slice incr[] = {CEL_SLICE("INCR"), CEL_SLICE("counter")};

    connect_to(&c, redis_server_url(server));
    for (long i = 0; i < counter.last; i++) {
        assert_int_equal(cel_redis_command(c.redis, on_count, &counter, 2, incr),
                         CELERY_OK);
    }
    assert_int_equal(cel_redis_pending(c.redis), counter.last);
    assert_true(pass_until(&counter.done, 60));
    assert_int_equal(counter.wrong, 0);
    assert_int_equal(cel_redis_pending(c.redis), 0);
    hang_up(&c);
}

static void test_knows_who_it_talks_to(void **state)
{
    struct client c = {0};
    char number[24];

    connect_to(&c, redis_server_url(server));
    assert_true(cel_redis_version(c.redis) >= 60000);
    snprintf(number, sizeof number, "%lld", (long long)cel_redis_client_id(c.redis));
    assert_string_equal(ask(&c, "CLIENT ID"), number);
    assert_string_equal(ask(&c, "CLIENT GETNAME"), "test");
    hang_up(&c);
}

static void test_selects_the_database(void **state)
{
    struct client zero = {0};
    struct client three = {0};
    char url[200];

    snprintf(url, sizeof url, "redis://127.0.0.1:%d/3", redis_server_port(server));
    connect_to(&three, url);
    connect_to(&zero, redis_server_url(server));
    ask(&three, "SET only-in-3 yes");
    assert_string_equal(ask(&zero, "EXISTS only-in-3"), "0");
    assert_string_equal(ask(&three, "GET only-in-3"), "yes");
    hang_up(&zero);
    hang_up(&three);

    struct client beyond = {0};
    snprintf(url, sizeof url, "redis://127.0.0.1:%d/77", redis_server_port(server));
    refuse(&beyond, url, CELERY_ECONFIG, "no database 77");
}

static void test_formats_commands(void **state)
{
    struct client c = {0};
    const struct cel_slice value = CEL_SLICE("a b\0c");

    connect_to(&c, redis_server_url(server));
    c.answered = false;
    cel_redis_commandf(c.redis, on_reply, &c, "SET key-%s-%d %b EX %lld", "x", 7, &value,
                       100LL);
    assert_true(pass_until(&c.answered, PATIENCE));
    assert_string_equal(c.text, "OK");
    assert_string_equal(ask(&c, "STRLEN key-x-7"), "5");
    assert_non_null(strstr(ask(&c, "NOSUCH command"), "unknown command"));
    hang_up(&c);
}

static void test_messages_arrive(void **state)
{
    struct client sub = {0};
    struct client pub = {0};

    connect_to(&sub, redis_server_url(server));
    connect_to(&pub, redis_server_url(server));
    cel_redis_subscribe(sub.redis, CEL_SLICE("news"), false);
    cel_redis_subscribe(sub.redis, CEL_SLICE("re*"), true);
    while (cel_redis_pending(sub.redis) > 0) {
        cel_loop_pass(loop, 0.05);
    }
    ask(&pub, "PUBLISH news one");
    assert_true(pass_until_count(&sub.messages, 1));
    assert_string_equal(sub.text, "one");
    ask(&pub, "PUBLISH result two");
    assert_true(pass_until_count(&sub.messages, 2));
    assert_string_equal(sub.text, "two");
    cel_redis_unsubscribe(sub.redis, CEL_SLICE("news"), false);
    while (cel_redis_pending(sub.redis) > 0) {
        cel_loop_pass(loop, 0.05);
    }
    assert_string_equal(ask(&pub, "PUBLISH news three"), "0");
    hang_up(&sub);
    hang_up(&pub);
}

static void test_invalidations_arrive(void **state)
{
    struct client tracker = {0};
    struct client worker = {0};
    struct client writer = {0};

    connect_to(&tracker, redis_server_url(server));
    connect_to(&worker, redis_server_url(server));
    connect_to(&writer, redis_server_url(server));
    cel_redis_subscribe(tracker.redis, CEL_SLICE("__redis__:invalidate"), false);
    worker.answered = false;
    cel_redis_commandf(worker.redis, on_reply, &worker,
                       "CLIENT TRACKING ON REDIRECT %lld",
                       (long long)cel_redis_client_id(tracker.redis));
    assert_true(pass_until(&worker.answered, PATIENCE));
    assert_string_equal(worker.text, "OK");
    ask(&worker, "GET watched");
    ask(&writer, "SET watched 1");
    assert_true(pass_until_count(&tracker.invalidations, 1));
    assert_string_equal(tracker.text, "watched");
    ask(&writer, "FLUSHDB");
    assert_true(pass_until_count(&tracker.invalidations, 2));
    assert_string_equal(tracker.text, "all");
    hang_up(&tracker);
    hang_up(&worker);
    hang_up(&writer);
}

static struct cel_redis_script push = {
    .text = "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])"};

/* Each answer asks for a rest: a hook must run between it and the next one. */
struct rests {
    struct client c;
    struct cel_source *hook;
    int answers;
    int hooks;
    int in_order;  /* answers that found as many hooks run as answers before */
    int end_after; /* answers until the connection is freed */
};

static void on_rest_hook(void *ctx)
{
    ((struct rests *)ctx)->hooks++;
}

static void on_rest_reply(void *ctx, const struct cel_resp *reply,
                          const celery_error *err)
{
    struct rests *rests = ctx;

    if (err) {
        return;
    }
    rests->in_order += rests->hooks == rests->answers;
    rests->answers++;
    cel_source_schedule(rests->hook);
    cel_redis_rest(rests->c.redis);
    if (rests->answers == rests->end_after) {
        hang_up(&rests->c);
    }
}

/* Many answers in few packets. */
static void ask_many(struct rests *rests, int n)
{
    assert_int_equal(cel_loop_add_hook(loop, &rests->hook, on_rest_hook, rests),
                     CELERY_OK);
    connect_to(&rests->c, redis_server_url(server));
    ask(&rests->c, "SET rests 0");
    for (int i = 0; i < n; i++) {
        assert_int_equal(
            cel_redis_commandf(rests->c.redis, on_rest_reply, rests, "INCR rests"),
            CELERY_OK);
    }
}

static void test_answers_can_be_put_off(void **state)
{
    struct rests rests = {0};

    ask_many(&rests, 500);
    assert_true(pass_until_count(&rests.answers, 500));
    assert_int_equal(rests.in_order, 500);
    cel_source_free(rests.hook);
    hang_up(&rests.c);
}

static void test_answers_put_off_survive_the_end_of_the_connection(void **state)
{
    struct rests rests = {0};

    ask_many(&rests, 500);
    assert_int_equal(cel_redis_commandf(rests.c.redis, NULL, NULL, "QUIT"), CELERY_OK);
    assert_true(pass_until(&rests.c.closed, PATIENCE));
    assert_int_equal(rests.answers, 500);
    cel_source_free(rests.hook);
}

static void test_free_while_answers_are_put_off(void **state)
{
    struct rests rests = {.end_after = 3};

    ask_many(&rests, 500);
    assert_true(pass_until_count(&rests.answers, 3));
    for (int i = 0; i < 5; i++) {
        cel_loop_pass(loop, 0.01);
    }
    assert_int_equal(rests.answers, 3);
    cel_source_free(rests.hook);
}

static void test_script_survives_being_forgotten(void **state)
{
    struct client c = {0};
    struct counter counter = {.last = 1000};

    connect_to(&c, redis_server_url(server));
    ask(&c, "DEL pushed");
    for (long i = 0; i < counter.last; i++) {
        const struct cel_slice argv[] = {CEL_SLICE("pushed"), CEL_SLICE("value")};
        if (i % 100 == 0) {
            cel_redis_commandf(c.redis, NULL, NULL, "SCRIPT FLUSH");
        }
        assert_int_equal(cel_redis_eval(c.redis, &push, on_count, &counter, 1, 2, argv),
                         CELERY_OK);
        if (i % 7 == 0) {
            cel_loop_pass(loop, 0);
        }
    }
    assert_true(pass_until(&counter.done, PATIENCE));
    assert_int_equal(counter.wrong, 0);
    assert_string_equal(ask(&c, "LLEN pushed"), "1000");
    hang_up(&c);
}

static void test_killed_connection_fails_what_waits(void **state)
{
    struct client victim = {0};
    struct client killer = {0};

    connect_to(&victim, redis_server_url(server));
    connect_to(&killer, redis_server_url(server));
    victim.answered = false;
    cel_redis_commandf(victim.redis, on_reply, &victim, "BLPOP nothing 0");
    cel_redis_flush(victim.redis);
    cel_redis_commandf(killer.redis, on_reply, &killer, "CLIENT KILL ID %lld",
                       (long long)cel_redis_client_id(victim.redis));
    assert_true(pass_until(&victim.closed, PATIENCE));
    assert_true(victim.answered);
    assert_int_equal(victim.failure, CELERY_EUNCERTAIN);
    assert_int_equal(victim.why.status, CELERY_ECLOSED);
    hang_up(&killer);
}

static void test_unsent_command_fails_as_not_sent(void **state)
{
    struct client c = {0};
    static char big[64 << 20];
    const struct cel_slice large[] = {CEL_SLICE("SET"), CEL_SLICE("big"),
                                      cel_slice(big, sizeof big)};
    const struct cel_slice again[] = {CEL_SLICE("ECHO"), CEL_SLICE("x")};
    struct redis_server *own = start(NULL);

    connect_to(&c, redis_server_url(own));
    redis_server_signal(own, SIGSTOP);
    assert_int_equal(cel_redis_command(c.redis, NULL, NULL, 3, large), CELERY_OK);
    assert_int_equal(cel_redis_command(c.redis, on_reply, &c, 2, again), CELERY_OK);
    cel_redis_flush(c.redis);
    c.answered = false;
    redis_server_stop(own);
    assert_true(pass_until(&c.closed, PATIENCE));
    assert_true(c.answered);
    assert_int_equal(c.failure, CELERY_ECLOSED);
}

static void test_free_from_inside_every_event(void **state)
{
    struct client c = {.free_when_opened = true};
    connect_with(&c, redis_server_url(server), &defaults);
    assert_true(c.opened && !c.redis);

    struct client sub = {.free_on_message = true};
    struct client pub = {0};
    connect_to(&sub, redis_server_url(server));
    connect_to(&pub, redis_server_url(server));
    cel_redis_subscribe(sub.redis, CEL_SLICE("end"), false);
    while (cel_redis_pending(sub.redis) > 0) {
        cel_loop_pass(loop, 0.05);
    }
    cel_redis_commandf(pub.redis, NULL, NULL, "PUBLISH end 1");
    cel_redis_commandf(pub.redis, NULL, NULL, "PUBLISH end 2");
    assert_true(pass_until_count(&sub.messages, 1));
    assert_null(sub.redis);
    hang_up(&pub);
}

static void free_on_reply(void *ctx, const struct cel_resp *reply,
                          const celery_error *err)
{
    struct client *c = ctx;
    c->messages++;
    c->failure = err ? err->status : CELERY_OK;
    if (c->messages == 3) {
        c->redis = cel_redis_free(c->redis);
    }
}

static void test_free_inside_a_reply_ends_the_others_once(void **state)
{
    struct client c = {0};

    connect_to(&c, redis_server_url(server));
    for (int i = 0; i < 10; i++) {
        cel_redis_commandf(c.redis, free_on_reply, &c, "PING");
    }
    assert_true(pass_until_count(&c.messages, 10));
    assert_int_equal(c.messages, 10);
    assert_int_equal(c.failure, CELERY_ECLOSED);
    assert_null(c.redis);
    cel_loop_pass(loop, 0);
}

static void test_free_while_connecting(void **state)
{
    char urls[3][100];

    snprintf(urls[0], 100, "redis://localhost:%d", redis_server_port(server));
    snprintf(urls[1], 100, "redis://127.0.0.1:%d", redis_server_port(server));
    snprintf(urls[2], 100, "rediss://localhost:%d?ssl_cert_reqs=none",
             redis_server_tls_port(server));
    for (int passes = 0; passes < 6; passes++) {
        for (size_t i = 0; i < 3; i++) {
            struct client c = {0};
            assert_int_equal(open_with(&c, urls[i], &defaults, NULL), CELERY_OK);
            for (int k = 0; k < passes && c.redis; k++) {
                cel_loop_pass(loop, 0.01);
            }
            hang_up(&c);
        }
    }
    cel_loop_pass(loop, 0);
}

/* Whichever allocation fails, the connection works or is refused; nothing leaks. */
static void test_out_of_memory_anywhere(void **state)
{
    int worked = 0;

    for (unsigned long nth = 1; nth < 60; nth++) {
        struct client c = {0};
        struct cel_url *url = NULL;
        const struct cel_slice argv[] = {CEL_SLICE("oom"), CEL_SLICE("value")};
        assert_int_equal(cel_url_parse(redis_server_url(server), &url, NULL), CELERY_OK);
        cel_alloc_fail_at(nth, 0);
        cel_redis_open(loop, &url, 1, &defaults, &events, &c, &c.redis, NULL);
        for (int i = 0; i < 100 && c.redis && !c.opened; i++) {
            cel_loop_pass(loop, 0.05);
        }
        if (c.redis &&
            cel_redis_eval(c.redis, &push, on_reply, &c, 1, 2, argv) == CELERY_OK) {
            assert_true(pass_until(&c.answered, 5));
            worked++;
        }
        cel_alloc_fail_at(0, 0);
        hang_up(&c);
        cel_url_free(url);
    }
    assert_true(worked > 20);
}

/* ---- log-in ---- */

static void test_passwords(void **state)
{
    static const char *const extra[] = {"--requirepass", "sec/ret", NULL};
    struct redis_server *own = start(extra);
    char url[200];

    snprintf(url, sizeof url, "redis://:sec%%2Fret@127.0.0.1:%d", redis_server_port(own));
    struct client right = {0};
    connect_to(&right, url);
    assert_string_equal(ask(&right, "ACL SETUSER ann on >anns ~* &* +@all"), "OK");
    assert_string_equal(
        ask(&right, "ACL SETUSER bob on >bobs ~b* resetchannels -@all +get"), "OK");
    hang_up(&right);

    struct client wrong = {0};
    snprintf(url, sizeof url, "redis://:hunter2@127.0.0.1:%d", redis_server_port(own));
    refuse(&wrong, url, CELERY_EAUTH, "WRONGPASS");
    assert_non_null(strstr(wrong.why.message, "check the password in broker_url"));
    assert_null(strstr(wrong.why.message, "hunter2"));

    struct client none = {0};
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", redis_server_port(own));
    refuse(&none, url, CELERY_EAUTH, "NOAUTH");

    struct client ann = {0};
    snprintf(url, sizeof url, "redis://ann:anns@127.0.0.1:%d", redis_server_port(own));
    connect_to(&ann, url);
    assert_string_equal(ask(&ann, "ACL WHOAMI"), "ann");
    hang_up(&ann);

    /* Who may not even ask for INFO or CLIENT ID can still get in. */
    struct client bob = {0};
    snprintf(url, sizeof url, "redis://bob:bobs@127.0.0.1:%d", redis_server_port(own));
    connect_to(&bob, url);
    assert_int_equal(cel_redis_version(bob.redis), 0);
    cel_redis_subscribe(bob.redis, CEL_SLICE("x"), false);
    assert_true(pass_until(&bob.closed, PATIENCE));
    assert_int_equal(bob.why.status, CELERY_EAUTH);
    assert_non_null(strstr(bob.why.message, "NOPERM"));
    redis_server_stop(own);
}

static void test_password_where_none_is_set_is_said(void **state)
{
    struct client c = {0};
    char url[200];

    snprintf(url, sizeof url, "redis+socket://%s?password=needless",
             redis_server_socket(server));
    refuse(&c, url, CELERY_EAUTH, "without any password configured");
}

static void test_unreachable(void **state)
{
    struct client refused = {0};
    char url[200];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", free_port());
    refuse(&refused, url, CELERY_ECONNECT, "Connection refused");

    struct client missing = {0};
    refuse(&missing, "redis+socket:///tmp/celery-c-no-such.sock", CELERY_ECONNECT,
           "No such file");

    struct client unknown = {0};
    const struct cel_redis_options options = {.connect_timeout = 3};
    connect_with(&unknown, "redis://no-such-host.invalid", &options);
    assert_true(unknown.closed);
    assert_non_null(strstr(unknown.why.message, "host name"));
}

static void test_client_limit_is_told(void **state)
{
    static const char *const extra[] = {"--maxclients", "1", NULL};
    struct redis_server *own = start(extra);
    struct client first = {0};
    struct client second = {0};

    connect_to(&first, redis_server_url(own));
    connect_with(&second, redis_server_url(own), &defaults);
    assert_true(second.closed);
    assert_non_null(strstr(second.why.message, "max number of clients"));
    hang_up(&first);
    redis_server_stop(own);
}

/* ---- a server that hangs ---- */

static void test_hanging_server_is_noticed(void **state)
{
    struct redis_server *own = start(NULL);
    const struct cel_redis_options quick = {.command_timeout = 0.3, .connect_timeout = 1};
    struct client busy = {0};
    struct client idle = {0};
    struct client late = {0};
    const struct cel_redis_options pinging = {.command_timeout = 0.3,
                                              .health_check_interval = 0.2};

    connect_with(&busy, redis_server_url(own), &quick);
    connect_with(&idle, redis_server_url(own), &pinging);
    cel_redis_subscribe(idle.redis, CEL_SLICE("quiet"), false);
    bool never = false;
    pass_until(&never, 1.0);
    assert_false(idle.closed); /* pings in pub/sub mode are answered */
    redis_server_signal(own, SIGSTOP);
    double from = cel_clock_mono();
    cel_redis_commandf(busy.redis, on_reply, &busy, "PING");
    assert_true(pass_until(&busy.closed, 5));
    assert_int_equal(busy.why.status, CELERY_ETIMEOUT);
    assert_non_null(strstr(busy.why.message, "no answer within 0.3 s"));
    assert_true(pass_until(&idle.closed, 5));
    assert_int_equal(idle.why.status, CELERY_ETIMEOUT);
    assert_true(cel_clock_mono() - from < 4);
    /* The kernel still accepts for it: the log-in has a deadline as well. */
    connect_with(&late, redis_server_url(own), &quick);
    assert_true(late.closed && !late.opened);
    assert_int_equal(late.why.status, CELERY_ETIMEOUT);
    redis_server_stop(own);
}

/* ---- TLS ---- */

/* ca: a file of the server's folder, or NULL. */
static void tls_url(char url[300], const char *host, const char *ca, const char *more)
{
    size_t n = (size_t)snprintf(url, 300, "rediss://%s:%d?%s", host,
                                redis_server_tls_port(server), more);
    if (ca) {
        snprintf(url + n, 300 - n, "&ssl_ca_certs=%s/%s", redis_server_dir(server), ca);
    }
}

static void test_tls_right_name_and_address(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    static char big[1 << 20];
    char url[300];

    for (int i = 0; i < 2; i++) {
        struct client c = {0};
        tls_url(url, hosts[i], "ca.pem", "");
        connect_to(&c, url);
        memset(big, 'x', sizeof big);
        const struct cel_slice set[] = {CEL_SLICE("SET"), CEL_SLICE("big"),
                                        cel_slice(big, sizeof big)};
        cel_redis_command(c.redis, NULL, NULL, 3, set);
        assert_string_equal(ask(&c, "STRLEN big"), "1048576");
        ask(&c, "GET big");
        assert_int_equal(strlen(c.text), sizeof c.text - 1);
        hang_up(&c);
    }
}

static void test_tls_refuses(void **state)
{
    char url[300];
    struct client name = {0};
    tls_url(url, "127.0.0.2", "ca.pem", "");
    refuse(&name, url, CELERY_ECONNECT, "certificate is refused: IP address mismatch");

    struct client authority = {0};
    tls_url(url, "localhost", "other-ca.pem", "");
    refuse(&authority, url, CELERY_ECONNECT, "ssl_ca_certs");

    struct client system = {0};
    tls_url(url, "localhost", NULL, "");
    refuse(&system, url, CELERY_ECONNECT, "certificate is refused");

    struct client plain = {0};
    snprintf(url, sizeof url, "rediss://localhost:%d", redis_server_port(server));
    const struct cel_redis_options quick = {.connect_timeout = 0.3};
    connect_with(&plain, url, &quick);
    assert_int_equal(plain.why.status, CELERY_ETIMEOUT);
    assert_non_null(strstr(plain.why.message, "does it speak TLS on this port?"));
}

static void test_tls_only_unverified_when_asked_for(void **state)
{
    char url[300];
    struct client none = {0};
    tls_url(url, "127.0.0.2", NULL, "ssl_cert_reqs=CERT_NONE");
    connect_to(&none, url);
    hang_up(&none);

    struct client no_name = {0};
    tls_url(url, "127.0.0.2", "ca.pem", "ssl_check_hostname=false");
    connect_to(&no_name, url);
    hang_up(&no_name);

    struct client other_name = {0};
    tls_url(url, "127.0.0.2", "ca.pem", "ssl_server_hostname=localhost");
    connect_to(&other_name, url);
    hang_up(&other_name);

    struct client mutual = {0};
    char files[200];
    snprintf(files, sizeof files, "ssl_certfile=%s/server.pem&ssl_keyfile=%s/server.key",
             redis_server_dir(server), redis_server_dir(server));
    tls_url(url, "localhost", "ca.pem", files);
    connect_to(&mutual, url);
    hang_up(&mutual);
}

/* ---- plain connections ---- */

struct plain {
    bool opened;
    bool closed;
    celery_error why;
};

static void plain_opened(void *ctx)
{
    ((struct plain *)ctx)->opened = true;
}

static void plain_readable(void *ctx, struct cel_buf *in)
{
    /* takes nothing: the ceiling must end it */
}

static void plain_closed(void *ctx, const celery_error *why)
{
    ((struct plain *)ctx)->closed = true;
    ((struct plain *)ctx)->why = *why;
}

static void test_abstract_socket_and_input_ceiling(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char path[64];
    static char big[300000];
    const struct cel_conn_events plain_events = {plain_opened, plain_readable,
                                                 plain_closed};
    struct plain p = {0};
    struct cel_conn *conn = NULL;

    snprintf(path, sizeof path, "@celery-c-test-%d", (int)getpid());
    memcpy(at.sun_path + 1, path + 1, strlen(path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    const struct cel_endpoint endpoint = {.unix_path = path, .in_max = 100000};
    assert_int_equal(cel_conn_open(loop, &endpoint, &plain_events, &p, &conn, NULL),
                     CELERY_OK);
    assert_string_equal(cel_conn_name(conn), path);
    assert_true(pass_until(&p.opened, 5));
    int peer = accept(fd, NULL, NULL);
    assert_true(send(peer, big, sizeof big, MSG_DONTWAIT) > 100000);
    assert_true(pass_until(&p.closed, 5));
    assert_int_equal(p.why.status, CELERY_ELIMIT);
    cel_conn_free(conn);
    close(peer);
    close(fd);
}

/* ---- Sentinel ---- */

static void stop_all(struct redis_server **servers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        redis_server_stop(servers[i]);
    }
}

/* Opens through the sentinel again and again, as an owner with back-off does. */
static bool reach_master(struct client *c, const char *url,
                         const struct cel_redis_options *options, double seconds)
{
    double end = cel_clock_mono() + seconds;
    bool never = false;

    while (cel_clock_mono() < end) {
        *c = (struct client){0};
        connect_with(c, url, options);
        if (c->opened && !c->closed) {
            return true;
        }
        pass_until(&never, 0.1);
    }
    return false;
}

static void test_sentinel_finds_the_master_and_the_next(void **state)
{
    struct redis_server *s[3] = {0};
    char lines[500];
    char port[12];
    char url[200];

    s[0] = redis_server_start(NULL);
    assert_non_null(s[0]);
    snprintf(port, sizeof port, "%d", redis_server_port(s[0]));
    const char *const replica[] = {
        "--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0", NULL};
    s[1] = start(replica);
    snprintf(lines, sizeof lines,
             "sentinel monitor mine 127.0.0.1 %s 1\n"
             "sentinel down-after-milliseconds mine 500\n"
             "sentinel failover-timeout mine 3000\n",
             port);
    const struct redis_server_options o = {.sentinel_of = lines};
    s[2] = redis_server_start(&o);
    assert_non_null(s[2]);

    const struct cel_redis_options options = {.sentinel_master = "mine",
                                              .connect_timeout = 2};
    struct client c = {0};
    /* The first of the list is not there; the second is asked. */
    snprintf(url, sizeof url, "sentinel://127.0.0.1:%d/0;sentinel://127.0.0.1:%d",
             free_port(), redis_server_port(s[2]));
    connect_with(&c, url, &options);
    if (!c.opened) {
        fail_msg("%s", c.why.message);
    }
    ask(&c, "SET where first");
    assert_string_equal(ask(&c, "WAIT 1 10000"), "1");

    struct client unknown = {0};
    const struct cel_redis_options other = {.sentinel_master = "theirs"};
    connect_with(&unknown, url, &other);
    assert_true(unknown.closed);
    assert_non_null(strstr(unknown.why.message, "master_name"));

    struct client direct = {0};
    snprintf(lines, sizeof lines, "redis://127.0.0.1:%d", redis_server_port(s[2]));
    refuse(&direct, lines, CELERY_ECONFIG, "sentinel://");

    redis_server_signal(s[0], SIGKILL);
    assert_true(pass_until(&c.closed, PATIENCE));
    assert_true(reach_master(&c, url, &options, 30));
    assert_string_equal(ask(&c, "GET where"), "first");
    assert_string_equal(ask(&c, "SET where second"), "OK");
    hang_up(&c);
    stop_all(s, 3);
}

static void test_sentinel_has_its_own_password(void **state)
{
    char lines[300];
    char url[100];

    snprintf(lines, sizeof lines,
             "requirepass sesame\nsentinel monitor mine 127.0.0.1 %d 1\n",
             redis_server_port(server));
    const struct redis_server_options o = {.sentinel_of = lines};
    struct redis_server *sentinel = redis_server_start(&o);
    assert_non_null(sentinel);
    snprintf(url, sizeof url, "sentinel://127.0.0.1:%d/2", redis_server_port(sentinel));

    struct client without = {0};
    const struct cel_redis_options bare = {.sentinel_master = "mine"};
    connect_with(&without, url, &bare);
    assert_true(without.closed);
    assert_int_equal(without.why.status, CELERY_EAUTH);
    assert_non_null(strstr(without.why.message, "sentinel_kwargs"));

    struct client with = {0};
    const struct cel_redis_options full = {.sentinel_master = "mine",
                                           .sentinel_password = "sesame"};
    connect_with(&with, url, &full);
    assert_true(with.opened && !with.closed);
    hang_up(&with);
    redis_server_stop(sentinel);
}

static void test_role_and_failover_errors(void **state)
{
    char port[12];
    struct client c = {0};

    snprintf(port, sizeof port, "%d", redis_server_port(server));
    const char *const replica[] = {"--replicaof", "127.0.0.1", port, NULL};
    struct redis_server *own = start(replica);
    connect_to(&c, redis_server_url(own));
    assert_non_null(strstr(ask(&c, "SET a b"), "READONLY"));
    hang_up(&c);
    redis_server_stop(own);
}

int main(void)
{
    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelines_100000_commands_in_order),
        cmocka_unit_test(test_knows_who_it_talks_to),
        cmocka_unit_test(test_selects_the_database),
        cmocka_unit_test(test_formats_commands),
        cmocka_unit_test(test_messages_arrive),
        cmocka_unit_test(test_invalidations_arrive),
        cmocka_unit_test(test_answers_can_be_put_off),
        cmocka_unit_test(test_answers_put_off_survive_the_end_of_the_connection),
        cmocka_unit_test(test_free_while_answers_are_put_off),
        cmocka_unit_test(test_script_survives_being_forgotten),
        cmocka_unit_test(test_killed_connection_fails_what_waits),
        cmocka_unit_test(test_unsent_command_fails_as_not_sent),
        cmocka_unit_test(test_free_from_inside_every_event),
        cmocka_unit_test(test_free_inside_a_reply_ends_the_others_once),
        cmocka_unit_test(test_free_while_connecting),
        cmocka_unit_test(test_out_of_memory_anywhere),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_password_where_none_is_set_is_said),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_client_limit_is_told),
        cmocka_unit_test(test_hanging_server_is_noticed),
        cmocka_unit_test(test_tls_right_name_and_address),
        cmocka_unit_test(test_tls_refuses),
        cmocka_unit_test(test_tls_only_unverified_when_asked_for),
        cmocka_unit_test(test_abstract_socket_and_input_ceiling),
        cmocka_unit_test(test_sentinel_finds_the_master_and_the_next),
        cmocka_unit_test(test_sentinel_has_its_own_password),
        cmocka_unit_test(test_role_and_failover_errors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
