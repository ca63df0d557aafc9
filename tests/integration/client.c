/* SPDX-License-Identifier: BSD-3-Clause */
/* The public client against a worker made of a bare transport and backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "message/task.h"
#include "redis_server.h"
#include "transport/transport.h"
#include <celery.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char url_text[300];
static struct redis_server *server;

/* ---- a worker ---- */

struct worker {
    struct cel_loop *loop;
    struct cel_url *url;
    struct cel_transport *transport;
    struct cel_backend *backend;
    int done;
    int received;
    struct cel_envelope *last;
    struct cel_task_call call;
    const char *state;
    const char *result;
};

static void count(void *ctx, const celery_error *err, int64_t answer)
{
    assert_null(err);
    ++*(int *)ctx;
}

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct worker *w = ctx;
    struct cel_call_limits limits = {0};
    cel_envelope_free(w->last);
    w->last = give_delivery->envelope;
    assert_false(give_delivery->malformed);
    assert_int_equal(cel_task_call_read(w->last, &limits, &w->call, NULL), CEL_CALL_OK);
    w->received++;
    w->transport->ops->ack(w->transport, give_delivery->tag,
                           (struct cel_done){count, &w->done});
    if (w->state) {
        struct cel_task_meta meta = {
            .task_id = w->call.id,
            .status = cel_slice_of(w->state),
            .result_json = cel_slice_of(w->result),
            .traceback = CEL_SLICE("Traceback"),
            .children_json = CEL_SLICE("[]"),
            .date_done_us = 0,
        };
        w->backend->ops->store(w->backend, &meta, (struct cel_done){count, &w->done});
    }
}

static void on_lost(void *ctx, const celery_error *why)
{
}

static void on_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
}

static const struct cel_transport_events transport_events = {.delivered = on_delivered,
                                                             .lost = on_lost};
static const struct cel_backend_events backend_events = {.meta = on_meta,
                                                         .lost = on_lost};

static void run_worker(struct worker *w, const int *counter, int want)
{
    double deadline = cel_clock_mono() + 10;
    while (*counter < want && cel_clock_mono() < deadline) {
        cel_loop_pass(w->loop, 0.2);
    }
    assert_int_equal(*counter, want);
}

static void start_worker(struct worker *w)
{
    const struct cel_queue queue = {.name = "celery",
                                    .exchange = "celery",
                                    .exchange_type = "direct",
                                    .routing_key = "celery",
                                    .durable = true};
    *w = (struct worker){0};
    assert_int_equal(cel_loop_new(&w->loop, NULL), CELERY_OK);
    assert_int_equal(cel_url_parse(url_text, &w->url, NULL), CELERY_OK);
    assert_int_equal(cel_transport_new(w->loop, &w->url, 1, NULL, &transport_events, w,
                                       &w->transport, NULL),
                     CELERY_OK);
    assert_int_equal(
        cel_backend_new(w->loop, &w->url, 1, NULL, &backend_events, w, &w->backend, NULL),
        CELERY_OK);
    w->transport->ops->connect(w->transport, 0, (struct cel_done){count, &w->done});
    w->backend->ops->connect(w->backend, 0, (struct cel_done){count, &w->done});
    run_worker(w, &w->done, 2);
    w->transport->ops->declare(w->transport, &queue, (struct cel_done){count, &w->done});
    run_worker(w, &w->done, 3);
    assert_int_equal(w->transport->ops->set_prefetch(w->transport, 1), CELERY_OK);
    assert_int_equal(w->transport->ops->consume(w->transport, "celery", NULL), CELERY_OK);
    w->done = 0;
}

static void stop_worker(struct worker *w)
{
    cel_envelope_free(w->last);
    cel_transport_free(w->transport);
    cel_backend_free(w->backend);
    cel_url_free(w->url);
    cel_loop_free(w->loop);
}

/* Takes one message and stores this as its result. */
static void answer(struct worker *w, const char *state, const char *result)
{
    int done = w->done + (state ? 2 : 1);
    w->state = state;
    w->result = result;
    run_worker(w, &w->received, w->received + 1);
    run_worker(w, &w->done, done);
}

/* ---- fixture ---- */

struct fixture {
    struct worker w;
    celery_client *client;
    celery_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    start_worker(&f->w);
    f->client = celery_client_open(url_text, url_text, &f->err);
    if (!f->client) {
        fail_msg("%s", f->err.message);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    celery_client_close(f->client);
    stop_worker(&f->w);
    free(f);
    return 0;
}

static const struct cel_node *header(struct fixture *f, const char *name)
{
    return cel_envelope_header(f->w.last, cel_slice_of(name));
}

static void assert_text(const struct cel_node *node, const char *want)
{
    assert_true(cel_node_is_string(node));
    if (!cel_slice_is(cel_node_text(node), want)) {
        fail_msg("%.*s is not %s", (int)node->size, node->text, want);
    }
}

static void test_value_comes_back(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.add", &f->err, "[ii]", 2, 3);
    assert_non_null(r);
    answer(&f->w, "SUCCESS", "5");
    json_t *value = celery_result_wait(r, 5, &f->err);
    assert_int_equal(json_integer_value(value), 5);
    json_decref(value);
    assert_int_equal(f->err.status, CELERY_OK);
    int64_t number = 0;
    assert_true(celery_value_int(celery_result_value(r), &number) && number == 5);
    assert_string_equal(celery_result_state(r, &f->err), "SUCCESS");
    assert_string_equal(celery_result_date_done(r), "1970-01-01T00:00:00+00:00");
    assert_int_equal(celery_value_size(celery_result_document(r)), 6);
    assert_int_equal(celery_value_kind(celery_result_children(r)), CELERY_KIND_ARRAY);
    assert_null(celery_result_exc_type(r));
    celery_result_free(r);
}

static void test_message_is_celerys(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.add", &f->err, "[is]", 2, "x");
    answer(&f->w, NULL, NULL);
    assert_text(header(f, "task"), "t.add");
    assert_text(header(f, "id"), celery_result_id(r));
    assert_text(header(f, "root_id"), celery_result_id(r));
    assert_text(header(f, "argsrepr"), "(2, 'x')");
    assert_text(header(f, "kwargsrepr"), "{}");
    assert_true(cel_node_is_null(header(f, "eta")));
    assert_true(cel_slice_starts(cel_node_text(header(f, "origin")), CEL_SLICE("gen")));
    assert_int_equal(f->w.last->reply_to.len, 36);
    assert_true(cel_slice_is(f->w.last->correlation_id, celery_result_id(r)));
    assert_true(cel_slice_is(f->w.last->exchange, ""));
    assert_true(cel_slice_is(f->w.last->routing_key, "celery"));
    assert_true(cel_slice_is(f->w.last->body,
                             "[[2, \"x\"], {}, {\"callbacks\": null, \"errbacks\": null, "
                             "\"chain\": null, \"chord\": null}]"));
    celery_result_free(r);
}

static void test_options_of_a_signature(void **state)
{
    struct fixture *f = *state;
    celery_sig *sig = celery_sig_new("t.opt", &f->err, NULL);
    celery_sig_set_task_id(sig, "own-id");
    celery_sig_set_kwargs_text(sig, "{\"big\": 123456789012345678901234567890}", &f->err);
    celery_sig_set_countdown(sig, 10);
    celery_sig_set_expires(sig, 60);
    celery_sig_set_header(sig, "x-own", json_string("v"));
    celery_sig_set_priority(sig, 3);
    celery_sig_set_time_limit(sig, 30, 20);
    celery_sig_set_shadow(sig, "shown");
    celery_sig_set_compression(sig, "gzip");
    celery_sig_set_ignore_result(sig, true);
    celery_result *r = celery_send_sig(f->client, sig, &f->err);
    if (!r) {
        fail_msg("%s", f->err.message);
    }
    answer(&f->w, NULL, NULL);
    assert_string_equal(celery_result_id(r), "own-id");
    assert_text(header(f, "id"), "own-id");
    assert_text(header(f, "x-own"), "v");
    assert_text(header(f, "shadow"), "shown");
    assert_text(header(f, "compression"), "application/x-gzip");
    assert_text(header(f, "kwargsrepr"), "{'big': 123456789012345678901234567890}");
    assert_true(cel_node_bool(header(f, "ignore_result"), false));
    assert_int_equal(cel_node_int(header(f, "timelimit")->first, 0), 30);
    assert_int_equal(f->w.last->priority, 3);
    assert_true(cel_slice_is(f->w.last->expiration, "60000"));
    double eta = (double)f->w.call.eta_us / 1e6 - cel_clock_wall();
    double expires = (double)f->w.call.expires_us / 1e6 - cel_clock_wall();
    assert_true(eta > 5 && eta <= 10);
    assert_true(expires > 50 && expires <= 60);
    json_t *nothing = celery_result_wait(r, 5, &f->err);
    assert_true(json_is_null(nothing)); /* at once: nothing will be stored */
    celery_result_free(r);
    celery_sig_free(sig);
}

static void test_failure_says_what_was_raised(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.fail", &f->err, NULL);
    answer(&f->w, "FAILURE",
           "{\"exc_type\": \"ValueError\", \"exc_message\": [\"no good\"], "
           "\"exc_module\": \"builtins\"}");
    assert_null(celery_result_wait(r, 5, &f->err));
    assert_int_equal(f->err.status, CELERY_ETASK);
    assert_string_equal(f->err.message, "ValueError: no good");
    assert_string_equal(celery_result_exc_type(r), "ValueError");
    assert_string_equal(celery_result_exc_module(r), "builtins");
    assert_int_equal(celery_value_size(celery_result_exc_args(r)), 1);
    assert_string_equal(celery_result_traceback(r), "Traceback");
    assert_null(celery_result_value(r));
    celery_result_free(r);
}

static void test_revoked_is_told_apart(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.fail", &f->err, NULL);
    answer(&f->w, "REVOKED",
           "{\"exc_type\": \"TaskRevokedError\", \"exc_message\": [\"expired\"], "
           "\"exc_module\": \"celery.exceptions\"}");
    assert_null(celery_result_wait(r, 5, &f->err));
    assert_int_equal(f->err.status, CELERY_EREVOKED);
    celery_result_free(r);
}

static void test_states_and_timeouts(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.slow", &f->err, NULL);
    assert_string_equal(celery_result_state(r, &f->err), "PENDING");
    assert_null(celery_result_document(r));
    assert_null(celery_result_wait(r, 0.05, &f->err));
    assert_int_equal(f->err.status, CELERY_ETIMEOUT);
    f->err = (celery_error){0};
    answer(&f->w, "PROGRESS", "{\"done\": 5}");
    assert_string_equal(celery_result_state(r, &f->err), "PROGRESS");
    assert_non_null(celery_value_get(celery_result_value(r), "done"));
    assert_null(celery_result_wait(r, 0, &f->err));
    assert_int_equal(f->err.status, CELERY_ETIMEOUT);
    celery_result_free(r);
}

static void test_forget_makes_it_pending(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.add", &f->err, NULL);
    answer(&f->w, "SUCCESS", "5");
    assert_string_equal(celery_result_state(r, &f->err), "SUCCESS");
    assert_int_equal(celery_result_forget(r, &f->err), CELERY_OK);
    assert_string_equal(celery_result_state(r, &f->err), "PENDING");
    celery_result_free(r);
}

static void test_two_futures_of_one_task(void **state)
{
    struct fixture *f = *state;
    celery_result *a = celery_send(f->client, "t.add", &f->err, NULL);
    celery_result *b = celery_result_new(f->client, celery_result_id(a), &f->err);
    answer(&f->w, "SUCCESS", "5");
    json_t *value = celery_result_wait(b, 5, &f->err);
    assert_int_equal(json_integer_value(value), 5);
    json_decref(value);
    celery_result_free(b);
    value = celery_result_wait(a, 5, &f->err);
    assert_int_equal(json_integer_value(value), 5);
    json_decref(value);
    celery_result_free(a);
}

static void test_result_outlives_the_client(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.add", &f->err, NULL);
    answer(&f->w, NULL, NULL);
    celery_client_close(f->client);
    f->client = NULL;
    assert_null(celery_result_wait(r, 1, &f->err));
    assert_int_equal(f->err.status, CELERY_ECLOSED);
    assert_non_null(celery_result_id(r));
    celery_result_free(r);
}

static void test_null_handles_leave_the_error_alone(void **state)
{
    celery_error err = {.status = CELERY_EAUTH};
    assert_null(celery_send(NULL, "t", &err, "[o]", json_integer(1)));
    assert_null(celery_send_sig(NULL, NULL, &err));
    assert_null(celery_result_new(NULL, "x", &err));
    assert_null(celery_result_wait(NULL, 1, &err));
    assert_null(celery_result_state(NULL, &err));
    assert_null(celery_result_value(NULL));
    assert_null(celery_result_traceback(NULL));
    assert_null(celery_result_id(NULL));
    assert_true(celery_result_forget(NULL, &err) < 0);
    assert_true(celery_client_step(NULL, 0, &err) < 0);
    assert_int_equal(celery_client_fd(NULL), -1);
    celery_sig_set_args(NULL, json_array());
    celery_sig_set_header(NULL, "x", json_null());
    celery_sig_set_queue(NULL, "q");
    celery_result_free(NULL);
    celery_sig_free(NULL);
    celery_client_close(NULL);
    assert_int_equal(err.status, CELERY_EAUTH);
    assert_string_equal(err.message, "");
}

static void test_wrong_use_says_so(void **state)
{
    struct fixture *f = *state;
    assert_null(celery_send(f->client, "", &f->err, NULL));
    assert_int_equal(f->err.status, CELERY_EINVAL);
    assert_null(celery_send(f->client, "t", &f->err, "{si}", "a", 1));
    assert_int_equal(f->err.status, CELERY_EINVAL);
    assert_null(celery_send(f->client, "t", &f->err, "[ii", 1, 2));
    assert_int_equal(f->err.status, CELERY_EINVAL);
    celery_sig *sig = celery_sig_new("t", &f->err, NULL);
    celery_sig_set_eta(sig, "tomorrow");
    assert_null(celery_send_sig(f->client, sig, &f->err));
    assert_non_null(strstr(f->err.message, "ISO 8601"));
    celery_sig_free(sig);
    sig = celery_sig_new("t", &f->err, NULL);
    assert_true(celery_sig_set_args_text(sig, "[1,", &f->err) < 0);
    celery_sig_free(sig);
}

static void test_host_loop_sees_the_result(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.add", &f->err, NULL);
    assert_null(celery_result_wait(r, 0, NULL));
    answer(&f->w, "SUCCESS", "5");
    json_t *value = NULL;
    assert_true(celery_client_fd(f->client) >= 0);
    for (int i = 0; i < 100 && !value; i++) {
        assert_int_equal(celery_client_step(f->client, 0.1, &f->err), CELERY_OK);
        value = celery_result_wait(r, 0, NULL);
    }
    assert_int_equal(json_integer_value(value), 5);
    json_decref(value);
    celery_result_free(r);
}

static void test_settings_of_an_app(void **state)
{
    struct fixture *f = *state;
    celery_app *app = celery_app_new("t");
    assert_int_equal(celery_app_set(app, "broker_url", url_text, &f->err), CELERY_OK);
    assert_int_equal(celery_app_set(app, "result_backend", url_text, &f->err), CELERY_OK);
    assert_int_equal(celery_app_set(app, "task_routes",
                                    "{\"other.*\": {\"queue\": \"elsewhere\"}}", &f->err),
                     CELERY_OK);
    assert_int_equal(celery_app_set(app, "task_default_priority", "6", &f->err),
                     CELERY_OK);
    celery_client *client = celery_client_open_app(app, &f->err);
    if (!client) {
        fail_msg("%s", f->err.message);
    }
    celery_result *r = celery_send(client, "other.x", &f->err, NULL);
    assert_non_null(r);
    celery_result_free(r);
    r = celery_send(client, "t.x", &f->err, NULL);
    answer(&f->w, NULL, NULL);
    assert_int_equal(f->w.received, 1);
    assert_text(header(f, "task"), "t.x");
    assert_int_equal(f->w.last->priority, 6);
    celery_result_free(r);
    celery_client_close(client);
    celery_app_free(app);
}

/* Every allocation of a client's life fails once: it says so and leaks nothing. */
static void count_sent(void *ctx, const char *id, const celery_error *err)
{
    assert_null(err);
    assert_int_equal(strlen(id), 36);
    ++*(int *)ctx;
}

static void test_many_are_sent_and_confirmed(void **state)
{
    struct fixture *f = *state;
    enum { N = 200 };
    celery_sig *sigs[N];
    celery_result *results[N] = {0};
    for (size_t i = 0; i < N; i++) {
        sigs[i] = celery_sig_new("t.many", &f->err, "[i]", (int)i);
        celery_sig_set_queue(sigs[i], "many");
    }
    assert_int_equal(celery_send_many(f->client, sigs, N, results, &f->err), CELERY_OK);
    for (size_t i = 0; i < N; i++) {
        assert_non_null(celery_result_id(results[i]));
        celery_result_free(results[i]);
    }
    celery_sig_set_eta(sigs[1], "never");
    assert_int_equal(celery_send_many(f->client, sigs, 3, results, &f->err),
                     CELERY_EINVAL);
    assert_non_null(results[0]);
    assert_null(results[1]);
    assert_null(results[2]);
    celery_result_free(results[0]);
    for (size_t i = 0; i < N; i++) {
        celery_sig_free(sigs[i]);
    }
}

static void test_sent_without_waiting(void **state)
{
    struct fixture *f = *state;
    int sent = 0;
    celery_sig *sig = celery_sig_new("t.many", &f->err, NULL);
    celery_sig_set_queue(sig, "many");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(celery_send_async(f->client, sig, count_sent, &sent, &f->err),
                         CELERY_OK);
        assert_int_equal(celery_send_async(f->client, sig, NULL, NULL, &f->err),
                         CELERY_OK);
    }
    assert_int_equal(celery_client_flush(f->client, 10, &f->err), CELERY_OK);
    assert_int_equal(sent, 100);
    celery_sig_free(sig);
}

static void test_memory_may_run_out_anywhere(void **state)
{
    unsigned long nth = 1;
    bool whole = false;
    for (; !whole && nth < 5000; nth++) {
        celery_error err = {0};
        cel_alloc_fail_at(nth, 0);
        celery_client *client = celery_client_open("memory://oom", "memory:///oom", &err);
        celery_sig *sig = celery_sig_new("t.add", &err, "[is]", 1, "x");
        celery_sig_set_kwargs_text(sig, "{\"a\": [1, 2]}", &err);
        celery_sig_set_queue(sig, "oom");
        celery_result *r = celery_send_sig(client, sig, &err);
        const char *known = celery_result_state(r, &err);
        assert_null(celery_result_wait(r, 0, NULL));
        whole = cel_alloc_count() < nth;
        cel_alloc_fail_at(0, 0);
        assert_true(whole ? known != NULL : known || err.status < 0);
        celery_result_free(r);
        celery_sig_free(sig);
        celery_client_close(client);
    }
    assert_true(whole);
}

/* ---- Redis alone ---- */

static void *answer_later(void *ctx)
{
    struct worker *w = ctx;
    w->state = "SUCCESS";
    w->result = "5";
    usleep(100000);
    run_worker(w, &w->done, 2);
    return NULL;
}

static void test_redis_pushes_the_result(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_send(f->client, "t.add", &f->err, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_later, &f->w), 0);
    json_t *value = celery_result_wait(r, 5, &f->err);
    pthread_join(thread, NULL);
    assert_int_equal(json_integer_value(value), 5);
    json_decref(value);
    celery_result_free(r);
}

static void test_redis_unreachable_is_told_in_time(void **state)
{
    celery_error err = {0};
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d/0", free_port());
    double start = cel_clock_mono();
    assert_null(celery_client_open(url, NULL, &err));
    assert_int_equal(err.status, CELERY_ECONNECT);
    assert_true(cel_clock_mono() - start < 3);
    char both[400];
    snprintf(both, sizeof both, "%s;%s", url, url_text);
    celery_client *client = celery_client_open(both, NULL, &err);
    assert_non_null(client); /* the second of the list */
    celery_client_close(client);
    assert_null(celery_client_open("gopher://x", NULL, &err));
    assert_int_equal(err.status, CELERY_ECONFIG);
    assert_null(celery_client_open("redis://x:y", NULL, &err));
    assert_int_equal(err.status, CELERY_ECONFIG);
}

static void test_redis_client_survives_a_restart(void **state)
{
    struct redis_server_options options = {.port = free_port()};
    struct redis_server *own = redis_server_start(&options);
    assert_non_null(own);
    char url[64];
    celery_error err = {0};
    snprintf(url, sizeof url, "redis://127.0.0.1:%d/0", options.port);
    celery_client *client = celery_client_open(url, url, &err);
    assert_non_null(client);
    celery_result *first = celery_send(client, "t.a", &err, NULL);
    assert_non_null(first);
    assert_null(celery_result_wait(first, 0, NULL));
    redis_server_stop(own);
    assert_null(celery_send(client, "t.b", &err, NULL));
    assert_int_not_equal(err.status, CELERY_OK);
    assert_null(celery_result_state(first, &err));
    own = redis_server_start(&options);
    assert_non_null(own);
    err = (celery_error){0};
    celery_result *second = celery_send(client, "t.c", &err, NULL);
    if (!second) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(celery_result_state(first, &err), "PENDING");
    celery_result_free(first);
    celery_result_free(second);
    celery_client_close(client);
    redis_server_stop(own);
}

#define WITH_CLIENT(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(test_value_comes_back),
        WITH_CLIENT(test_message_is_celerys),
        WITH_CLIENT(test_options_of_a_signature),
        WITH_CLIENT(test_failure_says_what_was_raised),
        WITH_CLIENT(test_revoked_is_told_apart),
        WITH_CLIENT(test_states_and_timeouts),
        WITH_CLIENT(test_forget_makes_it_pending),
        WITH_CLIENT(test_two_futures_of_one_task),
        WITH_CLIENT(test_result_outlives_the_client),
        cmocka_unit_test(test_null_handles_leave_the_error_alone),
        WITH_CLIENT(test_wrong_use_says_so),
        WITH_CLIENT(test_host_loop_sees_the_result),
        WITH_CLIENT(test_settings_of_an_app),
        WITH_CLIENT(test_many_are_sent_and_confirmed),
        WITH_CLIENT(test_sent_without_waiting),
        cmocka_unit_test(test_memory_may_run_out_anywhere),
    };
    const struct CMUnitTest redis_tests[] = {
        WITH_CLIENT(test_redis_pushes_the_result),
        cmocka_unit_test(test_redis_unreachable_is_told_in_time),
        cmocka_unit_test(test_redis_client_survives_a_restart),
    };
    unsetenv("CELERY_BROKER_URL");
    unsetenv("CELERY_RESULT_BACKEND");
    if (argc > 1 && strcmp(argv[1], "memory") == 0) {
        snprintf(url_text, sizeof url_text, "memory://");
        return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
    }
    int failed = redis_server_begin(&server, url_text, sizeof url_text);
    if (failed) {
        return failed;
    }
    failed = cmocka_run_group_tests_name("redis", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("redis alone", redis_tests, NULL, NULL);
    server = redis_server_stop(server);
    return failed;
}
