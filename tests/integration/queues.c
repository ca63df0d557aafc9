/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/queue.h: counted, purged, listed, migrated; and results without a broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis_server.h"

#include <celery/queue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct redis_server *server, *other;
static celery_app *app;

static celery_client *open_client(void)
{
    celery_error err = {0};
    celery_client *client = celery_client_open_app(app, &err);

    if (!client) {
        fail_msg("%s", err.message);
    }
    return client;
}

static int flush(void **state)
{
    char command[300];

    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "redis-cli -s %s flushall >/dev/null",
                 redis_server_socket(i ? other : server));
        assert_int_equal(system(command), 0);
    }
    return 0;
}

static void send(celery_client *client, const char *task, size_t n)
{
    celery_error err = {0};

    for (size_t i = 0; i < n; i++) {
        celery_result *result = celery_send(client, task, &err, "[i]", (int)i);

        assert_non_null(result);
        celery_result_free(result);
    }
}

static size_t count(celery_client *client, const char *queue)
{
    celery_error err = {0};
    size_t n = 99;

    assert_int_equal(celery_client_count(client, queue, &n, &err), CELERY_OK);
    return n;
}

static size_t count_other(const char *queue)
{
    celery_error err = {0};
    celery_client *client = celery_client_open(redis_server_url(other), NULL, &err);
    size_t n = count(client, queue);

    celery_client_close(client);
    return n;
}

static void on_name(void *ctx, const char *name)
{
    strncat(ctx, name, 60);
    strncat(ctx, ";", 2);
}

static void test_queues_are_those_of_the_settings(void **state)
{
    celery_client *client = open_client();
    char names[200] = "";
    celery_error err = {0};

    assert_int_equal(celery_client_queues(client, on_name, names, &err), CELERY_OK);
    assert_string_equal(names, "one;two;");
    assert_int_equal(celery_client_queues(NULL, on_name, names, &err), CELERY_EINVAL);
    celery_client_close(client);
}

static void test_counting_and_purging(void **state)
{
    celery_client *client = open_client();
    celery_error err = {0};
    size_t n = 99;

    send(client, "t.one", 3);
    assert_int_equal(count(client, "one"), 3);
    assert_int_equal(count(client, "never"), 0);
    assert_int_equal(celery_client_purge(client, "one", &n, &err), CELERY_OK);
    assert_int_equal(n, 3);
    assert_int_equal(celery_client_purge(client, "one", NULL, &err), CELERY_OK);
    assert_int_equal(count(client, "one"), 0);
    assert_int_equal(celery_client_purge(client, "", &n, &err), CELERY_EINVAL);
    assert_int_equal(celery_client_purge(NULL, "one", &n, &err), CELERY_EINVAL);
    celery_client_close(client);
}

static void on_binding(void *ctx, const celery_binding *b)
{
    size_t *n = ctx;

    assert_string_equal(b->queue, b->exchange);
    assert_string_equal(b->queue, b->routing_key);
    ++*n;
}

static void test_bindings(void **state)
{
    celery_client *client = open_client();
    celery_error err = {0};
    size_t n = 0;

    assert_int_equal(celery_client_bindings(client, on_binding, &n, &err), CELERY_OK);
    assert_int_equal(n, 2);
    celery_client_close(client);
}

/* The server sleeps: an answer is waited for, not for ever; then it goes on. */
static void test_a_server_that_does_not_answer(void **state)
{
    celery_client *client = open_client();
    celery_error err = {0};
    size_t n;

    assert_int_equal(count(client, "one"), 0);
    redis_server_signal(server, SIGSTOP);
    assert_true(celery_client_count(client, "one", &n, &err) < 0);
    assert_true(err.message[0]);
    redis_server_signal(server, SIGCONT);
    assert_int_equal(count(client, "one"), 0);
    celery_client_close(client);
}

struct told {
    size_t tasks, looks;
    size_t stop_at;
};

static bool on_task(void *ctx, const celery_migrated *now)
{
    struct told *t = ctx;

    if (now->task) {
        assert_string_equal(now->task, "t.one");
        assert_int_equal(strlen(now->task_id), 36);
        assert_int_equal(now->count, ++t->tasks);
    } else {
        t->looks++;
    }
    return t->stop_at == 0 || t->tasks < t->stop_at;
}

static void test_migration(void **state)
{
    celery_client *client = open_client();
    celery_error err = {0};
    struct told told = {0};
    celery_migration m = {.on_task = on_task, .ctx = &told, .move = true};
    celery_migrated done;

    send(client, "t.one", 10);
    assert_int_equal(celery_migrate(app, redis_server_url(server),
                                    redis_server_url(other), &m, &done, &err),
                     CELERY_OK);
    assert_int_equal(done.count, 10);
    assert_int_equal(done.total, 10);
    assert_int_equal(done.skipped, 0);
    assert_null(done.task);
    assert_int_equal(told.tasks, 10);
    assert_true(told.looks > 0);
    assert_int_equal(count(client, "one"), 0);
    assert_int_equal(count_other("one"), 10);
    celery_client_close(client);
}

static void test_a_migration_that_is_told_to_end(void **state)
{
    celery_client *client = open_client();
    celery_error err = {0};
    struct told told = {.stop_at = 2};
    celery_migration m = {
        .on_task = on_task, .ctx = &told, .move = true, .forever = true};
    celery_migrated done;

    send(client, "t.one", 500);
    assert_int_equal(celery_migrate(app, redis_server_url(server),
                                    redis_server_url(other), &m, &done, &err),
                     CELERY_OK);
    assert_true(done.count >= 2 && done.count <= 500);
    assert_int_equal(count(client, "one") + done.count, 500);
    assert_int_equal(count_other("one"), done.count);
    celery_client_close(client);
}

static void test_migrations_that_cannot_be(void **state)
{
    celery_error err = {0};
    celery_migrated done;
    const char *url = redis_server_url(server);

    assert_int_equal(celery_migrate(app, NULL, url, NULL, NULL, &err), CELERY_EINVAL);
    assert_int_equal(celery_migrate(NULL, url, url, NULL, NULL, &err), CELERY_EINVAL);
    assert_int_equal(celery_migrate(app, url, url, NULL, &done, &err), CELERY_ECONFIG);
    assert_int_equal(done.count, 0);
    assert_true(
        celery_migrate(app, "redis://:canary@127.0.0.1:1/0", url, NULL, &done, &err) < 0);
    assert_memory_equal(err.message, "source: ", 8);
    assert_null(strstr(err.message, "canary"));
    assert_int_equal(celery_migrate(app, url, "nosuch://:canary@h", NULL, NULL, &err),
                     CELERY_ECONFIG);
    assert_memory_equal(err.message, "destination: ", 13);
    assert_null(strstr(err.message, "canary"));
}

static void test_results_need_no_broker(void **state)
{
    celery_app *lonely = celery_app_new("lonely");
    celery_error err = {0};

    celery_app_set(lonely, "broker_url", "redis://127.0.0.1:1/0", NULL);
    celery_app_set(lonely, "result_backend", redis_server_url(server), NULL);
    assert_null(celery_client_open_app(lonely, &err));
    celery_client *client = celery_client_open_results(lonely, &err);
    assert_non_null(client);
    celery_result *result = celery_result_new(client, "unknown", &err);
    assert_string_equal(celery_result_state(result, &err), "PENDING");
    celery_result_free(result);
    celery_client_close(client);
    celery_app_free(lonely);
    assert_null(celery_client_open_results(NULL, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_queues_are_those_of_the_settings, flush),
        cmocka_unit_test_setup(test_counting_and_purging, flush),
        cmocka_unit_test_setup(test_bindings, flush),
        cmocka_unit_test_setup(test_migration, flush),
        cmocka_unit_test_setup(test_a_migration_that_is_told_to_end, flush),
        cmocka_unit_test_setup(test_migrations_that_cannot_be, flush),
        cmocka_unit_test_setup(test_results_need_no_broker, flush),
        cmocka_unit_test_setup(test_a_server_that_does_not_answer, flush),
    };
    int failed;

    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    server = redis_server_start(NULL);
    other = redis_server_start(NULL);
    app = celery_app_new("queues");
    if (!server || !other ||
        celery_app_set(app, "broker_url", redis_server_url(server), NULL) < 0 ||
        celery_app_set(app, "task_queues", "[\"one\", \"two\"]", NULL) < 0 ||
        celery_app_set(app, "task_default_queue", "one", NULL) < 0) {
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    celery_app_free(app);
    redis_server_stop(server);
    redis_server_stop(other);
    return failed;
}
