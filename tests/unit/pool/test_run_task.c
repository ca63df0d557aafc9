/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "pool/run_task.h"
#include <celery.h>
#include <stdio.h>

/* ---- one function at a time, chosen by the test ---- */

static celery_task_fn body_fn;

static celery_outcome call_body(celery_task *task)
{
    return body_fn(task);
}

static struct cel_task_def def = {
    .name = (char *)"shop.buy",
    .fn = call_body,
    .function = (char *)"buy",
    .max_retries = -2,
    .default_retry_delay = 180,
};

struct said {
    int states;
    char last[200];
    char log[200];
    unsigned stop;
};

static void on_state(void *ctx, struct cel_job *job, struct cel_slice state,
                     struct cel_slice meta_json)
{
    struct said *s = ctx;
    s->states++;
    snprintf(s->last, sizeof s->last, "%.*s %.*s", (int)state.len, state.data,
             (int)meta_json.len, meta_json.data);
}

static void on_log(void *ctx, celery_log_level level, struct cel_slice text)
{
    struct said *s = ctx;
    snprintf(s->log, sizeof s->log, "%d %.*s", (int)level, (int)text.len, text.data);
}

static unsigned on_stopping(void *ctx)
{
    return ((struct said *)ctx)->stop;
}

static struct said said;
static struct cel_runner *runner;
static celery_app *app;

static int set_up(void **state)
{
    static const char *const accept[] = {"json", NULL};
    struct cel_call_limits limits = {.accept = accept};
    struct cel_run_hooks hooks = {
        .ctx = &said,
        .state = on_state,
        .log = on_log,
        .stopping = on_stopping,
    };
    memset(&said, 0, sizeof said);
    app = celery_app_new("test");
    runner = cel_runner_new(app, "w@host", &limits, &hooks);
    return runner ? 0 : -1;
}

static int tear_down(void **state)
{
    runner = cel_runner_free(runner);
    celery_app_free(app);
    return 0;
}

static struct cel_job job_with(const char *body)
{
    return (struct cel_job){
        .task = &def,
        .call = {.id = CEL_SLICE("the-id"),
                 .task = CEL_SLICE("shop.buy"),
                 .protocol = 2,
                 .group_index = -1,
                 .eta_us = INT64_MIN,
                 .expires_us = INT64_MIN},
        .body = cel_slice_of(body),
        .content_type = CEL_SLICE("application/json"),
        .headers =
            CEL_SLICE("{\"lang\": \"py\", \"x\": [1]}, \"properties\": {\"app_id\": 7}}"),
        .routing_key = CEL_SLICE("celery"),
    };
}

static struct cel_outcome run(struct cel_job *job, celery_task_fn fn)
{
    struct cel_outcome outcome;
    body_fn = fn;
    cel_runner_run(runner, job, &outcome);
    return outcome;
}

static struct cel_outcome run_body(const char *body, celery_task_fn fn)
{
    struct cel_job job = job_with(body);
    return run(&job, fn);
}

#define NO_ARGS "[[], {}, null]"

/* NUL-terminated, for asserts; a few at a time. */
static const char *text(struct cel_slice s)
{
    static char ring[4][1000];
    static unsigned at;
    char *out = ring[at++ % 4];
    snprintf(out, sizeof ring[0], "%.*s", (int)s.len, s.data ? s.data : "");
    return out;
}

#define assert_text(slice, wanted) assert_string_equal(text(slice), wanted)

static void assert_failure(const struct cel_outcome *o, const char *type,
                           const char *args)
{
    assert_int_equal(o->kind, CEL_OUTCOME_FAILURE);
    assert_text(o->exc_type, type);
    assert_text(o->exc_args, args);
}

/* ---- values ---- */

static celery_outcome sum(celery_task *task)
{
    int64_t x, y;
    if (celery_task_args(task, "x:I y:I", &x, &y) != CELERY_OK) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

static void test_arguments_by_position_and_keyword(void **state)
{
    struct cel_outcome o = run_body("[[2], {\"y\": 3}, null]", sum);
    assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
    assert_text(o.result_json, "5");
    assert_true(o.runtime >= 0);
}

static void test_wrong_arguments_are_a_type_error(void **state)
{
    struct cel_outcome o = run_body("[[2], {}, null]", sum);
    assert_failure(&o, "TypeError",
                   "[\"buy() missing 1 required positional argument: 'y'\"]");
    assert_text(o.exc_module, "builtins");
    assert_text(o.traceback, "Traceback (most recent call last):\n  C task \"shop.buy\"\n"
                             "TypeError: buy() missing 1 required positional argument: "
                             "'y'\n");
}

static celery_outcome identity(celery_task *task)
{
    return celery_task_return_value(task,
                                    celery_value_at(celery_task_positional(task), 0));
}

static void test_identity_loses_nothing(void **state)
{
    static const char *const values[] = {
        "123456789012345678901234567890",
        "NaN",
        "-Infinity",
        "\"\\ud800\"",
        "{\"b\": 1, \"a\": [1.5, null, true]}",
        "{\"__type__\": \"datetime\", \"__value__\": \"2026-11-22T13:02:13\"}",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char body[200];
        snprintf(body, sizeof body, "[[%s], {}, null]", values[i]);
        struct cel_outcome o = run_body(body, identity);
        assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
        assert_text(o.result_json, values[i]);
    }
}

static celery_outcome json_value(celery_task *task)
{
    return celery_task_return(task,
                              json_pack("{s:s, s:[i,b]}", "k", "\xc3\xa9", "l", 1, 1));
}

static celery_outcome json_text(celery_task *task)
{
    return celery_task_return_text(task, " [1,2e400] ", 11);
}

static celery_outcome bad_text(celery_task *task)
{
    return celery_task_return_text(task, "[1", 2);
}

static celery_outcome bad_utf8(celery_task *task)
{
    return celery_task_return_string(task, "a\xff", 2);
}

static celery_outcome floating(celery_task *task)
{
    return celery_task_return_double(task, 1e22);
}

static void test_results_are_written_as_python_writes_them(void **state)
{
    assert_text(run_body(NO_ARGS, json_value).result_json,
                "{\"k\": \"\\u00e9\", \"l\": [1, true]}");
    assert_text(run_body(NO_ARGS, floating).result_json, "1e+22");
    struct cel_outcome o = run_body(NO_ARGS, json_text);
    assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
    o = run_body(NO_ARGS, bad_text);
    assert_int_equal(o.kind, CEL_OUTCOME_FAILURE);
    assert_text(o.exc_type, "ValueError");
    o = run_body(NO_ARGS, bad_utf8);
    assert_text(o.exc_type, "ValueError");
}

static void test_repr_and_arguments_only_when_asked_for(void **state)
{
    struct cel_job job = job_with("[[\"a\"], {}, null]");
    struct cel_outcome o = run(&job, identity);
    assert_int_equal(o.repr.len, 0);
    assert_int_equal(o.args_json.len, 0);
    job.want_repr = job.extended = true;
    o = run(&job, identity);
    assert_text(o.repr, "'a'");
    assert_text(o.args_json, "[\"a\"]");
    assert_text(o.kwargs_json, "{}");
}

/* ---- failures ---- */

static celery_outcome fail_line(celery_task *task)
{
    return celery_task_fail(task, "shop.errors.SoldOut", "no %s left", "tea");
}

static celery_outcome fail_args(celery_task *task)
{
    return celery_task_fail_args(task, "KeyError", json_pack("[s,i]", "k", 3), "TB\n");
}

static celery_outcome fail_text(celery_task *task)
{
    return celery_task_fail_text(task, "ValueError", "[NaN]", 5, NULL);
}

static celery_outcome fail_none(celery_task *task)
{
    return celery_task_fail_args(task, "ValueError", NULL, NULL);
}

static void test_exceptions(void **state)
{
    struct cel_outcome o = run_body(NO_ARGS, fail_line);
    assert_failure(&o, "SoldOut", "[\"no tea left\"]");
    assert_text(o.exc_module, "shop.errors");
    assert_text(o.traceback, "Traceback (most recent call last):\n  C task \"shop.buy\"\n"
                             "shop.errors.SoldOut: no tea left\n");
    o = run_body(NO_ARGS, fail_args);
    assert_failure(&o, "KeyError", "[\"k\", 3]");
    assert_text(o.traceback, "TB\n");
    o = run_body(NO_ARGS, fail_text);
    assert_failure(&o, "ValueError", "[NaN]");
    o = run_body(NO_ARGS, fail_none);
    assert_failure(&o, "ValueError", "[]");
}

static celery_outcome only_failed(celery_task *task)
{
    return CELERY_FAILED;
}

static celery_outcome value_but_failed(celery_task *task)
{
    celery_task_return_int(task, 1);
    return CELERY_FAILED;
}

static celery_outcome failed_but_succeeded(celery_task *task)
{
    celery_task_fail(task, "ValueError", "x");
    return CELERY_SUCCEEDED;
}

static celery_outcome only_succeeded(celery_task *task)
{
    return CELERY_SUCCEEDED;
}

static celery_outcome second_try_of_arguments(celery_task *task)
{
    int64_t n;
    const char *s;
    if (celery_task_args(task, "n:I", &n) != CELERY_OK &&
        celery_task_args(task, "s:s", &s) == CELERY_OK) {
        return CELERY_SUCCEEDED;
    }
    return CELERY_FAILED;
}

static void test_what_is_said_and_what_is_returned(void **state)
{
    struct cel_outcome o = run_body(NO_ARGS, only_failed);
    assert_failure(&o, "RuntimeError", "[\"task failed without saying why\"]");
    o = run_body(NO_ARGS, value_but_failed);
    assert_failure(&o, "RuntimeError", "[\"task failed without saying why\"]");
    o = run_body(NO_ARGS, failed_but_succeeded);
    assert_failure(&o, "ValueError", "[\"x\"]");
    o = run_body(NO_ARGS, only_succeeded);
    assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
    assert_text(o.result_json, "null");
    o = run_body("[[\"a\"], {}, null]", second_try_of_arguments);
    assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
}

/* ---- retry, ignore, reject ---- */

static celery_outcome retry(celery_task *task)
{
    return celery_task_retry(task, -1);
}

static celery_outcome retry_exc(celery_task *task)
{
    return celery_task_retry_exc(task, 1, "ValueError", "x");
}

static void test_retry(void **state)
{
    struct cel_outcome o = run_body(NO_ARGS, retry);
    assert_int_equal(o.kind, CEL_OUTCOME_RETRY);
    assert_true(o.countdown == 180);
    assert_int_equal(o.exc_type.len, 0);
    o = run_body(NO_ARGS, retry_exc);
    assert_int_equal(o.kind, CEL_OUTCOME_RETRY);
    assert_true(o.countdown == 1);
    assert_text(o.exc_type, "ValueError");
    assert_text(o.traceback, "Traceback (most recent call last):\n  C task \"shop.buy\"\n"
                             "celery.exceptions.Retry: Retry in 1s: ValueError('x')\n");
}

static void test_the_last_retry_fails(void **state)
{
    struct cel_job job = job_with("[[1], {\"k\": \"v\"}, null]");
    job.call.retries = 3;
    struct cel_outcome o = run(&job, retry);
    assert_failure(&o, "MaxRetriesExceededError",
                   "[\"Can't retry shop.buy[the-id] args:(1,) kwargs:{'k': 'v'}\"]");
    assert_text(o.exc_module, "celery.exceptions");
    o = run(&job, retry_exc);
    assert_failure(&o, "ValueError", "[\"x\"]");
}

static bool tries_again(int64_t max_retries, int64_t retries)
{
    struct cel_job job = job_with(NO_ARGS);
    struct cel_task_def limited = def;
    limited.max_retries = max_retries;
    job.task = &limited;
    job.call.retries = retries;
    return run(&job, retry_exc).kind == CEL_OUTCOME_RETRY;
}

static void test_how_often_is_celerys_rule(void **state)
{
    assert_true(tries_again(CEL_RETRIES_UNSET, 2));
    assert_false(tries_again(CEL_RETRIES_UNSET, 3));
    assert_true(tries_again(CEL_RETRIES_UNLIMITED, 1000000));
    assert_false(tries_again(0, 0));
    assert_true(tries_again(1, 0));
    assert_false(tries_again(1, 1));
}

static celery_outcome fail_with_reset(celery_task *task)
{
    return celery_task_fail(task, "ConnectionResetError", "gone");
}

static struct cel_outcome run_as(struct cel_task_def *automatic, int64_t retries)
{
    struct cel_job job = job_with(NO_ARGS);
    job.task = automatic;
    job.call.retries = retries;
    return run(&job, fail_with_reset);
}

static void test_named_failures_are_retried(void **state)
{
    char *os_errors[] = {(char *)"OSError", NULL};
    char *resets[] = {(char *)"ConnectionResetError", NULL};
    struct cel_task_def automatic = def;
    automatic.autoretry_for = os_errors;
    automatic.retry_kwargs = (struct cel_retry_kwargs){4, 2.5};
    struct cel_outcome o = run_as(&automatic, 3);
    assert_int_equal(o.kind, CEL_OUTCOME_RETRY);
    assert_true(o.countdown == 2.5);
    assert_text(o.exc_type, "ConnectionResetError");
    o = run_as(&automatic, 4);
    assert_failure(&o, "ConnectionResetError", "[\"gone\"]");
    automatic.dont_autoretry_for = resets;
    o = run_as(&automatic, 0);
    assert_failure(&o, "ConnectionResetError", "[\"gone\"]");
}

static void test_backoff_doubles_up_to_a_maximum(void **state)
{
    char *all[] = {(char *)"Exception", NULL};
    struct cel_task_def automatic = def;
    automatic.autoretry_for = all;
    automatic.max_retries = CEL_RETRIES_UNLIMITED;
    automatic.retry_kwargs = (struct cel_retry_kwargs){CEL_RETRIES_UNSET, -1};
    automatic.retry_backoff = 3.9;
    automatic.retry_backoff_max = 100;
    automatic.retry_jitter = CEL_NO;
    assert_true(run_as(&automatic, 0).countdown == 3);
    assert_true(run_as(&automatic, 2).countdown == 12);
    assert_true(run_as(&automatic, 2000000).countdown == 100);
    automatic.retry_backoff = 0.5;
    assert_true(run_as(&automatic, 1).countdown == 2);
    automatic.retry_jitter = CEL_UNSET;
    for (int i = 0; i < 100; i++) {
        double countdown = run_as(&automatic, 3).countdown;
        assert_true(countdown >= 0 && countdown <= 8);
        assert_true(countdown == (double)(int)countdown);
    }
}

static celery_outcome ignore(celery_task *task)
{
    return celery_task_ignore(task);
}

static celery_outcome reject(celery_task *task)
{
    return celery_task_reject(task, false, "no");
}

static celery_outcome requeue(celery_task *task)
{
    return celery_task_reject(task, true, NULL);
}

static void test_ignore_and_reject(void **state)
{
    assert_int_equal(run_body(NO_ARGS, ignore).kind, CEL_OUTCOME_IGNORE);
    struct cel_outcome o = run_body(NO_ARGS, reject);
    assert_text(o.exc_module, "celery.exceptions");
    assert_text(o.exc_type, "Reject");
    assert_text(o.exc_args, "[\"no\", false]");
    assert_int_equal(o.kind, CEL_OUTCOME_REJECT);
    assert_text(o.reason, "no");
    assert_int_equal(run_body(NO_ARGS, requeue).kind, CEL_OUTCOME_REQUEUE);
}

/* ---- bad bodies ---- */

static void test_a_body_that_is_none(void **state)
{
    static const struct {
        const char *body;
        enum cel_call_fault fault;
    } cases[] = {
        {"[[1], {}", CEL_CALL_DECODE},        {"", CEL_CALL_DECODE},
        {"[{}, {}, null]", CEL_CALL_INVALID}, {"[[], [], null]", CEL_CALL_INVALID},
        {"[[], {}]", CEL_CALL_INVALID},       {"3", CEL_CALL_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_outcome o = run_body(cases[i].body, identity);
        assert_int_equal(o.kind, CEL_OUTCOME_MALFORMED);
        assert_int_equal(o.fault, cases[i].fault);
        assert_true(o.reason.len > 0);
    }
    struct cel_job job = job_with(NO_ARGS);
    job.content_type = CEL_SLICE("application/x-python-serialize");
    struct cel_outcome o = run(&job, identity);
    assert_int_equal(o.fault, CEL_CALL_CONTENT);
}

/* ---- while it runs ---- */

static int soft_calls;

static void on_soft(void *ctx)
{
    soft_calls++;
    *(int *)ctx = 1;
}

static celery_outcome ask(celery_task *task)
{
    static int hit;
    hit = 0;
    celery_task_on_soft_limit(task, on_soft, &hit, false);
    assert_false(celery_task_should_stop(task));
    said.stop = CEL_STOP_ASKED;
    assert_true(celery_task_should_stop(task));
    assert_int_equal(hit, 0);
    said.stop = CEL_STOP_SOFT;
    assert_true(celery_task_should_stop(task));
    assert_true(celery_task_should_stop(task));
    assert_int_equal(hit, 1);
    cel_runner_soft_limit(runner);
    said.stop = 0;

    celery_task_on_soft_limit(task, on_soft, &hit, true);
    cel_runner_soft_limit(runner);
    said.stop = CEL_STOP_SOFT;
    celery_task_should_stop(task);
    said.stop = 0;
    return celery_task_return_none(task);
}

static void test_stopping_and_the_soft_limit(void **state)
{
    soft_calls = 0;
    assert_int_equal(run_body(NO_ARGS, ask).kind, CEL_OUTCOME_SUCCESS);
    assert_int_equal(soft_calls, 2);
    cel_runner_soft_limit(runner); /* nothing runs */
    assert_int_equal(soft_calls, 2);
}

static celery_outcome talk(celery_task *task)
{
    celery_task_log(task, CELERY_LOG_ERROR, "half %s", "done");
    assert_int_equal(
        celery_task_update_state(task, "PROGRESS", json_pack("{s:i}", "done", 50)),
        CELERY_OK);
    assert_int_equal(celery_task_update_state(task, "", NULL), CELERY_EINVAL);
    return celery_task_return_none(task);
}

static void test_states_and_log_lines(void **state)
{
    run_body(NO_ARGS, talk);
    assert_int_equal(said.states, 1);
    assert_string_equal(said.last, "PROGRESS {\"done\": 50}");
    assert_string_equal(said.log, "40 shop.buy[the-id]: half done");
}

static celery_outcome look(celery_task *task)
{
    assert_string_equal(celery_task_id(task), "the-id");
    assert_string_equal(celery_task_name(task), "shop.buy");
    assert_string_equal(celery_task_hostname(task), "w@host");
    assert_string_equal(celery_task_routing_key(task), "celery");
    assert_null(celery_task_root_id(task));
    assert_null(celery_task_eta(task));
    assert_int_equal(celery_task_retries(task), 0);
    assert_ptr_equal(celery_task_id(task), celery_task_id(task));
    size_t len;
    const char *lang = celery_value_text(celery_task_header(task, "lang"), &len);
    assert_text(cel_slice(lang, len), "py");
    assert_null(celery_task_header(task, "nope"));
    int64_t app_id = 0;
    assert_true(celery_value_int(celery_value_get(celery_task_properties(task), "app_id"),
                                 &app_id));
    assert_int_equal(app_id, 7);
    const json_t *both = celery_task_json(task, NULL);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(both, 0), 0)), 7);
    assert_ptr_equal(celery_task_json(task, NULL), both);
    return celery_task_return_none(task);
}

static void test_the_request_can_be_read(void **state)
{
    assert_int_equal(run_body("[[7], {}, null]", look).kind, CEL_OUTCOME_SUCCESS);
}

/* ---- memory ---- */

static celery_outcome return_json(celery_task *task)
{
    return celery_task_return(task, json_pack("[s]", "some text"));
}

static void test_no_memory_is_a_failure_and_nothing_worse(void **state)
{
    static const celery_task_fn fns[] = {sum, return_json, fail_line, retry_exc,
                                         fail_args};
    for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
        for (unsigned long nth = 1; nth < 40; nth++) {
            tear_down(state);
            set_up(state);
            cel_alloc_fail_at(nth, 1);
            struct cel_outcome o = run_body("[[1, 2], {}, null]", fns[i]);
            cel_alloc_fail_at(0, 0);
            assert_true(o.kind <= CEL_OUTCOME_MALFORMED);
            assert_true(o.kind != CEL_OUTCOME_SUCCESS || o.result_json.len > 0);
            assert_true(o.kind != CEL_OUTCOME_FAILURE || o.exc_args.len > 0);
        }
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_arguments_by_position_and_keyword),
        T(test_wrong_arguments_are_a_type_error),
        T(test_identity_loses_nothing),
        T(test_results_are_written_as_python_writes_them),
        T(test_repr_and_arguments_only_when_asked_for),
        T(test_exceptions),
        T(test_what_is_said_and_what_is_returned),
        T(test_retry),
        T(test_the_last_retry_fails),
        T(test_named_failures_are_retried),
        T(test_backoff_doubles_up_to_a_maximum),
        T(test_how_often_is_celerys_rule),
        T(test_ignore_and_reject),
        T(test_a_body_that_is_none),
        T(test_stopping_and_the_soft_limit),
        T(test_states_and_log_lines),
        T(test_the_request_can_be_read),
        T(test_no_memory_is_a_failure_and_nothing_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
