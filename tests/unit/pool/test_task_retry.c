/* SPDX-License-Identifier: BSD-3-Clause */
/* The message of a retry, as the worker gets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "canvas/effects.h"
#include "message/envelope_json.h"
#include "pool/run_task.h"
#include <celery.h>
#include <stdio.h>

static celery_app *app;
static struct cel_runner *runner;
static celery_task_fn body_fn;

static celery_outcome call_body(celery_task *task)
{
    return body_fn(task);
}

static int set_up(void **state)
{
    static const char *const accept[] = {"json", NULL};
    struct cel_call_limits limits = {.accept = accept};
    app = celery_app_new("test");
    celery_app_task(app, "shop.buy", call_body);
    runner = cel_runner_new(app, "w@host", &limits, NULL);
    return runner ? 0 : -1;
}

static int tear_down(void **state)
{
    runner = cel_runner_free(runner);
    celery_app_free(app);
    return 0;
}

#define HEADERS                                                                  \
    "{\"lang\": \"py\", \"task\": \"shop.buy\", \"id\": \"the-id\", "            \
    "\"shadow\": \"other\", \"expires\": \"2099-01-01T00:00:00+00:00\", "        \
    "\"group\": \"g\", \"group_index\": 2, \"retries\": 1, "                     \
    "\"timelimit\": [10, 5], \"root_id\": \"root\", \"parent_id\": \"parent\", " \
    "\"argsrepr\": \"secret\", \"origin\": \"gen1@far\", "                       \
    "\"ignore_result\": true, \"replaced_task_nesting\": 3, "                    \
    "\"stamped_headers\": [\"a\"], \"stamps\": {\"a\": [1], \"b\": 2}, "         \
    "\"x_custom\": [1], \"x-death\": 1, \"redelivered\": true}"

#define BODY                                                              \
    "[[1, \"x\"], {\"k\": 2.5}, {\"callbacks\": [], \"errbacks\": null, " \
    "\"chain\": null, \"chord\": null}]"

static struct cel_job whole_job(void)
{
    return (struct cel_job){
        .task = app->tasks[0],
        .call =
            {
                .id = CEL_SLICE("the-id"),
                .task = CEL_SLICE("shop.buy"),
                .root_id = CEL_SLICE("root"),
                .parent_id = CEL_SLICE("parent"),
                .group = CEL_SLICE("g"),
                .group_index = 2,
                .retries = 1,
                .expires = CEL_SLICE("2099-01-01T00:00:00+00:00"),
                .eta_us = INT64_MIN,
                .expires_us = INT64_MIN,
                .time_limit = 10,
                .soft_time_limit = 5,
                .ignore_result = CEL_UNSET,
                .protocol = 2,
            },
        .body = CEL_SLICE(BODY),
        .content_type = CEL_SLICE("application/json"),
        .headers = CEL_SLICE(HEADERS),
        .reply_to = CEL_SLICE("reply"),
        .routing_key = CEL_SLICE("mail"),
        .priority = 6,
    };
}

static struct cel_job bare_job(void)
{
    struct cel_job job = whole_job();
    cel_task_call_init(&job.call);
    job.call.id = CEL_SLICE("the-id");
    job.call.task = CEL_SLICE("shop.buy");
    job.call.protocol = 2;
    job.headers = CEL_SLICE("{}");
    return job;
}

/* What a retry sent, read back. */
struct sent {
    struct cel_outcome outcome;
    struct cel_effect message;
    struct cel_effect child;
    struct cel_envelope *envelope;
    struct cel_task_call call;
};

static struct sent retried(struct cel_job *job, celery_task_fn fn)
{
    static const char *const accept[] = {"json", "yaml", NULL};
    struct cel_call_limits limits = {.accept = accept};
    struct sent sent = {0};
    celery_error err = {0};
    body_fn = fn;
    cel_runner_run(runner, job, &sent.outcome);
    assert_int_equal(sent.outcome.kind, CEL_OUTCOME_RETRY);
    struct cel_slice rest = sent.outcome.effects;
    assert_true(cel_effects_next(&rest, &sent.message, NULL));
    assert_int_equal(sent.message.kind, CEL_EFFECT_PUBLISH);
    assert_true(cel_effects_next(&rest, &sent.child, NULL));
    assert_int_equal(sent.child.kind, CEL_EFFECT_CHILD);
    assert_false(cel_effects_next(&rest, &(struct cel_effect){0}, NULL));
    assert_int_equal(cel_envelope_read(sent.message.json, &sent.envelope, &err),
                     CELERY_OK);
    assert_int_equal(cel_task_call_read(sent.envelope, &limits, &sent.call, &err),
                     CEL_CALL_OK);
    assert_int_equal(cel_task_call_body(&sent.envelope->arena, sent.envelope->body,
                                        sent.envelope->content_type,
                                        sent.call.compression, &limits, &sent.call, &err),
                     CEL_CALL_OK);
    return sent;
}

static const char *text(struct cel_slice s)
{
    static char ring[4][1000];
    static unsigned at;
    char *out = ring[at++ % 4];
    snprintf(out, sizeof ring[0], "%.*s", (int)s.len, s.data ? s.data : "");
    return out;
}

static const char *json(const struct cel_node *n)
{
    static char out[1000];
    struct cel_buf b = {0};
    cel_json_write(&b, n);
    snprintf(out, sizeof out, "%s", text(cel_buf_slice(&b)));
    cel_buf_fini(&b);
    return out;
}

static celery_outcome plain(celery_task *task)
{
    return celery_task_retry(task, 1.5);
}

static void test_all_that_came_goes_on(void **state)
{
    struct cel_job job = whole_job();
    int64_t now = cel_clock_wall_us();
    struct sent s = retried(&job, plain);
    const struct cel_task_call *c = &s.call;
    assert_string_equal(text(s.message.id), "the-id");
    assert_string_equal(text(s.child.json), "[[\"the-id\", null], null]");
    assert_string_equal(text(c->id), "the-id");
    assert_string_equal(text(c->shadow), "other");
    assert_string_equal(text(c->group), "g");
    assert_int_equal(c->group_index, 2);
    assert_int_equal(c->retries, 2);
    assert_string_equal(text(c->root_id), "root");
    assert_string_equal(text(c->parent_id), "parent");
    assert_string_equal(text(c->expires), "2099-01-01T00:00:00+00:00");
    assert_true(s.envelope->expiration.len > 10);
    assert_true(c->time_limit == 10 && c->soft_time_limit == 5);
    assert_int_equal(c->ignore_result, CEL_YES);
    assert_int_equal(c->replaced_task_nesting, 3);
    assert_string_equal(json(c->stamped_headers), "[\"a\"]");
    assert_string_equal(json(c->stamps), "{\"a\": [1]}");
    assert_string_equal(text(c->argsrepr), "(1, 'x')");
    assert_false(cel_slice_is(c->origin, "gen1@far"));
    assert_true(c->eta_us >= now + 1500000 && c->eta_us < now + 60000000);
    assert_string_equal(json(c->args), "[1, \"x\"]");
    assert_string_equal(json(c->kwargs), "{\"k\": 2.5}");
    assert_string_equal(json(c->embed), "{\"callbacks\": [], \"errbacks\": null, "
                                        "\"chain\": null, \"chord\": null}");
    assert_string_equal(json(cel_envelope_header(s.envelope, CEL_SLICE("x_custom"))),
                        "[1]");
    assert_null(cel_envelope_header(s.envelope, CEL_SLICE("x-death")));
    assert_null(cel_envelope_header(s.envelope, CEL_SLICE("redelivered")));
    assert_string_equal(text(s.envelope->reply_to), "reply");
    assert_int_equal(s.envelope->priority, 6);
    assert_string_equal(text(s.message.exchange), "");
    assert_string_equal(text(s.message.routing_key), "mail");
    assert_int_equal(s.message.queue.len, 0);
    assert_string_equal(text(s.outcome.reason), "Retry in 1.5s");
    cel_envelope_free(s.envelope);
}

static celery_outcome at_once(celery_task *task)
{
    return celery_task_retry(task, 0);
}

static void test_a_task_without_parents_is_its_own(void **state)
{
    struct cel_job job = bare_job();
    struct sent s = retried(&job, at_once);
    assert_string_equal(text(s.call.root_id), "the-id");
    assert_string_equal(text(s.call.parent_id), "the-id");
    assert_int_equal(s.call.eta.len, 0); /* as_task_v2: countdown 0 is no ETA */
    assert_int_equal(s.call.ignore_result, CEL_NO);
    cel_envelope_free(s.envelope);
}

static celery_outcome changed(celery_task *task)
{
    celery_task_retry_set(task, "args", json_pack("[i]", 9));
    celery_task_retry_set(task, "kwargs", json_object());
    celery_task_retry_set(task, "eta", json_string("2099-02-03T04:05:06+00:00"));
    celery_task_retry_set(task, "headers", json_pack("{s:i}", "x_mine", 7));
    celery_task_retry_set(task, "priority", json_integer(1));
    celery_task_retry_set(task, "expires", json_integer(60));
    celery_task_retry_set(task, "queue", json_string("slow"));
    celery_task_retry_set(task, "serializer", json_string("yaml"));
    celery_task_retry_set(task, "time_limit", json_null());
    celery_task_retry_set(task, "soft_time_limit", json_real(2.5));
    celery_task_retry_set(task, "shadow", json_string("dark"));
    celery_task_retry_set(task, "ignore_result", json_false());
    return celery_task_retry_exc(task, -1, "KeyError", "k");
}

static void test_everything_can_be_changed(void **state)
{
    struct cel_job job = whole_job();
    struct sent s = retried(&job, changed);
    assert_string_equal(json(s.call.args), "[9]");
    assert_string_equal(json(s.call.kwargs), "{}");
    assert_string_equal(text(s.call.argsrepr), "(9,)");
    assert_string_equal(text(s.call.eta), "2099-02-03T04:05:06+00:00");
    assert_null(cel_envelope_header(s.envelope, CEL_SLICE("x_custom")));
    assert_string_equal(json(cel_envelope_header(s.envelope, CEL_SLICE("x_mine"))), "7");
    assert_int_equal(s.envelope->priority, 1);
    assert_string_equal(text(s.envelope->expiration), "60000");
    assert_string_equal(text(s.message.queue), "slow");
    assert_string_equal(text(s.message.routing_key), "slow");
    assert_string_equal(text(s.envelope->content_type), "application/x-yaml");
    assert_true(s.call.time_limit < 0 && s.call.soft_time_limit == 2.5);
    assert_string_equal(text(s.call.shadow), "dark");
    assert_int_equal(s.call.ignore_result, CEL_NO);
    assert_string_equal(text(s.outcome.reason),
                        "Retry at 2099-02-03T04:05:06+00:00: KeyError('k')");
    cel_envelope_free(s.envelope);
}

static celery_outcome only_args(celery_task *task)
{
    json_t *foo, *bar, *label = NULL;
    celery_task_args(task, "foo:j bar:j | label:j", &foo, &bar, &label);
    celery_task_retry_set(task, "args", json_pack("[ii]", 2, 3));
    return celery_task_retry(task, 1);
}

static celery_outcome only_kwargs(celery_task *task)
{
    json_t *foo, *bar, *label = NULL;
    celery_task_args(task, "foo:j bar:j * | label:j", &foo, &bar, &label);
    celery_task_retry_set(task, "kwargs", json_pack("{s:i, s:i}", "foo", 2, "label", 9));
    return celery_task_retry(task, 1);
}

static void test_arguments_are_not_given_twice(void **state)
{
    struct cel_job job = bare_job();
    job.body = CEL_SLICE("[[], {\"foo\": 1, \"bar\": 2, \"label\": 3}, null]");
    struct sent s = retried(&job, only_args);
    assert_string_equal(json(s.call.args), "[2, 3]");
    assert_string_equal(json(s.call.kwargs), "{\"label\": 3}");
    cel_envelope_free(s.envelope);
    job.body = CEL_SLICE("[[1, 2, 3], {}, null]");
    s = retried(&job, only_kwargs);
    assert_string_equal(json(s.call.args), "[2, 2, 3]");
    assert_string_equal(json(s.call.kwargs), "{\"label\": 9}");
    cel_envelope_free(s.envelope);
}

static celery_outcome own_exchange(celery_task *task)
{
    celery_task_retry_set(task, "exchange", json_string("news"));
    celery_task_retry_set(task, "routing_key", json_string("a.b"));
    return celery_task_retry(task, 1);
}

static void test_an_exchange_of_its_own(void **state)
{
    struct cel_job job = whole_job();
    struct sent s = retried(&job, own_exchange);
    assert_string_equal(text(s.message.exchange), "news");
    assert_string_equal(text(s.message.routing_key), "a.b");
    cel_envelope_free(s.envelope);
}

static celery_outcome no_limit(celery_task *task)
{
    celery_task_retry_set(task, "max_retries", json_null());
    return celery_task_retry(task, 1);
}

static celery_outcome once(celery_task *task)
{
    celery_task_retry_set(task, "max_retries", json_integer(1));
    celery_task_retry_set(task, "args", json_pack("[s]", "new"));
    return celery_task_retry(task, 1);
}

static void test_max_retries_of_one_execution(void **state)
{
    struct cel_job job = whole_job();
    job.headers = CEL_SLICE("{}");
    job.call.retries = 100;
    struct sent s = retried(&job, no_limit);
    cel_envelope_free(s.envelope);

    struct cel_outcome o;
    job.call.retries = 1;
    body_fn = once;
    cel_runner_run(runner, &job, &o);
    assert_int_equal(o.kind, CEL_OUTCOME_FAILURE);
    assert_string_equal(
        text(o.exc_args),
        "[\"Can't retry shop.buy[the-id] args:('new',) kwargs:{'k': 2.5}\"]");
    assert_int_equal(o.effects.len, 0);
}

static celery_outcome wrong(celery_task *task)
{
    assert_int_equal(celery_task_retry_set(task, "priority", json_string("high")),
                     CELERY_EINVAL);
    assert_int_equal(celery_task_retry_set(task, "colour", json_string("red")),
                     CELERY_EINVAL);
    assert_int_equal(celery_task_retry_set(task, "args", NULL), CELERY_EINVAL);
    return celery_task_retry(task, 1);
}

static void test_wrong_options_fail_the_task(void **state)
{
    struct cel_job job = whole_job();
    struct cel_outcome o;
    body_fn = wrong;
    cel_runner_run(runner, &job, &o);
    assert_int_equal(o.kind, CEL_OUTCOME_FAILURE);
    assert_string_equal(text(o.exc_type), "TypeError");
    assert_string_equal(text(o.exc_args),
                        "[\"retry() option priority is not 0 to 255\"]");
}

static void test_an_unknown_queue_rejects(void **state)
{
    struct cel_job job = whole_job();
    struct cel_outcome o;
    celery_app_set(app, "task_create_missing_queues", "false", NULL);
    body_fn = changed;
    cel_runner_run(runner, &job, &o);
    assert_int_equal(o.kind, CEL_OUTCOME_REJECT);
    assert_non_null(strstr(text(o.reason), "queue slow is not in task_queues"));
    assert_int_equal(o.effects.len, 0);
}

static void test_no_memory_is_an_end_and_nothing_worse(void **state)
{
    for (unsigned long nth = 1; nth < 80; nth++) {
        tear_down(state);
        set_up(state);
        struct cel_job job = whole_job();
        struct cel_outcome o;
        body_fn = changed;
        cel_alloc_fail_at(nth, 1);
        cel_runner_run(runner, &job, &o);
        cel_alloc_fail_at(0, 0);
        /* Never a retry without its message. */
        assert_true(o.kind != CEL_OUTCOME_RETRY || o.effects.len > 0);
        assert_true(o.kind == CEL_OUTCOME_RETRY || o.kind == CEL_OUTCOME_REJECT ||
                    o.kind == CEL_OUTCOME_FAILURE || o.kind == CEL_OUTCOME_MALFORMED);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_all_that_came_goes_on),
        T(test_a_task_without_parents_is_its_own),
        T(test_everything_can_be_changed),
        T(test_arguments_are_not_given_twice),
        T(test_an_exchange_of_its_own),
        T(test_max_retries_of_one_execution),
        T(test_wrong_options_fail_the_task),
        T(test_an_unknown_queue_rejects),
        T(test_no_memory_is_an_end_and_nothing_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
