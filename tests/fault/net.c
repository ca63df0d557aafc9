/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Redis connections through a proxy that splits, damages, cuts, resets and stalls: each
 * command ends exactly once, and each connection that broke says so within its deadline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/redis_conn.h"
#include "redis_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMANDS 200

static const char *proxy_program;
static struct redis_server *server;
static struct cel_loop *loop;

struct proxy {
    pid_t pid;
    char path[128];
};

static struct proxy proxy_start(const char *fault, const char *value, unsigned seed)
{
    struct proxy p = {0};
    char listen[160];
    char to[160];
    char number[16];
    int ready[2];

    snprintf(p.path, sizeof p.path, "%s/proxy.sock", redis_server_dir(server));
    snprintf(listen, sizeof listen, "unix:%s", p.path);
    snprintf(to, sizeof to, "unix:%s", redis_server_socket(server));
    snprintf(number, sizeof number, "%u", seed);
    assert_int_equal(pipe(ready), 0);
    p.pid = fork();
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ready[1], 1);
        close(ready[0]);
        close(ready[1]);
        execl(proxy_program, "faultproxy", "--listen", listen, "--to", to, "--seed",
              number, fault, value, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    char line[200];
    assert_true(read(ready[0], line, sizeof line) > 0);
    close(ready[0]);
    return p;
}

static void proxy_stop(const struct proxy *p)
{
    kill(p->pid, SIGTERM);
    waitpid(p->pid, NULL, 0);
}

struct client {
    struct cel_redis *redis;
    bool opened;
    bool closed;
    celery_error why;
    int calls[COMMANDS];
    int good;
    int ended;
};

struct command {
    struct client *client;
    int number;
};

static void on_opened(void *ctx)
{
    ((struct client *)ctx)->opened = true;
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct client *c = ctx;
    assert_false(c->closed);
    assert_true(why->status < 0 && why->message[0]);
    c->closed = true;
    c->why = *why;
}

static void on_reply(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct command *command = ctx;
    struct client *c = command->client;
    c->calls[command->number]++;
    c->ended++;
    c->good += !err && cel_resp_kind(reply) == CEL_RESP_STRING;
    assert_true(!err || err->status == CELERY_EUNCERTAIN ||
                err->status == CELERY_ECLOSED);
}

static const struct cel_redis_events events = {.opened = on_opened, .closed = on_closed};

static void pass_until_over(struct client *c, int ended, double seconds)
{
    double end = cel_clock_mono() + seconds;

    while (!c->closed && !(c->opened && c->ended >= ended) && cel_clock_mono() < end) {
        cel_loop_pass(loop, 0.05);
    }
}

/* One connection and its commands through the proxy; what became of it is in *c. */
static void run(struct client *c, const struct proxy *p)
{
    static struct command commands[COMMANDS];
    const struct cel_redis_options options = {.connect_timeout = 1, .command_timeout = 1};
    struct cel_url *url = NULL;
    char text[200];
    int queued = 0;

    *c = (struct client){0};
    snprintf(text, sizeof text, "redis+socket://%s", p->path);
    assert_int_equal(cel_url_parse(text, &url, NULL), CELERY_OK);
    assert_int_equal(cel_redis_open(loop, &url, 1, &options, &events, c, &c->redis, NULL),
                     CELERY_OK);
    cel_url_free(url);
    pass_until_over(c, 0, 5);
    for (; c->opened && !c->closed && queued < COMMANDS; queued++) {
        commands[queued] = (struct command){c, queued};
        assert_int_equal(cel_redis_commandf(c->redis, on_reply, &commands[queued],
                                            "ECHO some-text-of-number-%d", queued),
                         CELERY_OK);
    }
    pass_until_over(c, queued, 5);
    assert_true(c->closed || (c->opened && c->ended == queued));
    c->redis = cel_redis_free(c->redis);
    for (int i = 0; i < queued; i++) {
        assert_int_equal(c->calls[i], 1);
    }
}

static void test_split_at_every_byte(void **state)
{
    struct client c;
    struct proxy p = proxy_start("--split", NULL, 0);

    run(&c, &p);
    assert_int_equal(c.good, COMMANDS);
    proxy_stop(&p);
}

static void run_seeds(const char *fault, const char *value, unsigned runs,
                      bool must_break)
{
    for (unsigned seed = 1; seed <= runs; seed++) {
        struct client c;
        struct proxy p = proxy_start(fault, value, seed);
        run(&c, &p);
        assert_true(c.closed || !must_break);
        proxy_stop(&p);
    }
}

static void test_cut_anywhere(void **state)
{
    run_seeds("--cut-after", "9000", 40, true);
}

static void test_reset_anywhere(void **state)
{
    run_seeds("--rst-after", "9000", 40, true);
}

static void test_half_closed_anywhere(void **state)
{
    run_seeds("--half-close-after", "9000", 40, true);
}

static void test_stalled_anywhere(void **state)
{
    run_seeds("--stall-after", "9000", 5, true);
}

static void test_damaged_bytes(void **state)
{
    run_seeds("--corrupt-rate", "0.0005", 30, false);
}

static int setup(void **state)
{
    server = redis_server_start(NULL);
    return server && cel_loop_new(&loop, NULL) == CELERY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    server = redis_server_stop(server);
    loop = cel_loop_free(loop);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || !redis_server_installed()) {
        return TEST_SKIPPED;
    }
    proxy_program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_reset_anywhere),
        cmocka_unit_test(test_half_closed_anywhere),
        cmocka_unit_test(test_stalled_anywhere),
        cmocka_unit_test(test_damaged_bytes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
