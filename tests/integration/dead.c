/* SPDX-License-Identifier: BSD-3-Clause */
/* Dead-letter lists: seen, put back, removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "net/redis_conn.h"
#include "redis_server.h"
#include "transport/dead.h"
#include "transport/redis_dead.h"

#include <stdio.h>
#include <stdlib.h>

static struct redis_server *server;
static struct cel_url *url;

/* Puts in three entries through redis-cli, newest last. */
static int park_three(void **state)
{
    static const char *const raws[] = {
        "{\"body\": \"W10=\", \"headers\": {\"id\": \"i-1\", \"task\": \"t.one\"}, "
        "\"properties\": {\"delivery_tag\": \"d\", \"priority\": 6, "
        "\"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"q\"}}}",
        "\xff\xfe no message", "{}"};
    char command[300];

    snprintf(command, sizeof command, "redis-cli -s %s flushall >/dev/null",
             redis_server_socket(server));
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 3; i++) {
        struct cel_buf entry = {0};
        FILE *pipe;

        cel_redis_dead_write(&entry, CEL_SLICE("why \"so\""), CEL_SLICE("q"),
                             cel_slice_of(raws[i]));
        snprintf(command, sizeof command,
                 "redis-cli -s %s -x lpush q.celery-c.dead >/dev/null",
                 redis_server_socket(server));
        pipe = popen(command, "w");
        assert_int_equal(fwrite(entry.data, 1, entry.len, pipe), entry.len);
        assert_int_equal(pclose(pipe), 0);
        cel_buf_fini(&entry);
    }
    return 0;
}

static struct cel_dead *open_dead(void)
{
    struct cel_dead *d = NULL;
    celery_error err = {0};

    if (cel_dead_open(&url, 1, NULL, &d, &err) < 0) {
        fail_msg("%s", err.message);
    }
    return d;
}

struct seen {
    size_t n;
    char ids[8][20];
    char reasons[8][20];
    size_t sizes[8];
};

static void on_entry(void *ctx, const struct cel_dead_entry *e)
{
    struct seen *s = ctx;

    assert_int_equal(e->index, s->n);
    assert_true(e->time > 1.7e9);
    snprintf(s->ids[s->n], 20, "%.*s", (int)e->task_id.len,
             e->task_id.data ? e->task_id.data : "");
    snprintf(s->reasons[s->n], 20, "%.*s", (int)e->reason.len, e->reason.data);
    s->sizes[s->n++] = e->raw.len;
}

static void on_queue(void *ctx, struct cel_slice queue, size_t count)
{
    assert_true(cel_slice_is(queue, "q"));
    *(size_t *)ctx += count;
}

static int64_t llen(const char *key)
{
    char command[300], out[40] = "";
    FILE *pipe;

    snprintf(command, sizeof command, "redis-cli -s %s llen '%s'",
             redis_server_socket(server), key);
    pipe = popen(command, "r");
    assert_non_null(fgets(out, sizeof out, pipe));
    pclose(pipe);
    return strtoll(out, NULL, 10);
}

static void test_list_shows_the_newest_first(void **state)
{
    struct cel_dead *d = open_dead();
    struct seen seen = {0};
    size_t count = 0;

    assert_int_equal(cel_dead_list(d, "q", 0, 0, on_entry, &seen, NULL), 0);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.ids[2], "i-1");
    assert_string_equal(seen.reasons[0], "why \"so\"");
    assert_int_equal(seen.sizes[0], 2);
    assert_int_equal(cel_dead_queues(d, on_queue, &count, NULL), 0);
    assert_int_equal(count, 3);
    cel_dead_close(d);
}

static void test_replay_puts_one_back(void **state)
{
    struct cel_dead *d = open_dead();
    size_t n;

    assert_int_equal(cel_dead_replay(d, "q", 2, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(llen("q\x06\x16"
                          "6"),
                     1);
    assert_int_equal(llen("q.celery-c.dead"), 2);
    assert_int_equal(cel_dead_replay(d, "q", 7, &n, NULL), CELERY_NONE);
    cel_dead_close(d);
}

static void test_replay_all_and_purge(void **state)
{
    struct cel_dead *d = open_dead();
    size_t n;

    assert_int_equal(cel_dead_purge(d, "q", 0, &n, NULL), 0);
    assert_int_equal(llen("q.celery-c.dead"), 2);
    assert_int_equal(cel_dead_replay(d, "q", CEL_DEAD_ALL, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(llen("q") + llen("q\x06\x16"
                                      "6"),
                     2);
    assert_int_equal(llen("q.celery-c.dead"), 0);
    cel_dead_close(d);
}

static void test_other_brokers_have_none(void **state)
{
    struct cel_url *memory = NULL;
    struct cel_dead *d = NULL;
    celery_error err = {0};

    assert_int_equal(cel_url_parse("memory://x", &memory, NULL), 0);
    assert_int_equal(cel_dead_open(&memory, 1, NULL, &d, &err), CELERY_ENOTSUP);
    cel_url_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_list_shows_the_newest_first, park_three),
        cmocka_unit_test_setup(test_replay_puts_one_back, park_three),
        cmocka_unit_test_setup(test_replay_all_and_purge, park_three),
        cmocka_unit_test(test_other_brokers_have_none),
    };
    int failed;

    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    server = redis_server_start(NULL);
    if (!server || cel_url_parse(redis_server_url(server), &url, NULL) < 0) {
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_url_free(url);
    redis_server_stop(server);
    return failed;
}
