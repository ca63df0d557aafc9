/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/dead.h: listed, put back, removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "redis_server.h"
#include "transport/redis_dead.h"

#include <celery/dead.h>
#include <stdio.h>
#include <stdlib.h>

static struct redis_server *server;
static celery_app *app;

#define GOOD                                                                     \
    "{\"body\": \"W10=\", \"headers\": {\"id\": \"i-1\", \"task\": \"t.one\"}, " \
    "\"properties\": {\"delivery_tag\": \"d\", \"priority\": 6, "                \
    "\"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"q\"}}}"

/* Puts in three entries through redis-cli, newest last. */
static int park_three(void **state)
{
    static const char *const raws[] = {GOOD, "\xff\xfe no message", "{}"};
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

static celery_dead *open_dead(void)
{
    celery_error err = {0};
    celery_dead *d = celery_dead_open(app, &err);

    if (!d) {
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

static bool on_entry(void *ctx, const celery_dead_entry *e)
{
    struct seen *s = ctx;

    assert_int_equal(e->index, 2 - s->n);
    assert_true(e->time > 1.7e9);
    assert_string_equal(e->queue, "q");
    assert_int_equal(e->message_size, e->size);
    snprintf(s->ids[s->n], 20, "%s", e->task_id ? e->task_id : "-");
    snprintf(s->reasons[s->n], 20, "%s", e->reason);
    s->sizes[s->n++] = e->size;
    return true;
}

static void on_queue(void *ctx, const char *queue, size_t count)
{
    assert_string_equal(queue, "q");
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
    celery_dead *d = open_dead();
    const celery_dead_entry *e;
    struct seen seen = {0};
    size_t count = 0;

    assert_int_equal(celery_dead_each(d, "q", on_entry, &seen, NULL), 0);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.ids[2], "i-1");
    assert_string_equal(seen.ids[0], "-");
    assert_string_equal(seen.reasons[0], "why \"so\"");
    assert_int_equal(seen.sizes[0], 2);
    assert_int_equal(celery_dead_at(d, "q", 1, &e, NULL), 0);
    assert_memory_equal(e->message, "\xff\xfe no message", e->size);
    assert_null(e->task);
    assert_int_equal(celery_dead_queues(d, on_queue, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(celery_dead_count(d, "none", &count, NULL), 0);
    assert_int_equal(count, 0);
    celery_dead_close(d);
}

static void test_replay_puts_one_back_as_it_was(void **state)
{
    celery_dead *d = open_dead();
    const celery_dead_entry *e;
    char command[300], out[600] = "";
    FILE *pipe;

    assert_int_equal(celery_dead_find(d, "q", "i-2", &e, NULL), CELERY_NONE);
    assert_int_equal(celery_dead_find(d, "q", "i-1", &e, NULL), 0);
    assert_string_equal(e->task, "t.one");
    assert_int_equal(celery_dead_replay(d, e, NULL), 0);
    assert_int_equal(llen("q\x06\x16"
                          "6"),
                     1);
    assert_int_equal(llen("q.celery-c.dead"), 2);
    assert_int_equal(celery_dead_replay(d, e, NULL), CELERY_NONE);
    assert_int_equal(celery_dead_at(d, "q", 7, &e, NULL), CELERY_NONE);
    celery_dead_close(d);
    snprintf(command, sizeof command,
             "redis-cli -s %s rpop 'q\x06\x16"
             "6'",
             redis_server_socket(server));
    pipe = popen(command, "r");
    assert_non_null(fgets(out, sizeof out, pipe));
    pclose(pipe);
    assert_string_equal(out, GOOD "\n");
}

static void redis_cli(const char *words)
{
    char command[300];

    snprintf(command, sizeof command, "redis-cli -s %s %s >/dev/null",
             redis_server_socket(server), words);
    assert_int_equal(system(command), 0);
}

static void test_a_place_that_moved_is_no_matter(void **state)
{
    celery_dead *d = open_dead();
    const celery_dead_entry *e;

    assert_int_equal(celery_dead_at(d, "q", 2, &e, NULL), 0);
    redis_cli("rpop q.celery-c.dead");
    redis_cli("lpush q.celery-c.dead other");
    assert_int_equal(celery_dead_remove(d, e, NULL), 0);
    assert_int_equal(llen("q.celery-c.dead"), 2);
    assert_int_equal(celery_dead_remove(d, e, NULL), CELERY_NONE);
    assert_int_equal(llen("q.celery-c.dead"), 2);
    celery_dead_close(d);
}

static void test_a_refused_push_loses_nothing(void **state)
{
    celery_dead *d = open_dead();
    const celery_dead_entry *e;
    celery_error err = {0};

    redis_cli("set q x");
    assert_int_equal(celery_dead_at(d, "q", 2, &e, NULL), 0);
    assert_true(celery_dead_replay(d, e, &err) < 0);
    assert_non_null(strstr(err.message, "WRONGTYPE"));
    assert_int_equal(llen("q.celery-c.dead"), 3);
    celery_dead_close(d);
}

static void test_replay_all_and_purge(void **state)
{
    celery_dead *d = open_dead();
    const celery_dead_entry *e;
    size_t n = 0;

    assert_int_equal(celery_dead_at(d, "q", 2, &e, NULL), 0);
    assert_int_equal(celery_dead_remove(d, e, NULL), 0);
    assert_int_equal(llen("q.celery-c.dead"), 2);
    assert_int_equal(celery_dead_replay_all(d, "q", &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(llen("q") + llen("q\x06\x16"
                                      "6"),
                     2);
    assert_int_equal(llen("q.celery-c.dead"), 0);
    park_three(NULL);
    assert_int_equal(celery_dead_purge(d, "q", &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(llen("q.celery-c.dead"), 0);
    celery_dead_close(d);
}

static void test_a_lost_connection_is_made_anew(void **state)
{
    celery_dead *d = open_dead();
    size_t n = 0;

    redis_cli("client kill type normal");
    celery_dead_count(d, "q", &n, NULL); /* may notice only now */
    assert_int_equal(celery_dead_count(d, "q", &n, NULL), 0);
    assert_int_equal(n, 3);
    celery_dead_close(d);
}

static void test_other_brokers_have_none(void **state)
{
    celery_app *other = celery_app_new("other");
    celery_error err = {0};

    assert_int_equal(celery_app_set(other, "broker_url", "memory://x", &err), 0);
    assert_null(celery_dead_open(other, &err));
    assert_int_equal(err.status, CELERY_ENOTSUP);
    celery_app_free(other);
    assert_int_equal(celery_dead_count(NULL, "q", NULL, NULL), CELERY_EINVAL);
    celery_dead_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_list_shows_the_newest_first, park_three),
        cmocka_unit_test_setup(test_replay_puts_one_back_as_it_was, park_three),
        cmocka_unit_test_setup(test_a_place_that_moved_is_no_matter, park_three),
        cmocka_unit_test_setup(test_a_refused_push_loses_nothing, park_three),
        cmocka_unit_test_setup(test_replay_all_and_purge, park_three),
        cmocka_unit_test_setup(test_a_lost_connection_is_made_anew, park_three),
        cmocka_unit_test(test_other_brokers_have_none),
    };
    int failed;

    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    server = redis_server_start(NULL);
    app = celery_app_new("dead");
    if (!server ||
        celery_app_set(app, "broker_url", redis_server_url(server), NULL) < 0) {
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    celery_app_free(app);
    redis_server_stop(server);
    return failed;
}
