/* SPDX-License-Identifier: BSD-3-Clause */
/* Canvases and bulk sending of the public client, when memory or connections run out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "redis_server.h"
#include <celery.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct redis_server *server;

static celery_sig *task(const char *name, celery_error *err)
{
    celery_sig *sig = celery_sig_new(name, err, "[i]", 1);
    celery_sig_set_kwargs(sig, json_pack("{s:i}", "k", 2));
    return sig;
}

/* ---- out of memory ---- */

/* Everything that a tree can be put through; false when some step failed. */
static bool use_canvas(celery_client *client, celery_error *err)
{
    celery_sig *sig = celery_chain(
        err, task("t.a", err),
        celery_group(err, task("t.b", err),
                     celery_starmap(err, task("t.c", err), json_pack("[[i]]", 1)), NULL),
        task("t.d", err), NULL);
    celery_sig_set_queue(sig, "oom");
    celery_sig_set_header(sig, "h", json_integer(1));
    celery_sig_set_stamp(sig, "s", json_string("x"));
    celery_sig_link(sig, task("t.e", err));
    celery_sig_link_error(sig, task("t.f", err));
    celery_sig *copy = celery_sig_clone(sig, err, "[i]", 5);
    char *text = celery_sig_dumps(copy, NULL, err);
    celery_sig *read = text ? celery_sig_loads(text, strlen(text), err) : NULL;
    celery_result *frozen = celery_sig_freeze(client, read, err);
    celery_sig *sigs[] = {read, copy};
    celery_result *results[2] = {0};
    bool sent = read && copy &&
                celery_send_many(client, sigs, 2, results, err) == CELERY_OK &&
                celery_send_async(client, sig, NULL, NULL, err) == CELERY_OK;
    bool flushed = celery_client_flush(client, -1, err) == CELERY_OK;
    free(text);
    celery_sig_free(sig);
    celery_sig_free(copy);
    celery_sig_free(read);
    celery_result_free(frozen);
    celery_result_free(results[0]);
    celery_result_free(results[1]);
    return sent && flushed && frozen;
}

static bool use_group(celery_client *client, celery_error *err)
{
    celery_sig *sig = celery_group(err, task("t.a", err), task("t.b", err), NULL);
    celery_result *group = celery_send_sig(client, sig, err);
    celery_result_counts counts;
    bool whole = celery_result_count(group, &counts, err) == CELERY_OK &&
                 celery_result_save(group, err) == CELERY_OK;
    celery_result *again = celery_result_restore(client, celery_result_id(group), err);
    char *text = celery_result_dumps(again, NULL);
    whole = whole && again && text && counts.total == 2 &&
            celery_result_revoke(group, false, NULL, err) == CELERY_OK &&
            celery_result_forget(again, err) == CELERY_OK &&
            celery_result_delete(again, err) == CELERY_OK;
    free(text);
    celery_sig_free(sig);
    celery_result_free(group);
    celery_result_free(again);
    return whole;
}

static void run_out_of_memory(bool (*use)(celery_client *client, celery_error *err))
{
    unsigned long nth = 1;
    bool whole = false;
    for (; !whole && nth < 20000; nth++) {
        celery_error err = {0};
        celery_client *client =
            celery_client_open("memory://oom", "cache+memory:///oom", &err);
        assert_non_null(client);
        cel_alloc_fail_at(nth, 0);
        bool good = use(client, &err);
        whole = cel_alloc_count() < nth;
        cel_alloc_fail_at(0, 0);
        if (whole && !good) {
            fail_msg("%s", err.message);
        }
        celery_client_close(client);
    }
    assert_true(whole);
}

static void test_memory_may_run_out_in_a_canvas(void **state)
{
    run_out_of_memory(use_canvas);
}

static void test_memory_may_run_out_in_a_group(void **state)
{
    run_out_of_memory(use_group);
}

/* ---- connections that are cut ---- */

static long ask(const char *command)
{
    char line[400], answer[64] = "";
    snprintf(line, sizeof line, "redis-cli -s %s %s 2>&1", redis_server_socket(server),
             command);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    bool read = fgets(answer, sizeof answer, f) != NULL;
    pclose(f);
    assert_true(read);
    return atol(answer);
}

struct outcome {
    long confirmed, uncertain, other;
    celery_error err;
};

static void on_sent(void *ctx, const char *id, const celery_error *err)
{
    struct outcome *o = ctx;
    if (!err) {
        o->confirmed++;
    } else if (err->status == CELERY_EUNCERTAIN) {
        assert_non_null(strstr(err->message, id));
        o->uncertain++;
    } else {
        o->other++;
        o->err = *err;
    }
}

static void test_bulk_over_cut_connections_loses_nothing(void **state)
{
    enum { N = 20000, CUTS = 3 }; /* as many as there are retries */
    struct outcome o = {0};
    celery_error err = {0};
    celery_client *client = celery_client_open(redis_server_url(server), NULL, &err);
    assert_non_null(client);
    for (int i = 0; i < N; i++) {
        celery_sig *sig = celery_sig_new("t.bulk", &err, "[i]", i);
        celery_sig_set_queue(sig, "bulk");
        assert_int_equal(celery_send_async(client, sig, on_sent, &o, &err), CELERY_OK);
        celery_sig_free(sig);
        if (i % (N / CUTS) == N / CUTS - 1) {
            ask("client kill type normal");
        }
    }
    assert_int_equal(celery_client_flush(client, 60, &err), CELERY_OK);
    celery_client_close(client);
    if (o.other) {
        fail_msg("%ld: %s", o.other, o.err.message);
    }
    long there = ask("llen bulk");
    assert_int_equal(o.confirmed + o.uncertain, N);
    /* What is confirmed is there; what is in doubt may be; nothing is there twice. */
    assert_in_range(there, o.confirmed, N);
    assert_true(o.confirmed > N / 2);
}

static void test_a_broker_that_comes_back_gets_everything(void **state)
{
    struct outcome o = {0};
    celery_error err = {0};
    struct redis_server_options options = {.port = free_port()};
    struct redis_server *own = redis_server_start(&options);
    assert_non_null(own);
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d/0", options.port);
    celery_client *client = celery_client_open(url, NULL, &err);
    assert_non_null(client);
    redis_server_signal(own, SIGKILL);
    celery_sig *sig = task("t.later", &err);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(celery_send_async(client, sig, on_sent, &o, &err), CELERY_OK);
    }
    redis_server_stop(own);
    own = redis_server_start(&options);
    assert_non_null(own);
    assert_int_equal(celery_client_flush(client, 60, &err), CELERY_OK);
    assert_int_equal(o.confirmed + o.uncertain, 100);
    celery_sig_free(sig);
    celery_client_close(client);
    redis_server_stop(own);
}

static void test_a_broker_that_stays_away_fails_what_waits(void **state)
{
    struct outcome o = {0};
    celery_error err = {0};
    struct redis_server *own = redis_server_start(NULL);
    assert_non_null(own);
    celery_client *client = celery_client_open(redis_server_url(own), NULL, &err);
    assert_non_null(client);
    redis_server_stop(own);
    celery_sig *sig = task("t.never", &err);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(celery_send_async(client, sig, on_sent, &o, &err), CELERY_OK);
    }
    assert_int_equal(celery_client_flush(client, 60, &err), CELERY_OK);
    assert_int_equal(o.confirmed, 0);
    assert_int_equal(o.other + o.uncertain, 100);
    celery_sig_free(sig);
    celery_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_may_run_out_in_a_canvas),
        cmocka_unit_test(test_memory_may_run_out_in_a_group),
    };
    const struct CMUnitTest redis_tests[] = {
        cmocka_unit_test(test_bulk_over_cut_connections_loses_nothing),
        cmocka_unit_test(test_a_broker_that_comes_back_gets_everything),
        cmocka_unit_test(test_a_broker_that_stays_away_fails_what_waits),
    };
    unsetenv("CELERY_BROKER_URL");
    unsetenv("CELERY_RESULT_BACKEND");
    int failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);
    if (!redis_server_installed()) {
        return failed ? failed : TEST_SKIPPED;
    }
    server = redis_server_start(NULL);
    if (!server) {
        fprintf(stderr, "redis-server does not start\n");
        return 1;
    }
    failed += cmocka_run_group_tests_name("redis", redis_tests, NULL, NULL);
    server = redis_server_stop(server);
    return failed;
}
