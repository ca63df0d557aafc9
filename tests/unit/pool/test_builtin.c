/* SPDX-License-Identifier: BSD-3-Clause */
/* Built-in tasks, run as a worker runs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/builtin.h"
#include "base/alloc.h"
#include "canvas/effects.h"
#include "pool/run_task.h"
#include <celery.h>
#include <stdio.h>

static celery_app *app;
static struct cel_runner *runner;
static struct cel_buf sent; /* kinds of the effects: "PPC" */

static celery_outcome add(celery_task *task)
{
    int64_t x, y;
    if (celery_task_args(task, "x:I y:I", &x, &y) != CELERY_OK) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

static celery_outcome twice(celery_task *task)
{
    int64_t x;
    if (celery_task_args(task, "x:I", &x) != CELERY_OK) {
        return CELERY_FAILED;
    }
    assert_null(celery_task_id(task));
    assert_true(celery_task_called_directly(task));
    assert_true(celery_task_update_state(task, "PROGRESS", NULL) < 0);
    return celery_task_return_int(task, 2 * x);
}

static celery_outcome retry(celery_task *task)
{
    return celery_task_retry(task, 1);
}

static celery_outcome retry_exc(celery_task *task)
{
    return celery_task_retry_exc(task, 1, "KeyError", "k");
}

static celery_outcome ignore(celery_task *task)
{
    return celery_task_ignore(task);
}

static celery_outcome reject(celery_task *task)
{
    return celery_task_reject(task, true, "later");
}

static celery_outcome fail_odd(celery_task *task)
{
    int64_t x;
    if (celery_task_args(task, "x:I", &x) != CELERY_OK) {
        return CELERY_FAILED;
    }
    return x % 2 ? celery_task_fail(task, "ValueError", "odd")
                 : celery_task_return_int(task, x);
}

static celery_status on_effects(void *ctx, struct cel_job *job, struct cel_slice effects)
{
    struct cel_effect e;
    while (cel_effects_next(&effects, &e, NULL)) {
        cel_buf_addc(&sent, "?PSVGC"[e.kind]);
    }
    return CELERY_OK;
}

static int set_up(void **state)
{
    static const char *const accept[] = {"json", NULL};
    struct cel_call_limits limits = {.accept = accept};
    struct cel_run_hooks hooks = {.effects = on_effects};
    celery_error err = {0};
    app = celery_app_new("test");
    celery_app_set(app, "result_backend", "redis://", NULL);
    celery_app_task(app, "t.add", add);
    celery_app_task(app, "t.twice", twice);
    celery_app_task(app, "t.retry", retry);
    celery_app_task(app, "t.retry_exc", retry_exc);
    celery_app_task(app, "t.ignore", ignore);
    celery_app_task(app, "t.reject", reject);
    celery_app_task(app, "t.fail_odd", fail_odd);
    assert_int_equal(cel_app_freeze(app, &err), CELERY_OK);
    runner = cel_runner_new(app, "w@host", &limits, &hooks);
    cel_buf_clear(&sent);
    return runner ? 0 : -1;
}

static int tear_down(void **state)
{
    runner = cel_runner_free(runner);
    celery_app_free(app);
    cel_buf_fini(&sent);
    return 0;
}

static struct cel_outcome call(const char *name, const char *body)
{
    struct cel_outcome outcome;
    struct cel_job job = {
        .task = cel_app_find_task(app, cel_slice_of(name)),
        .body = cel_slice_of(body),
        .content_type = CEL_SLICE("application/json"),
        .routing_key = CEL_SLICE("celery"),
    };
    cel_task_call_init(&job.call);
    job.call.id = CEL_SLICE("the-id");
    job.call.task = cel_slice_of(name);
    job.call.protocol = 2;
    assert_non_null(job.task);
    cel_runner_run(runner, &job, &outcome);
    return outcome;
}

static const char *text(struct cel_slice s)
{
    static char ring[4][1000];
    static unsigned at;
    char *out = ring[at++ % 4];
    snprintf(out, sizeof ring[0], "%.*s", (int)s.len, s.data ? s.data : "");
    return out;
}

static void assert_returns(const char *name, const char *body, const char *result)
{
    struct cel_outcome o = call(name, body);
    if (o.kind != CEL_OUTCOME_SUCCESS) {
        fail_msg("%s %s: %s %s", name, body, text(o.exc_type), text(o.exc_args));
    }
    assert_string_equal(text(o.result_json), result);
}

static void assert_fails(const char *name, const char *body, const char *type,
                         const char *args)
{
    struct cel_outcome o = call(name, body);
    assert_int_equal(o.kind, CEL_OUTCOME_FAILURE);
    assert_string_equal(text(o.exc_type), type);
    if (args) {
        assert_string_equal(text(o.exc_args), args);
    }
}

static void test_every_application_has_them(void **state)
{
    static const char *const names[] = {
        "celery.accumulate", "celery.backend_cleanup", "celery.chain", "celery.chord",
        "celery.chunks",     "celery.group",           "celery.map",   "celery.starmap",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(cel_app_find_task(app, cel_slice_of(names[i])));
        assert_true(cel_builtin_is(names[i]));
    }
    assert_false(cel_builtin_is("t.add"));
    assert_int_equal(app->tasks[0]->index, 0);
    assert_string_equal(app->tasks[0]->name, "t.add");
}

static void test_an_application_may_have_its_own(void **state)
{
    celery_error err = {0};
    celery_app *other = celery_app_new("other");
    celery_app_task(other, "celery.map", add);
    assert_int_equal(cel_app_freeze(other, &err), CELERY_OK);
    assert_ptr_equal(cel_app_find_task(other, CEL_SLICE("celery.map"))->fn, add);
    celery_app_free(other);
}

static void test_accumulate(void **state)
{
    assert_returns("celery.accumulate", "[[1, [2], {}], {}, null]", "[1, [2], {}]");
    assert_returns("celery.accumulate", "[[[1, 2]], {\"index\": 0}, null]", "[1, 2]");
    assert_returns("celery.accumulate", "[[1, 2], {\"index\": -1, \"x\": 0}, null]", "2");
    assert_returns("celery.accumulate", "[[1, 2], {\"index\": true}, null]", "2");
    assert_fails("celery.accumulate", "[[1], {\"index\": 1}, null]", "IndexError",
                 "[\"tuple index out of range\"]");
    assert_fails("celery.accumulate", "[[1], {\"index\": \"a\"}, null]", "TypeError",
                 "[\"tuple indices must be integers or slices, not str\"]");
}

static void test_map(void **state)
{
    assert_returns("celery.map",
                   "[[], {\"task\": {\"task\": \"t.twice\"}, \"it\": "
                   "[1, 2, 3]}, null]",
                   "[2, 4, 6]");
    assert_returns("celery.map", "[[\"t.twice\", []], {}, null]", "[]");
    assert_returns("celery.starmap",
                   "[[{\"task\": \"t.add\"}, [[1, 2], [3, 4]]], {}, "
                   "null]",
                   "[3, 7]");
}

static void test_a_map_ends_as_its_task(void **state)
{
    assert_fails("celery.map", "[[\"t.fail_odd\", [2, 3, 4]], {}, null]", "ValueError",
                 "[\"odd\"]");
    assert_fails("celery.map", "[[\"t.nothing\", [1]], {}, null]", "NotRegistered",
                 "[\"t.nothing\"]");
    assert_fails("celery.map", "[[\"t.add\", [1]], {}, null]", "TypeError",
                 "[\"add() missing 1 required positional argument: 'y'\"]");
    assert_fails("celery.starmap", "[[\"t.retry_exc\", [[]]], {}, null]", "KeyError",
                 "[\"k\"]");
    assert_fails("celery.starmap", "[[\"t.retry\", [[]]], {}, null]", "Retry",
                 "[\"Task can be retried\"]");
    assert_fails("celery.starmap", "[[\"t.add\", [1]], {}, null]", "TypeError",
                 "[\"argument after * must be an iterable, not int\"]");
    assert_fails("celery.map", "[[\"t.add\", 5], {}, null]", "TypeError", NULL);
    assert_fails("celery.map", "[[5, []], {}, null]", "TypeError", NULL);
    assert_fails(
        "celery.map", "[[], {}, null]", "TypeError",
        "[\"add_map_task.<locals>.xmap() missing 2 required positional arguments: 'task' and 'it'\"]");
    assert_int_equal(call("celery.starmap", "[[\"t.ignore\", [[]]], {}, null]").kind,
                     CEL_OUTCOME_IGNORE);
    struct cel_outcome o = call("celery.starmap", "[[\"t.reject\", [[]]], {}, null]");
    assert_int_equal(o.kind, CEL_OUTCOME_REQUEUE);
    assert_string_equal(text(o.reason), "later");
}

/* starmap of starmap of ...: the caller decides how deep. */
static void test_maps_of_maps_have_a_limit(void **state)
{
    char body[4000] = "[\"t.add\", [[1, 2]]]";
    char next[4100];
    for (int depth = 1; depth < 40; depth++) {
        snprintf(next, sizeof next, "[%s, {}, null]", body);
        struct cel_outcome o = call("celery.starmap", next);
        if (depth <= 16) {
            assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
        } else {
            assert_int_equal(o.kind, CEL_OUTCOME_FAILURE);
            assert_string_equal(text(o.exc_type), "RecursionError");
        }
        snprintf(next, sizeof next, "[\"celery.starmap\", [%s]]", body);
        memcpy(body, next, sizeof body);
    }
}

#define SIG(name, args)                                                          \
    "{\"task\": \"" name "\", \"args\": " args ", \"kwargs\": {}, \"options\": " \
    "{}, \"subtask_type\": null, \"immutable\": false}"

static void test_chunks_sends_starmaps(void **state)
{
    struct cel_outcome o = call(
        "celery.chunks", "[[" SIG("t.add", "[]") ", [[1, 2], [3, 4], [5, 6]], 2], {}, "
                                                 "null]");
    assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
    assert_string_equal(text(cel_buf_slice(&sent)), "PPC");
    assert_true(cel_slice_starts(o.result_json, CEL_SLICE("[[\"")));
    assert_fails("celery.chunks", "[[" SIG("t.add", "[]") ", [], 0], {}, null]",
                 "ValueError", NULL);
    assert_fails("celery.chunks", "[[5, [], 1], {}, null]", "ValueError", NULL);
}

static void test_old_groups_and_chords(void **state)
{
    assert_returns(
        "celery.group",
        "[[[" SIG("t.add", "[1]") ", " SIG(
            "t.add",
            "[2]") "], "
                   "[[\"g\", null], [[[\"a\", null], null]]], \"g\", [5]], {}, null]",
        "[[\"g\", null], [[[\"a\", null], null]]]");
    assert_string_equal(text(cel_buf_slice(&sent)), "PPC");
    cel_buf_clear(&sent);
    struct cel_outcome o = call(
        "celery.chord", "[[[" SIG("t.add", "[1, 2]") ", " SIG(
                            "t.add", "[3, 4]") "], " SIG("t.twice", "[]") "], {}, null]");
    assert_int_equal(o.kind, CEL_OUTCOME_SUCCESS);
    assert_string_equal(text(cel_buf_slice(&sent)), "PSPC");
    assert_fails("celery.chord", "[[[5], " SIG("t.twice", "[]") "], {}, null]",
                 "ValueError", "[\"header[0]: no signature\"]");
}

static void test_the_others(void **state)
{
    assert_fails("celery.chain", "[[1], {\"a\": 2}, null]", "NotImplementedError",
                 "[\"chain is not a real task\"]");
    assert_returns("celery.backend_cleanup", "[[], {}, null]", "null");
}

static void test_no_memory_is_a_failure_and_nothing_worse(void **state)
{
    static const char *const calls[][2] = {
        {"celery.map", "[[\"t.twice\", [1, 2]], {}, null]"},
        {"celery.starmap", "[[\"t.add\", [[1, 2]]], {}, null]"},
        {"celery.accumulate", "[[[1, 2]], {\"index\": 0}, null]"},
        {"celery.chunks", "[[" SIG("t.add", "[]") ", [[1, 2], [3, 4]], 1], {}, null]"},
        {"celery.chord", "[[[" SIG("t.add", "[1, 2]") "], " SIG("t.twice", "[]") "], {}, "
                                                                                 "null]"},
        {"celery.group", "[[[" SIG("t.add", "[1]") "], [[\"g\", null], []], \"g\", [5]], "
                                                   "{}, null]"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (unsigned long nth = 1; nth < 60; nth++) {
            tear_down(state);
            set_up(state);
            cel_alloc_fail_at(nth, 1);
            struct cel_outcome o = call(calls[i][0], calls[i][1]);
            cel_alloc_fail_at(0, 0);
            assert_true(o.kind == CEL_OUTCOME_SUCCESS ? o.result_json.len > 0
                        : o.kind == CEL_OUTCOME_FAILURE
                            ? o.exc_args.len > 0
                            : o.kind == CEL_OUTCOME_MALFORMED);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_every_application_has_them),
        T(test_an_application_may_have_its_own),
        T(test_accumulate),
        T(test_map),
        T(test_a_map_ends_as_its_task),
        T(test_maps_of_maps_have_a_limit),
        T(test_chunks_sends_starmaps),
        T(test_old_groups_and_chords),
        T(test_the_others),
        T(test_no_memory_is_a_failure_and_nothing_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
