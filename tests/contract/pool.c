/* SPDX-License-Identifier: BSD-3-Clause */
/* What every pool promises (pool/pool.h), asked of solo, threads and prefork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "pool/pool.h"
#include "pool/task.h"
#include <celery.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 30.0 /* seconds until a test gives up */

/* ---- tasks ---- */

static void nap(double seconds)
{
    double until = cel_clock_mono() + seconds;
    for (double left = seconds; left > 0; left = until - cel_clock_mono()) {
        struct timespec t = {(time_t)left, (long)(fmod(left, 1) * 1e9)};
        nanosleep(&t, NULL);
    }
}

static celery_outcome task_echo(celery_task *task)
{
    return celery_task_return_value(task,
                                    celery_value_at(celery_task_positional(task), 0));
}

static celery_outcome task_fail(celery_task *task)
{
    return celery_task_fail(task, "shop.errors.SoldOut", "no %s left", "tea");
}

static celery_outcome task_nap(celery_task *task)
{
    double seconds = 0;
    celery_value_double(celery_value_at(celery_task_positional(task), 0), &seconds);
    nap(seconds);
    return celery_task_return_none(task);
}

static celery_outcome task_polite(celery_task *task)
{
    double until = cel_clock_mono() + PATIENCE;
    while (!celery_task_should_stop(task) && cel_clock_mono() < until) {
        nap(0.002);
    }
    return celery_task_return_string(task, "stopped", 7);
}

static celery_outcome task_progress(celery_task *task)
{
    for (int i = 1; i <= 3; i++) {
        celery_task_update_state(task, "PROGRESS", json_pack("{s:i}", "n", i));
    }
    return celery_task_return_int(task, 3);
}

/* As the public calls that send from inside a task do it. */
static bool send_texts(celery_task *task, int n)
{
    for (int i = 1; i <= n; i++) {
        char text[16];
        snprintf(text, sizeof text, "message %d", i);
        if (task->hooks.effects(task->hooks.ctx, task->job, cel_slice_of(text)) < 0) {
            return false;
        }
    }
    return true;
}

static celery_outcome task_send(celery_task *task)
{
    return celery_task_return_bool(task, send_texts(task, 3));
}

static celery_outcome task_send_crash(celery_task *task)
{
    send_texts(task, 3);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return CELERY_SUCCEEDED;
}

static celery_outcome task_crash(celery_task *task)
{
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return CELERY_SUCCEEDED;
}

static celery_outcome task_exit(celery_task *task)
{
    _exit(3);
}

static celery_outcome task_pid(celery_task *task)
{
    return celery_task_return_int(task, getpid());
}

static celery_outcome task_big(celery_task *task)
{
    int64_t size = 0;
    celery_value_int(celery_value_at(celery_task_positional(task), 0), &size);
    char *text = malloc((size_t)size);
    memset(text, 'x', (size_t)size);
    celery_outcome outcome = celery_task_return_string(task, text, (size_t)size);
    free(text);
    return outcome;
}

static volatile sig_atomic_t soft_calls;

static void on_soft(void *ctx)
{
    soft_calls++;
}

static celery_outcome task_at_once(celery_task *task)
{
    soft_calls = 0;
    celery_task_on_soft_limit(task, on_soft, NULL, true);
    double until = cel_clock_mono() + PATIENCE;
    while (!soft_calls && cel_clock_mono() < until) {
        nap(0.002);
    }
    celery_task_should_stop(task);
    return celery_task_return_int(task, soft_calls);
}

static const struct {
    const char *name;
    celery_task_fn fn;
} tasks[] = {
    {"echo", task_echo},         {"fail", task_fail},   {"nap", task_nap},
    {"polite", task_polite},     {"crash", task_crash}, {"exit", task_exit},
    {"progress", task_progress}, {"pid", task_pid},     {"big", task_big},
    {"at_once", task_at_once},   {"send", task_send},   {"send_crash", task_send_crash},
};

/* ---- a pool and what it tells ---- */

enum { MAX_JOBS = 20000 };

struct order {
    struct cel_job job;
    char id[24];
    char *body;
    int accepted, finished, lost, recalled, states, sent, soft;
    bool timed_out, stuck;
    int wait_status;
    int pid;
    char process[CEL_POOL_NAME];
    enum cel_outcome_kind kind;
    char *result;
    char exc_type[40], exc_module[40];
    char *traceback;
    enum cel_call_fault fault;
    double ended;
};

struct bench {
    celery_app *app;
    struct cel_loop *loop;
    struct cel_pool *pool;
    struct order *orders;
    unsigned n_orders;
    unsigned next; /* to submit */
    unsigned ended;
    bool misordered;
    unsigned kill_each; /* kill -9 a child after so many ends */
    unsigned kills;
};

static struct order *order_of(struct cel_job *job)
{
    return (struct order *)job;
}

static void copy(char *text, size_t size, struct cel_slice s)
{
    snprintf(text, size, "%.*s", (int)s.len, s.data ? s.data : "");
}

static void on_accepted(void *ctx, struct cel_job *job, int pid, const char *name)
{
    struct order *o = order_of(job);
    copy(o->process, sizeof o->process, cel_slice_of(name));
    o->accepted++;
    o->pid = pid;
}

static void on_state(void *ctx, struct cel_job *job, struct cel_slice state,
                     struct cel_slice meta_json)
{
    struct bench *b = ctx;
    struct order *o = order_of(job);
    char want[20];
    snprintf(want, sizeof want, "{\"n\": %d}", ++o->states);
    b->misordered |= o->accepted != 1 || o->finished ||
                     !cel_slice_is(state, "PROGRESS") || !cel_slice_is(meta_json, want);
}

static void on_effects(void *ctx, struct cel_job *job, struct cel_slice effects)
{
    struct bench *b = ctx;
    struct order *o = order_of(job);
    char want[20];
    snprintf(want, sizeof want, "message %d", ++o->sent);
    b->misordered |=
        o->accepted != 1 || o->finished || o->lost || !cel_slice_is(effects, want);
}

static void feed(struct bench *b)
{
    while (b->next < b->n_orders && b->pool->ops->room(b->pool) > 0) {
        b->pool->ops->submit(b->pool, &b->orders[b->next++].job);
    }
}

static void on_finished(void *ctx, struct cel_job *job, const struct cel_outcome *outcome)
{
    struct bench *b = ctx;
    struct order *o = order_of(job);
    b->misordered |= o->accepted != 1 || o->finished || o->lost || o->recalled;
    o->finished++;
    o->kind = outcome->kind;
    o->fault = outcome->fault;
    o->result = strndup(outcome->result_json.data ? outcome->result_json.data : "",
                        outcome->result_json.len);
    o->traceback = strndup(outcome->traceback.data ? outcome->traceback.data : "",
                           outcome->traceback.len);
    copy(o->exc_type, sizeof o->exc_type, outcome->exc_type);
    copy(o->exc_module, sizeof o->exc_module, outcome->exc_module);
    o->ended = cel_clock_mono();
    b->ended++;
    if (b->kill_each && b->ended % b->kill_each == 0) {
        int pids[16];
        size_t n = b->pool->ops->pids(b->pool, pids, 16);
        if (n > 0) {
            kill(pids[b->ended / b->kill_each % n], SIGKILL);
            b->kills++;
        }
    }
    feed(b);
}

static void on_lost(void *ctx, struct cel_job *job, int wait_status, bool timed_out)
{
    struct bench *b = ctx;
    struct order *o = order_of(job);
    b->misordered |= o->accepted != 1 || o->finished || o->lost || o->recalled;
    o->lost++;
    o->wait_status = wait_status;
    o->timed_out = timed_out;
    o->ended = cel_clock_mono();
    b->ended++;
    feed(b);
}

static void on_soft_limit(void *ctx, struct cel_job *job)
{
    order_of(job)->soft++;
}

static void on_room(void *ctx)
{
    feed(ctx);
}

static void on_stuck(void *ctx, struct cel_job *job)
{
    order_of(job)->stuck = true;
}

static const struct cel_pool_events events = {
    .accepted = on_accepted,
    .state = on_state,
    .effects = on_effects,
    .finished = on_finished,
    .lost = on_lost,
    .soft_limit = on_soft_limit,
    .room = on_room,
    .stuck = on_stuck,
};

static struct bench *setup_with(const struct cel_pool_ops *ops, int64_t max_tasks,
                                int64_t max_memory)
{
    static const char *const accept[] = {"json", NULL};
    struct bench *b = cel_calloc(1, sizeof *b);
    celery_error err = {0};
    b->orders = cel_calloc(MAX_JOBS, sizeof *b->orders);
    b->app = celery_app_new("test");
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        assert_int_equal(celery_app_task(b->app, tasks[i].name, tasks[i].fn), CELERY_OK);
    }
    assert_int_equal(cel_app_freeze(b->app, &err), CELERY_OK);
    struct cel_pool_options options = {
        .app = b->app,
        .hostname = "w@test",
        .slots = ops == &cel_pool_solo ? 1 : 2,
        .max_tasks_per_child = max_tasks,
        .max_memory_per_child = max_memory,
        .limits = {.accept = accept},
        .proc_alive_timeout = 4,
    };
    assert_int_equal(cel_pool_new(ops, &options, &events, b, &b->pool, &err), CELERY_OK);
    assert_int_equal(ops->prepare(b->pool, &err), CELERY_OK);
    assert_int_equal(cel_loop_new(&b->loop, &err), CELERY_OK);
    b->pool->loop = b->loop;
    celery_status status = ops->start(b->pool, &err);
    if (status < 0) {
        print_error("%s\n", err.message);
    }
    assert_int_equal(status, CELERY_OK);
    return b;
}

static struct bench *set_up(void **state)
{
    return setup_with(*state, 0, 0);
}

static void tear_down(struct bench *b)
{
    assert_false(b->misordered);
    cel_pool_free(b->pool);
    cel_loop_free(b->loop);
    celery_app_free(b->app);
    for (unsigned i = 0; i < b->n_orders; i++) {
        cel_free(b->orders[i].body);
        free(b->orders[i].result);
        free(b->orders[i].traceback);
    }
    cel_free(b->orders);
    cel_free(b);
}

/* A job of the task with these arguments (JSON array), not submitted yet. */
static struct order *add(struct bench *b, const char *task, const char *args)
{
    assert_true(b->n_orders < MAX_JOBS);
    struct order *o = &b->orders[b->n_orders++];
    size_t size = strlen(args) + 16;
    snprintf(o->id, sizeof o->id, "id-%u", b->n_orders);
    o->body = cel_alloc(size);
    snprintf(o->body, size, "[%s, {}, null]", args);
    o->job.task = cel_app_find_task(b->app, cel_slice_of(task));
    assert_non_null(o->job.task);
    o->job.call.id = cel_slice_of(o->id);
    o->job.call.task = cel_slice_of(task);
    o->job.call.protocol = 2;
    o->job.body = cel_slice_of(o->body);
    o->job.content_type = CEL_SLICE("application/json");
    o->job.number = b->n_orders;
    return o;
}

static void turn_until(struct bench *b, const unsigned *count, unsigned wanted)
{
    double until = cel_clock_mono() + PATIENCE;
    while (*count < wanted && cel_clock_mono() < until) {
        cel_loop_pass(b->loop, 0.1);
    }
    assert_true(*count >= wanted);
}

static void turn_for(struct bench *b, double seconds)
{
    double until = cel_clock_mono() + seconds;
    while (cel_clock_mono() < until) {
        cel_loop_pass(b->loop, 0.01);
    }
}

static void run_all(struct bench *b)
{
    feed(b);
    turn_until(b, &b->ended, b->n_orders);
}

/* ---- of every pool ---- */

static void test_a_value_comes_back(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "echo", "[{\"a\": [1, 2.5, \"\\u00e9\", null, NaN]}]");
    run_all(b);
    assert_int_equal(o->kind, CEL_OUTCOME_SUCCESS);
    assert_string_equal(o->result, "{\"a\": [1, 2.5, \"\\u00e9\", null, NaN]}");
    assert_int_equal(o->accepted, 1);
    /* Whoever reads the log finds the child by this name, as in Celery's. */
    bool has_children = *state == &cel_pool_prefork;
    assert_int_equal(strncmp(o->process, "ForkPoolWorker-", 15) == 0, has_children);
    assert_int_equal(o->process[0] != '\0', has_children);
    assert_int_equal(o->pid != 0, has_children);
    tear_down(b);
}

static void test_an_exception_comes_back(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "fail", "[]");
    run_all(b);
    assert_int_equal(o->kind, CEL_OUTCOME_FAILURE);
    assert_string_equal(o->exc_type, "SoldOut");
    assert_string_equal(o->exc_module, "shop.errors");
    assert_string_equal(o->traceback, "Traceback (most recent call last):\n"
                                      "  C task \"fail\"\n"
                                      "shop.errors.SoldOut: no tea left\n");
    tear_down(b);
}

static void test_states_come_in_order(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 50; i++) {
        add(b, "progress", "[]");
    }
    run_all(b);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(b->orders[i].states, 3);
    }
    tear_down(b);
}

static void test_what_a_task_sends_comes_before_its_end(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 50; i++) {
        add(b, "send", "[]");
    }
    run_all(b);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(b->orders[i].sent, 3);
        assert_string_equal(b->orders[i].result, "true");
    }
    tear_down(b);
}

static void test_what_a_task_sent_outlives_its_process(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "send_crash", "[]");
    run_all(b);
    assert_int_equal(o->lost, 1);
    assert_int_equal(o->sent, 3);
    tear_down(b);
}

static void test_a_bad_body_is_reported_as_such(void **state)
{
    struct bench *b = set_up(state);
    struct order *broken = add(b, "echo", "[1");
    struct order *pickled = add(b, "echo", "[1]");
    pickled->job.content_type = CEL_SLICE("application/x-python-serialize");
    struct order *good = add(b, "echo", "[1]");
    run_all(b);
    assert_int_equal(broken->kind, CEL_OUTCOME_MALFORMED);
    assert_int_equal(broken->fault, CEL_CALL_DECODE);
    assert_int_equal(pickled->kind, CEL_OUTCOME_MALFORMED);
    assert_int_equal(pickled->fault, CEL_CALL_CONTENT);
    assert_int_equal(good->kind, CEL_OUTCOME_SUCCESS);
    tear_down(b);
}

static void test_a_flood_ends_once_each(void **state)
{
    struct bench *b = set_up(state);
    char args[24];
    for (int i = 0; i < 10000; i++) {
        snprintf(args, sizeof args, "[%d]", i);
        add(b, "echo", args);
    }
    run_all(b);
    for (int i = 0; i < 10000; i++) {
        snprintf(args, sizeof args, "%d", i);
        assert_int_equal(b->orders[i].finished, 1);
        assert_string_equal(b->orders[i].result, args);
    }
    tear_down(b);
}

static void test_large_bodies_and_results(void **state)
{
    struct bench *b = set_up(state);
    char *args = cel_alloc(3000010);
    memset(args, 'y', 3000004);
    memcpy(args, "[\"", 2);
    memcpy(args + 3000002, "\"]", 3);
    for (int i = 0; i < 6; i++) {
        add(b, "echo", args);
        add(b, "big", "[5000000]");
        add(b, "big", "[40000]");
    }
    run_all(b);
    for (int i = 0; i < 18; i++) {
        assert_int_equal(strlen(b->orders[i].result), i % 3 == 0   ? 3000002
                                                      : i % 3 == 1 ? 5000002
                                                                   : 40002);
    }
    cel_free(args);
    tear_down(b);
}

static void test_the_soft_limit_is_told(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "polite", "[]");
    o->job.soft_limit = 0.05;
    run_all(b);
    assert_string_equal(o->result, "\"stopped\"");
    assert_int_equal(o->soft, 1);
    tear_down(b);
}

static void test_what_is_recalled_never_runs(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 300; i++) {
        add(b, "nap", "[0]");
    }
    run_all(b); /* now the pool knows that they are short */
    unsigned first = b->n_orders;
    for (int i = 0; i < 60; i++) {
        add(b, "nap", "[0.001]");
    }
    feed(b);
    unsigned recalled = 0;
    for (int pass = 0; pass < 3; pass++) {
        for (unsigned i = b->next; i-- > first;) {
            struct order *o = &b->orders[i];
            if (i % 2 && !o->finished && !o->recalled &&
                b->pool->ops->recall(b->pool, &o->job) == CELERY_OK) {
                o->recalled = 1;
                recalled++;
            }
        }
        cel_loop_pass(b->loop, 0.001);
    }
    assert_true(recalled > 0);
    turn_until(b, &b->ended, b->n_orders - recalled);
    turn_for(b, 0.05);
    for (unsigned i = first; i < b->n_orders; i++) {
        assert_int_equal(b->orders[i].finished + b->orders[i].recalled, 1);
    }
    tear_down(b);
}

/* Every third one has expired by the time that there is a place for it. */
static bool wanted(void *ctx, struct cel_job *job)
{
    struct bench *b = ctx;
    struct order *o = order_of(job);
    if ((o - b->orders) % 3 != 0) {
        return true;
    }
    assert_int_equal(b->pool->ops->recall(b->pool, job), CELERY_OK);
    o->recalled++;
    b->ended++;
    return false;
}

static void test_what_is_not_wanted_any_more_never_runs(void **state)
{
    struct bench *b = set_up(state);
    struct cel_pool_events own = events;
    own.wanted = wanted;
    b->pool->events = &own;
    for (int i = 0; i < 90; i++) {
        add(b, "nap", "[0.001]");
    }
    run_all(b);
    for (unsigned i = 0; i < b->n_orders; i++) {
        assert_int_equal(b->orders[i].recalled, i % 3 == 0);
        assert_int_equal(b->orders[i].finished, i % 3 != 0);
    }
    tear_down(b);
}

/* ---- of pools with several members ---- */

static void test_nothing_waits_behind_a_slow_task(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 500; i++) {
        add(b, "nap", "[0]");
    }
    run_all(b);
    unsigned first = b->n_orders;
    for (int i = 0; i < 60; i++) {
        add(b, "nap", i == 25 ? "[0.6]" : "[0]");
    }
    double start = cel_clock_mono();
    run_all(b);
    struct order *slow = &b->orders[first + 25];
    assert_true(slow->ended - start >= 0.6);
    for (unsigned i = first; i < b->n_orders; i++) {
        if (&b->orders[i] != slow) {
            assert_true(b->orders[i].ended < start + 0.4);
        }
    }
    tear_down(b);
}

static void test_unknown_tasks_are_not_queued_behind_each_other(void **state)
{
    struct bench *b = set_up(state);
    assert_int_equal(b->pool->ops->room(b->pool), 2);
    add(b, "nap", "[0.2]");
    add(b, "nap", "[0.2]");
    double start = cel_clock_mono();
    run_all(b);
    assert_true(cel_clock_mono() - start < 0.39);
    tear_down(b);
}

static void test_resize(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 2000; i++) {
        add(b, "echo", "[1]");
    }
    feed(b);
    turn_until(b, &b->ended, 100);
    assert_int_equal(b->pool->ops->resize(b->pool, 4), CELERY_OK);
    turn_until(b, &b->ended, 1000);
    assert_int_equal(b->pool->ops->resize(b->pool, 1), CELERY_OK);
    run_all(b);
    turn_for(b, 0.2);
    int pids[16];
    assert_int_equal(b->pool->ops->pids(b->pool, pids, 16), 1);
    add(b, "nap", "[0.01]");
    add(b, "nap", "[0.01]");
    run_all(b);
    assert_int_equal(b->pool->ops->resize(b->pool, 2), CELERY_OK);
    add(b, "nap", "[0.3]");
    add(b, "nap", "[0.3]");
    double start = cel_clock_mono();
    run_all(b);
    assert_true(cel_clock_mono() - start < 0.58);
    tear_down(b);
}

static void test_interrupt(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "polite", "[]");
    feed(b);
    turn_for(b, 0.05);
    assert_int_equal(o->finished, 0);
    b->pool->ops->interrupt(b->pool, &o->job);
    turn_until(b, &b->ended, 1);
    assert_string_equal(o->result, "\"stopped\"");
    tear_down(b);
}

/* ---- threads ---- */

static void test_a_stuck_thread_is_given_up(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "nap", "[0.4]");
    o->job.hard_limit = 0.05;
    struct order *other = add(b, "echo", "[1]");
    run_all(b);
    assert_true(o->stuck && o->lost && o->timed_out);
    assert_int_equal(other->finished, 1);
    turn_for(b, 0.5);
    assert_int_equal(o->finished, 0);
    add(b, "nap", "[0.2]");
    add(b, "nap", "[0.2]");
    double start = cel_clock_mono();
    run_all(b); /* the thread came back, and works */
    assert_true(cel_clock_mono() - start < 0.39);
    tear_down(b);
}

/* ---- prefork ---- */

static void test_a_crash_hurts_only_its_own_task(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 200; i++) {
        add(b, i == 50 ? "crash" : i == 120 ? "exit" : "echo", "[1]");
    }
    run_all(b);
    for (int i = 0; i < 200; i++) {
        struct order *o = &b->orders[i];
        if (i == 50) {
            assert_true(o->lost && WIFSIGNALED(o->wait_status));
            assert_int_equal(WTERMSIG(o->wait_status), SIGSEGV);
        } else if (i == 120) {
            assert_true(o->lost && WIFEXITED(o->wait_status));
            assert_int_equal(WEXITSTATUS(o->wait_status), 3);
        } else {
            assert_int_equal(o->finished, 1);
        }
        assert_false(o->timed_out);
    }
    tear_down(b);
}

static void test_crash_after_crash(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 6; i++) {
        add(b, "crash", "[]");
    }
    add(b, "echo", "[1]");
    run_all(b);
    assert_int_equal(b->orders[6].finished, 1);
    tear_down(b);
}

static void test_random_kills_lose_one_task_each_at_most(void **state)
{
    struct bench *b = set_up(state);
    for (int i = 0; i < 12000; i++) {
        add(b, "echo", "[\"some text to make it longer\"]");
    }
    b->kill_each = 1000;
    run_all(b);
    unsigned lost = 0;
    for (int i = 0; i < 12000; i++) {
        assert_int_equal(b->orders[i].finished + b->orders[i].lost, 1);
        lost += (unsigned)b->orders[i].lost;
    }
    assert_true(b->kills > 5);
    assert_true(lost <= b->kills);
    tear_down(b);
}

static void test_the_hard_limit_kills(void **state)
{
    struct bench *b = set_up(state);
    struct order *slow = add(b, "nap", "[20]");
    slow->job.hard_limit = 0.1;
    slow->job.soft_limit = 0.05;
    struct order *other = add(b, "nap", "[0.2]");
    double start = cel_clock_mono();
    run_all(b);
    assert_true(cel_clock_mono() - start < 5);
    assert_int_equal(slow->soft, 1);
    assert_true(slow->lost && slow->timed_out);
    assert_int_equal(other->finished, 1);
    struct order *next = add(b, "echo", "[1]");
    run_all(b);
    assert_int_equal(next->finished, 1);
    tear_down(b);
}

static void test_at_once_is_called_in_the_signal(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "at_once", "[]");
    o->job.soft_limit = 0.05;
    run_all(b);
    assert_string_equal(o->result, "1");
    tear_down(b);
}

static void test_kill_hits_the_running_job_alone(void **state)
{
    struct bench *b = set_up(state);
    struct order *o = add(b, "nap", "[20]");
    struct order *other = add(b, "nap", "[0.3]");
    feed(b);
    turn_for(b, 0.1);
    assert_int_equal(b->pool->ops->kill(b->pool, &o->job, SIGTERM), CELERY_OK);
    turn_until(b, &b->ended, 2);
    assert_true(o->lost && !o->timed_out);
    assert_int_equal(WTERMSIG(o->wait_status), SIGTERM);
    assert_int_equal(other->finished, 1);
    tear_down(b);
}

static void test_children_are_replaced_after_so_many_tasks(void **state)
{
    struct bench *b = setup_with(*state, 3, 0);
    for (int i = 0; i < 30; i++) {
        add(b, "pid", "[]");
    }
    run_all(b);
    for (int i = 0; i < 30; i++) {
        int same = 0;
        for (int k = 0; k < 30; k++) {
            same += strcmp(b->orders[i].result, b->orders[k].result) == 0;
        }
        assert_true(same <= 3);
    }
    tear_down(b);
}

static void test_children_are_replaced_when_they_have_grown(void **state)
{
    struct bench *b = setup_with(*state, 0, 1); /* KiB: all have */
    for (int i = 0; i < 10; i++) {
        add(b, "pid", "[]");
    }
    run_all(b);
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(b->orders[i].result, b->orders[k].result);
            assert_string_not_equal(b->orders[i].process, b->orders[k].process);
        }
    }
    tear_down(b);
}

static void test_the_fork_server_is_replaced(void **state)
{
    struct bench *b = set_up(state);
    add(b, "echo", "[1]");
    run_all(b);
    struct order *running = add(b, "nap", "[20]");
    feed(b);
    turn_for(b, 0.1);
    char path[64];
    int server = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", running->pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %*s %*c %d", &server), 1);
    fclose(f);
    assert_int_not_equal(server, getpid());
    kill(server, SIGKILL);
    turn_until(b, &b->ended, 2);
    assert_true(running->lost);
    struct order *next = add(b, "echo", "[1]");
    run_all(b);
    assert_int_equal(next->finished, 1);
    tear_down(b);
}

static bool is_gone(int pid)
{
    char path[64];
    char life = 'X';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f) {
        if (fscanf(f, "%*d %*s %c", &life) != 1) {
            life = 'X';
        }
        fclose(f);
    }
    return life == 'X' || life == 'Z';
}

static void test_children_die_with_their_parent(void **state)
{
    int *pids =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct bench *b = set_up(state);
        add(b, "nap", "[20]");
        feed(b);
        turn_for(b, 0.2);
        b->pool->ops->pids(b->pool, pids, 2);
        raise(SIGKILL);
    }
    waitpid(parent, NULL, 0);
    assert_true(pids[0] > 0 && pids[1] > 0);
    double until = cel_clock_mono() + PATIENCE;
    while (!(is_gone(pids[0]) && is_gone(pids[1])) && cel_clock_mono() < until) {
        nap(0.01);
    }
    assert_true(is_gone(pids[0]) && is_gone(pids[1]));
    munmap(pids, 4096);
}

static void test_the_end_leaves_no_process(void **state)
{
    struct bench *b = set_up(state);
    add(b, "nap", "[20]");
    feed(b);
    turn_for(b, 0.1);
    int pids[4];
    size_t n = b->pool->ops->pids(b->pool, pids, 4);
    assert_int_equal(n, 2);
    tear_down(b);
    assert_true(is_gone(pids[0]) && is_gone(pids[1]));
}

/* ---- */

/* Wherever memory runs out, every job ends once. */
static void test_no_memory_loses_no_job(void **state)
{
    struct bench *b = set_up(state);
    char *args = cel_alloc(100010);
    memset(args, 'y', 100004);
    memcpy(args, "[\"", 2);
    memcpy(args + 100002, "\"]", 3);
    add(b, "echo", "[1]");
    run_all(b);
    for (unsigned long nth = 1; nth < 60; nth++) {
        for (int i = 0; i < 4; i++) {
            add(b, "echo", i == 1 ? args : "[1]");
        }
        cel_alloc_fail_at(nth, 0);
        run_all(b);
        cel_alloc_fail_at(0, 0);
    }
    for (unsigned i = 0; i < b->n_orders; i++) {
        assert_int_equal(b->orders[i].finished + b->orders[i].lost, 1);
    }
    cel_free(args);
    tear_down(b);
}

static int stop_ctx_calls;

static void stop_at_end(void *ctx, struct cel_job *job, const struct cel_outcome *outcome)
{
    struct bench *b = ctx;
    stop_ctx_calls++;
    b->pool->ops->stop(b->pool);
    b->ended++;
}

static void test_stop_inside_an_event(void **state)
{
    struct bench *b = set_up(state);
    struct cel_pool_events own = events;
    own.finished = stop_at_end;
    b->pool->events = &own;
    stop_ctx_calls = 0;
    for (int i = 0; i < 4; i++) {
        add(b, "echo", "[1]");
    }
    feed(b);
    turn_until(b, &b->ended, 1);
    turn_for(b, 0.05);
    assert_int_equal(stop_ctx_calls, 1);
    b->pool->ops->stop(b->pool); /* once more is harmless */
    tear_down(b);
}

#define T(test, ops) cmocka_unit_test_prestate(test, (void *)(ops))

int main(int argc, char **argv)
{
    const struct cel_pool_ops *ops = cel_pool_find(argc > 1 ? argv[1] : "solo", NULL);
    if (!ops) {
        return 2;
    }
    const struct CMUnitTest all[] = {
        T(test_what_a_task_sends_comes_before_its_end, ops),
        T(test_a_value_comes_back, ops),
        T(test_an_exception_comes_back, ops),
        T(test_states_come_in_order, ops),
        T(test_a_bad_body_is_reported_as_such, ops),
        T(test_a_flood_ends_once_each, ops),
        T(test_large_bodies_and_results, ops),
        T(test_the_soft_limit_is_told, ops),
        T(test_what_is_recalled_never_runs, ops),
        T(test_what_is_not_wanted_any_more_never_runs, ops),
        T(test_stop_inside_an_event, ops),
        T(test_no_memory_loses_no_job, ops),
    };
    const struct CMUnitTest several[] = {
        T(test_nothing_waits_behind_a_slow_task, ops),
        T(test_unknown_tasks_are_not_queued_behind_each_other, ops),
        T(test_resize, ops),
        T(test_interrupt, ops),
    };
    const struct CMUnitTest threads[] = {
        T(test_a_stuck_thread_is_given_up, ops),
    };
    const struct CMUnitTest prefork[] = {
        T(test_a_crash_hurts_only_its_own_task, ops),
        T(test_crash_after_crash, ops),
        T(test_what_a_task_sent_outlives_its_process, ops),
        T(test_random_kills_lose_one_task_each_at_most, ops),
        T(test_the_hard_limit_kills, ops),
        T(test_at_once_is_called_in_the_signal, ops),
        T(test_kill_hits_the_running_job_alone, ops),
        T(test_children_are_replaced_after_so_many_tasks, ops),
        T(test_children_are_replaced_when_they_have_grown, ops),
        T(test_the_fork_server_is_replaced, ops),
        T(test_children_die_with_their_parent, ops),
        T(test_the_end_leaves_no_process, ops),
    };
    int failed = cmocka_run_group_tests_name("every pool", all, NULL, NULL);
    if (ops != &cel_pool_solo) {
        failed += cmocka_run_group_tests_name("several members", several, NULL, NULL);
    }
    if (ops == &cel_pool_threads) {
        failed += cmocka_run_group_tests_name("threads", threads, NULL, NULL);
    }
    if (ops == &cel_pool_prefork) {
        failed += cmocka_run_group_tests_name("prefork", prefork, NULL, NULL);
    }
    return failed;
}
