/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker and a client in one program: memory:// as broker, results as messages; and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <celery.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static celery_outcome add(celery_task *task)
{
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

struct program {
    celery_app *app;
    celery_worker *worker;
    pthread_t thread;
    celery_status ended;
};

static void *run_worker(void *ctx)
{
    struct program *p = ctx;

    p->ended = celery_worker_run(p->worker, NULL);
    return NULL;
}

static void set(celery_app *app, const char *key, const char *value)
{
    celery_error err = {0};

    if (celery_app_set(app, key, value, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void begin(struct program *p, const char *broker, const char *results,
                  const char *pool)
{
    celery_error err = {0};

    p->app = celery_app_new("one");
    set(p->app, "broker_url", broker);
    set(p->app, "result_backend", results);
    set(p->app, "worker_pool", pool);
    set(p->app, "worker_concurrency", "2");
    celery_app_task(p->app, "one.add", add);
    p->worker = celery_worker_new(p->app, &err);
    if (!p->worker) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(pthread_create(&p->thread, NULL, run_worker, p), 0);
}

static void end(struct program *p)
{
    celery_worker_stop(p->worker);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    assert_int_equal(p->ended, CELERY_OK);
    celery_worker_free(p->worker);
    celery_app_free(p->app);
}

enum { TASKS = 200 };

static void call_many(const char *broker, const char *results)
{
    static celery_result *result[TASKS];
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);

    if (!client) {
        fail_msg("%s", err.message);
    }
    for (int i = 0; i < TASKS; i++) {
        result[i] = celery_send(client, "one.add", &err, "[ii]", i, 1);
        assert_non_null(result[i]);
    }
    for (int i = 0; i < TASKS; i++) {
        json_t *sum = celery_result_wait(result[i], 30, &err);

        if (!sum) {
            fail_msg("%d: %s", i, err.message);
        }
        assert_int_equal(json_integer_value(sum), i + 1);
        json_decref(sum);
        celery_result_free(result[i]);
    }
    celery_client_close(client);
}

static void test_memory(void **state)
{
    static const char *const pools[] = {"threads", "solo", "prefork"};

    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        struct program p = {0};
        char broker[32];

        snprintf(broker, sizeof broker, "memory://%s", pools[i]);
        begin(&p, broker, "rpc://", pools[i]);
        call_many(broker, "rpc://");
        end(&p);
    }
}

static void test_files(void **state)
{
    char folder[] = "/tmp/one-process-XXXXXX";
    char results[64];
    char command[64];
    struct program p = {0};

    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("data_in", 0700), 0);
    assert_int_equal(symlink("data_in", "data_out"), 0);
    snprintf(results, sizeof results, "file://%s", folder);
    begin(&p, "filesystem://", results, "threads");
    call_many("filesystem://", results);
    end(&p);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_files),
    };

    unsetenv("CELERY_BROKER_URL");
    unsetenv("CELERY_RESULT_BACKEND");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
