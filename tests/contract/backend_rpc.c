/* SPDX-License-Identifier: BSD-3-Clause */
/* rpc:// over each broker: `backend_rpc memory`, `redis`, `amqp`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/rpc.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "observed.h"
#include "rabbit_server.h"
#include "redis_server.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char url_text[300];
static struct redis_server *redis;
static struct rabbit_server *rabbit;

struct side {
    struct cel_backend *b;
    struct told told;
};

struct fixture {
    struct cel_loop *loop;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_config *config;
    char reply_to[64];
    struct side client; /* has a queue */
    struct side worker; /* only stores */
};

static int unanswered; /* stores: the broker may confirm one after its reply has come */

static void on_stored(void *ctx, const celery_error *err, int64_t answer)
{
    unanswered--;
    on_done(ctx, err, answer);
}

static void connect_side(struct fixture *f, struct side *s)
{
    struct seen seen = {0};

    s->b->ops->connect(s->b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    if (seen.errors) {
        fail_msg("%s", seen.message);
    }
}

static void open_side(struct fixture *f, struct side *s, const char *reply_to)
{
    celery_error err = {0};

    if (cel_backend_new(f->loop, f->urls, f->n_urls, f->config, &told_events, &s->told,
                        &s->b, &err) < 0) {
        fail_msg("%s", err.message);
    }
    s->b->reply_to = reply_to;
    connect_side(f, s);
}

static struct fixture *new_fixture(const char *setting, const char *value)
{
    static int n;
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_int_equal(cel_loop_new(&f->loop, NULL), CELERY_OK);
    assert_int_equal(cel_url_parse_list("rpc://", &f->urls, &f->n_urls, NULL), CELERY_OK);
    f->config = cel_config_new();
    cel_config_set(f->config, "broker_url", url_text, CEL_FROM_API, NULL);
    cel_config_set(f->config, "accept_content", "json,msgpack", CEL_FROM_API, NULL);
    if (setting) {
        assert_int_equal(cel_config_set(f->config, setting, value, CEL_FROM_API, NULL),
                         CELERY_OK);
    }
    snprintf(f->reply_to, sizeof f->reply_to, "reply-%d-%d", (int)getpid(), n++);
    open_side(f, &f->client, f->reply_to);
    open_side(f, &f->worker, NULL);
    return f;
}

static int setup(void **state)
{
    *state = new_fixture(NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    cel_backend_free(f->client.b);
    cel_backend_free(f->worker.b);
    cel_config_free(f->config);
    cel_url_free_list(f->urls, f->n_urls);
    cel_loop_free(f->loop);
    free(f);
    return 0;
}

static void store_to(struct fixture *f, const char *reply_to, const char *id,
                     const char *status, const char *result, struct seen *seen)
{
    struct cel_task_meta meta = {
        .task_id = cel_slice_of(id),
        .status = cel_slice_of(status),
        .result_json = cel_slice_of(result),
        .date_done_us = INT64_MIN,
        .reply_to = cel_slice_of(reply_to),
        .correlation_id = cel_slice_of(id),
    };
    unanswered++;
    f->worker.b->ops->store(f->worker.b, &meta, (struct cel_done){on_stored, seen});
}

static void store(struct fixture *f, const char *id, const char *status,
                  const char *result, struct seen *seen)
{
    store_to(f, f->reply_to, id, status, result, seen);
}

/* Waits until so many replies are there, watched or not, and all stores are answered. */
static void await_replies(struct fixture *f, size_t n)
{
    double deadline = cel_clock_mono() + 20;

    while ((((struct cel_rpc *)f->client.b)->replies.tasks.count < n || unanswered > 0) &&
           cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.2);
    }
    assert_int_equal(((struct cel_rpc *)f->client.b)->replies.tasks.count, n);
    assert_int_equal(unanswered, 0);
}

static int64_t load(struct fixture *f, const char *id)
{
    struct seen seen = {0};
    struct cel_slice ids[] = {cel_slice_of(id)};

    f->client.told.last_status[0] = '\0';
    f->client.b->ops->load(f->client.b, ids, 1, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    return seen.sum;
}

static celery_status watch(struct fixture *f, const char *id)
{
    return f->client.b->ops->watch(f->client.b, cel_slice_of(id));
}

/* ---- what comes ---- */

static void test_what_is_sent_is_loaded_as_often_as_asked(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];

    store(f, fresh_id(id), "SUCCESS", "42", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.sum, 1);
    await_replies(f, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(load(f, id), 1);
        assert_string_equal(f->client.told.last_id, id);
        assert_string_equal(f->client.told.last_status, "SUCCESS");
        assert_string_equal(f->client.told.last_result, "42");
    }
    assert_int_equal(load(f, "somebody else's"), 0);
    assert_int_equal(f->client.told.missing, 1);
}

static void test_without_a_queue_nothing_is_sent(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct cel_slice ids[] = {CEL_SLICE("x")};

    store_to(f, "", "x", "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    assert_int_equal(seen.sum, 0);
    f->worker.b->ops->load(f->worker.b, ids, 1, to(&seen));
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(f->worker.told.missing, 1);
    run_quiet(f->loop);
    assert_int_equal(((struct cel_rpc *)f->client.b)->replies.tasks.count, 0);
}

static void test_a_queue_that_is_gone_is_no_error(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};

    store_to(f, "nobody's-queue", "x", "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    store(f, "y", "SUCCESS", "1", &seen);
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(seen.errors, 0);
    await_replies(f, 1);
}

static void test_the_latest_state_counts_and_success_stays(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];

    assert_int_equal(watch(f, fresh_id(id)), CELERY_OK);
    run_until(f->loop, &f->client.told.metas, 1);
    assert_int_equal(f->client.told.missing, 1);
    store(f, id, "STARTED", "1", &seen);
    store(f, id, "RETRY", "2", &seen);
    run_until(f->loop, &f->client.told.metas, 3);
    assert_string_equal(f->client.told.last_status, "RETRY");
    store(f, id, "SUCCESS", "3", &seen);
    store(f, id, "STARTED", "4", &seen);
    run_until(f->loop, &seen.answers, 4);
    run_until(f->loop, &f->client.told.metas, 4);
    run_quiet(f->loop);
    assert_int_equal(f->client.told.metas, 4);
    assert_int_equal(load(f, id), 1);
    assert_string_equal(f->client.told.last_status, "SUCCESS");
    assert_string_equal(f->client.told.last_result, "3");
}

static void test_watch_of_what_came_before_reports_it(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];

    store(f, fresh_id(id), "FAILURE", "7", &seen);
    await_replies(f, 1);
    assert_int_equal(f->client.told.metas, 0);
    watch(f, id);
    run_until(f->loop, &f->client.told.metas, 1);
    assert_string_equal(f->client.told.last_result, "7");
    f->client.b->ops->unwatch(f->client.b, cel_slice_of(id));
    f->client.b->ops->unwatch(f->client.b, cel_slice_of(id));
    watch(f, id);
    f->client.b->ops->unwatch(f->client.b, cel_slice_of(id));
    run_quiet(f->loop);
    assert_int_equal(f->client.told.metas, 1);
}

static void test_a_thousand_in_a_pass(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    static char ids[1000][32];

    for (int i = 0; i < 1000; i++) {
        watch(f, fresh_id(ids[i]));
    }
    run_until(f->loop, &f->client.told.missing, 1000);
    for (int i = 0; i < 1000; i++) {
        store(f, ids[i], "SUCCESS", "\"abc\"", &seen);
    }
    run_until(f->loop, &f->client.told.metas, 2000);
    run_until(f->loop, &seen.answers, 1000);
    assert_int_equal(seen.sum, 1000);
    assert_int_equal(f->client.told.missing, 1000);
    assert_int_equal(load(f, ids[999]), 1);
    assert_string_equal(f->client.told.last_result, "abc");
}

static void test_large_results_pass(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    size_t len = 3 << 20;
    char *text = malloc(len + 3);
    char id[32];

    assert_non_null(text);
    memset(text, 'x', len + 2);
    text[0] = text[len + 1] = '"';
    text[len + 2] = '\0';
    store(f, fresh_id(id), "SUCCESS", text, &seen);
    store(f, fresh_id(id), "SUCCESS", text, &seen);
    free(text);
    await_replies(f, 2);
    assert_int_equal(load(f, id), 1);
    assert_int_equal(strlen(f->client.told.last_result),
                     sizeof f->client.told.last_result - 1);
}

static void test_forget_removes(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char id[32];

    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    await_replies(f, 1);
    seen = (struct seen){0};
    f->client.b->ops->forget(f->client.b, cel_slice_of(id), to(&seen));
    f->client.b->ops->forget(f->client.b, cel_slice_of(id), to(&seen));
    run_until(f->loop, &seen.answers, 2);
    assert_int_equal(seen.sum, 1);
    assert_int_equal(load(f, id), 0);
    assert_int_equal(((struct cel_rpc *)f->client.b)->replies.fresh_bytes, 0);
}

static void test_msgpack_and_persistent(void **state)
{
    struct fixture *f = new_fixture("result_serializer", "msgpack");
    struct seen seen = {0};
    char id[32];

    store(f, fresh_id(id), "SUCCESS", "\"m\"", &seen);
    await_replies(f, 1);
    assert_int_equal(load(f, id), 1);
    assert_string_equal(f->client.told.last_result, "m");
    *state = f;
    teardown(state);
    f = new_fixture("result_persistent", "true");
    seen = (struct seen){0};
    store(f, fresh_id(id), "SUCCESS", "\"p\"", &seen);
    await_replies(f, 1);
    assert_int_equal(load(f, id), 1);
    assert_string_equal(f->client.told.last_result, "p");
    *state = f;
    teardown(state);
}

/* ---- what is refused ---- */

static void test_groups_are_refused(void **state)
{
    struct fixture *f = *state;
    struct cel_group_note note = {.kind = CEL_NOTE_SAVE_GROUP};
    const struct cel_backend_ops *ops = f->client.b->ops;
    struct seen seen = {0};

    ops->note(f->client.b, &note, to(&seen));
    assert_non_null(strstr(seen.message, "save_group is not supported"));
    ops->load_group(f->client.b, CEL_SLICE("g"), to(&seen));
    ops->forget_group(f->client.b, CEL_SLICE("g"), to(&seen));
    run_until(f->loop, &seen.answers, 3);
    assert_int_equal(seen.errors, 3);
    assert_int_equal(seen.status, CELERY_ENOTSUP);
    assert_non_null(ops->no_chords);
}

static void test_close_answers_everything_and_tells_nobody(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct cel_slice ids[] = {CEL_SLICE("x")};
    char id[32];

    store(f, fresh_id(id), "SUCCESS", "1", &seen);
    f->worker.b->ops->close(f->worker.b);
    assert_int_equal(seen.answers, 1);
    watch(f, id);
    f->client.b->ops->close(f->client.b);
    f->client.b->ops->close(f->client.b);
    run_quiet(f->loop);
    assert_int_equal(f->client.told.lost + f->worker.told.lost, 0);
    seen = (struct seen){0};
    store(f, id, "SUCCESS", "1", &seen);
    f->client.b->ops->load(f->client.b, ids, 1, to(&seen));
    f->client.b->ops->forget(f->client.b, ids[0], to(&seen));
    assert_int_equal(seen.answers, 3);
    assert_int_equal(seen.errors, 3);
    assert_int_equal(seen.status, CELERY_ECLOSED);
    assert_int_equal(watch(f, "x"), CELERY_ECLOSED);
}

static void test_replies_come_again_after_a_reconnection(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    char before[32];
    char after[32];

    store(f, fresh_id(before), "SUCCESS", "1", &seen);
    await_replies(f, 1);
    f->client.b->ops->close(f->client.b);
    connect_side(f, &f->client);
    store(f, fresh_id(after), "SUCCESS", "2", &seen);
    await_replies(f, 2);
    assert_int_equal(load(f, before), 1);
    assert_int_equal(load(f, after), 1);
    assert_string_equal(f->client.told.last_result, "2");
}

/* A document of another sender, as bytes. */
static void publish(struct fixture *f, const char *id, const char *type, const char *body,
                    struct cel_node *headers)
{
    struct cel_transport *t = ((struct cel_rpc *)f->worker.b)->transport;
    struct cel_envelope *env = cel_envelope_new();
    struct seen seen = {0};

    env->content_type = cel_slice_of(type);
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = cel_slice_of(body);
    env->headers = headers;
    env->correlation_id = id ? cel_slice_of(id) : CEL_SLICE_NULL;
    env->exchange = CEL_SLICE("");
    env->routing_key = cel_slice_of(f->reply_to);
    t->ops->publish(t, "", f->reply_to, env, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 0);
    cel_envelope_free(env);
}

/* celery/backends/rpc.py of 5.2 to 5.6: five members, and from 3.x no correlation id. */
static void test_documents_of_other_versions(void **state)
{
    struct fixture *f = *state;
    const char *old =
        "{\"task_id\": \"old\", \"status\": \"SUCCESS\", \"result\": \"r\", "
        "\"traceback\": null, \"children\": []}";

    publish(f, NULL, "application/json", old, NULL);
    await_replies(f, 1);
    assert_int_equal(load(f, "old"), 1);
    assert_string_equal(f->client.told.last_result, "r");
}

static void test_what_cannot_be_read_is_said(void **state)
{
    struct fixture *f = *state;
    struct cel_slice ids[] = {CEL_SLICE("a"), CEL_SLICE("b"), CEL_SLICE("c")};
    static const char *const words[] = {"JSON", "pickle", "no result document"};

    publish(f, "a", "application/json", "{\"status\": ", NULL);
    publish(f, "b", "application/x-python-serialize", "\x80\x05N.", NULL);
    publish(f, "c", "application/json", "[1]", NULL);
    publish(f, NULL, "application/json", "[1]", NULL);
    await_replies(f, 3);
    for (size_t i = 0; i < 3; i++) {
        struct seen seen = {0};

        f->client.b->ops->load(f->client.b, &ids[i], 1, to(&seen));
        run_until(f->loop, &seen.answers, 1);
        assert_int_equal(seen.errors, 1);
        if (!strstr(seen.message, words[i])) {
            fail_msg("%s", seen.message);
        }
    }
}

static void test_what_is_too_much_goes_the_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct cel_rpc_replies *r = &((struct cel_rpc *)f->client.b)->replies;
    struct seen seen = {0};
    char text[1003];
    char id[3][32];

    memset(text, 'x', sizeof text);
    text[0] = text[1001] = '"';
    text[1002] = '\0';
    r->fresh_max = 3000;
    r->taken_max = 1800;
    for (int i = 0; i < 3; i++) {
        store(f, fresh_id(id[i]), "SUCCESS", text, &seen);
        run_until(f->loop, &seen.answers, i + 1);
        run_quiet(f->loop);
    }
    assert_true(r->fresh_bytes > 0 && r->fresh_bytes <= r->fresh_max);
    await_replies(f, 2);
    assert_int_equal(load(f, id[0]), 0);
    assert_int_equal(load(f, id[1]), 1);
    assert_int_equal(load(f, id[2]), 1);
    assert_int_equal(r->fresh_bytes, 0);
    assert_true(r->taken_bytes > 0 && r->taken_bytes <= r->taken_max);
    assert_int_equal(load(f, id[1]), 0);
    assert_int_equal(load(f, id[2]), 1);
}

/* Each answers once, whatever there is no memory for; afterwards everything works. */
static void test_without_memory(void **state)
{
    struct fixture *f = *state;
    unsigned long needed = 1;
    char id[32];

    for (unsigned long nth = 1; nth <= needed; nth++) {
        struct seen seen = {0};
        struct cel_slice ids[1];

        ids[0] = cel_slice_of(fresh_id(id));
        cel_alloc_fail_at(nth, 0);
        celery_status watched = watch(f, id);
        store(f, id, "SUCCESS", "[1]", &seen);
        run_quiet(f->loop);
        f->client.b->ops->load(f->client.b, ids, 1, to(&seen));
        f->client.b->ops->forget(f->client.b, ids[0], to(&seen));
        needed = cel_alloc_count();
        cel_alloc_fail_at(0, 0);
        assert_true(watched == CELERY_OK || watched == CELERY_ENOMEM);
        run_until(f->loop, &seen.answers, 3);
        assert_true(seen.errors <= 1);
        assert_true(seen.errors == 0 || seen.status == CELERY_ENOMEM);
        f->client.b->ops->unwatch(f->client.b, ids[0]);
        assert_true(nth < 1000);
    }
    struct seen seen = {0};
    store(f, fresh_id(id), "SUCCESS", "\"fine\"", &seen);
    run_until(f->loop, &seen.answers, 1);
    run_quiet(f->loop);
    assert_int_equal(load(f, id), 1);
    assert_string_equal(f->client.told.last_result, "fine");
}

/* ---- a server that goes ---- */

static void kill_server(void)
{
    if (rabbit) {
        assert_non_null(rabbit_server_tell(rabbit, "kill9"));
    } else {
        redis_server_signal(redis, SIGKILL);
    }
}

static void test_a_lost_server_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};

    watch(f, "x");
    run_until(f->loop, &f->client.told.metas, 1);
    kill_server();
    store(f, "x", "SUCCESS", "1", &seen);
    run_until(f->loop, &f->client.told.lost, 1);
    run_until(f->loop, &f->worker.told.lost, 1);
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 1);
    run_quiet(f->loop);
    assert_int_equal(f->client.told.lost + f->worker.told.lost, 2);
    seen = (struct seen){0};
    f->client.b->ops->connect(f->client.b, 0, to(&seen));
    run_until(f->loop, &seen.answers, 1);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(f->client.told.lost, 1);
}

#define WITH_BACKEND(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static int set_up(const char *name)
{
    if (strcmp(name, "memory") == 0) {
        snprintf(url_text, sizeof url_text, "memory://rpc");
        return 0;
    }
    if (strcmp(name, "amqp") == 0) {
        if (!rabbit_server_installed()) {
            return TEST_SKIPPED;
        }
        rabbit = rabbit_server_start(NULL);
        snprintf(url_text, sizeof url_text, "%s",
                 rabbit ? rabbit_server_url(rabbit) : "");
        return rabbit == NULL;
    }
    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    redis = redis_server_start(NULL);
    snprintf(url_text, sizeof url_text, "%s", redis ? redis_server_url(redis) : "");
    return redis == NULL;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_BACKEND(test_what_is_sent_is_loaded_as_often_as_asked),
        WITH_BACKEND(test_without_a_queue_nothing_is_sent),
        WITH_BACKEND(test_a_queue_that_is_gone_is_no_error),
        WITH_BACKEND(test_the_latest_state_counts_and_success_stays),
        WITH_BACKEND(test_watch_of_what_came_before_reports_it),
        WITH_BACKEND(test_a_thousand_in_a_pass),
        WITH_BACKEND(test_large_results_pass),
        WITH_BACKEND(test_forget_removes),
        cmocka_unit_test(test_msgpack_and_persistent),
        WITH_BACKEND(test_groups_are_refused),
        WITH_BACKEND(test_close_answers_everything_and_tells_nobody),
        WITH_BACKEND(test_replies_come_again_after_a_reconnection),
        WITH_BACKEND(test_documents_of_other_versions),
        WITH_BACKEND(test_what_cannot_be_read_is_said),
        WITH_BACKEND(test_what_is_too_much_goes_the_oldest_first),
    };
    const struct CMUnitTest memory_tests[] = {
        WITH_BACKEND(test_without_memory),
    };
    const struct CMUnitTest lost_tests[] = {
        WITH_BACKEND(test_a_lost_server_is_told_once),
    };
    const char *name = argc > 1 ? argv[1] : "memory";
    int failed = set_up(name);

    if (failed == 0) {
        failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
        if (!redis && !rabbit) { /* servers would notice, and time passes */
            failed += cmocka_run_group_tests_name("memory", memory_tests, NULL, NULL);
        } else {
            failed += cmocka_run_group_tests_name("lost", lost_tests, NULL, NULL);
        }
    }
    redis_server_stop(redis);
    rabbit_server_stop(rabbit);
    return failed;
}
