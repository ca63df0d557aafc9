/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "client/state.h"
#include <celery/log.h>
#include <stdio.h>
#include <stdlib.h>

/* The text of an event as a receiver would give it. */
static celery_status put(celery_state *s, const char *json)
{
    struct cel_arena arena = {0};
    struct cel_node *n = NULL;
    celery_event e = {0};
    const char *texts[3] = {"type", "hostname", "uuid"};
    const char **to[3] = {&e.type, &e.hostname, &e.uuid};

    assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), NULL, &n, NULL),
                     CELERY_OK);
    for (size_t i = 0; i < 3; i++) {
        struct cel_slice text = cel_node_text(cel_node_get(n, cel_slice_of(texts[i])));

        *to[i] = text.data ? cel_arena_strndup(&arena, text.data, text.len) : NULL;
    }
    e.timestamp = cel_node_double(cel_node_get(n, CEL_SLICE("timestamp")), 0);
    e.received = cel_node_double(cel_node_get(n, CEL_SLICE("local_received")), 0);
    e.clock = cel_node_int(cel_node_get(n, CEL_SLICE("clock")), 1);
    e.pid = cel_node_int(cel_node_get(n, CEL_SLICE("pid")), 0);
    e.fields = n;
    celery_status status = celery_state_event(s, &e, NULL);
    cel_arena_fini(&arena);
    return status;
}

/* A task's event with more fields, which begin with a comma. */
static celery_status task(celery_state *s, const char *type, const char *uuid,
                          double when, const char *more)
{
    char text[8192];

    snprintf(text, sizeof text,
             "{\"type\": \"task-%s\", \"uuid\": \"%s\", \"hostname\": \"w1@h\", "
             "\"clock\": %d, \"timestamp\": %.1f, \"local_received\": %.1f%s}",
             type, uuid, (int)when, when, when, more);
    return put(s, text);
}

static celery_state *new_state(size_t workers, size_t tasks)
{
    celery_state *s = celery_state_new(workers, tasks, NULL);

    assert_non_null(s);
    return s;
}

static const char received[] =
    ", \"name\": \"t.add\", \"args\": \"(1, 2)\", \"kwargs\": "
    "\"{}\", \"retries\": 0, \"eta\": null, \"expires\": null, "
    "\"root_id\": \"u\", \"parent_id\": null";

static void test_in_order(void **state)
{
    celery_state *s = new_state(0, 0);
    const celery_state_task *t;

    assert_int_equal(put(s, "{\"type\": \"task-sent\", \"uuid\": \"u\", \"hostname\": "
                            "\"client\", \"clock\": 1, \"timestamp\": 9.5, \"name\": "
                            "\"t.add\", \"queue\": \"celery\", \"exchange\": \"\"}"),
                     CELERY_OK);
    t = celery_state_task_of(s, "u");
    assert_string_equal(t->state, "PENDING");
    assert_string_equal(t->client, "client");
    assert_null(t->worker);
    assert_int_equal(task(s, "received", "u", 10, received), CELERY_OK);
    assert_int_equal(task(s, "started", "u", 11, ""), CELERY_OK);
    t = celery_state_task_of(s, "u");
    assert_string_equal(t->state, "STARTED");
    assert_true(t->runtime == -1);
    task(s, "succeeded", "u", 12, ", \"result\": \"3\", \"runtime\": 0.25");
    t = celery_state_task_of(s, "u");
    assert_string_equal(t->state, "SUCCESS");
    assert_string_equal(t->name, "t.add");
    assert_string_equal(t->args, "(1, 2)");
    assert_string_equal(t->result, "3");
    assert_string_equal(t->worker, "w1@h");
    assert_string_equal(t->queue, "celery");
    assert_string_equal(t->root_id, "u");
    assert_null(t->parent_id);
    assert_true(t->runtime == 0.25 && t->sent == 9.5 && t->received == 10 &&
                t->started == 11 && t->succeeded == 12 && t->failed == 0);
    assert_true(t->timestamp == 12);
    assert_int_equal(t->retries, 0);
    celery_state_free(s);
}

/* Whatever comes late changes no state, but what task-received tells is taken. */
static void test_out_of_order(void **state)
{
    celery_state *s = new_state(0, 0);
    const celery_state_task *t;

    task(s, "succeeded", "u", 12,
         ", \"result\": \"3\", \"runtime\": 0.25, \"name\": \"x\"");
    task(s, "started", "u", 11, "");
    t = celery_state_task_of(s, "u");
    assert_string_equal(t->state, "SUCCESS");
    task(s, "received", "u", 10,
         ", \"name\": \"t.add\", \"args\": \"(1, 2)\", \"result\": \"wrong\"");
    t = celery_state_task_of(s, "u");
    assert_string_equal(t->state, "SUCCESS");
    assert_string_equal(t->name, "t.add");
    assert_string_equal(t->args, "(1, 2)");
    assert_string_equal(t->result, "3");
    assert_true(t->received == 10 && t->started == 11);
    assert_int_equal(t->clock, 11);
    celery_state_free(s);
}

static void test_precedence(void **state)
{
    static const struct {
        const char *first, *second, *state;
    } cases[] = {
        {"succeeded", "failed", "SUCCESS"},  {"failed", "succeeded", "SUCCESS"},
        {"failed", "revoked", "FAILURE"},    {"revoked", "started", "REVOKED"},
        {"started", "received", "STARTED"},  {"received", "rejected", "RECEIVED"},
        {"rejected", "sent", "REJECTED"},    {"succeeded", "retried", "RETRY"},
        {"retried", "received", "RECEIVED"}, {"retried", "sent", "PENDING"},
        {"progress", "started", "PROGRESS"}, {"progress", "failed", "FAILURE"},
        {"failed", "progress", "FAILURE"},   {"cancelled", "revoked", "CANCELLED"},
        {"progress", "other", "OTHER"},      {"started", "started", "STARTED"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_state *s = new_state(0, 0);

        task(s, cases[i].first, "u", 1, "");
        task(s, cases[i].second, "u", 2, "");
        assert_string_equal(celery_state_task_of(s, "u")->state, cases[i].state);
        celery_state_free(s);
    }
}

static void test_workers(void **state)
{
    static const char online[] =
        "{\"type\": \"worker-%s\", \"hostname\": \"w1@h\", \"pid\": 77, \"clock\": 3, "
        "\"timestamp\": 1000, \"local_received\": 1000, \"freq\": 2.0, \"active\": 1, "
        "\"processed\": 5, \"loadavg\": [0.5, 0.25, 1], \"sw_ident\": \"py-celery\", "
        "\"sw_ver\": \"5.6.3\", \"sw_sys\": \"Linux\"}";
    celery_state *s = new_state(0, 0);
    celery_state_counts counts;
    char text[512];

    snprintf(text, sizeof text, online, "heartbeat");
    assert_int_equal(put(s, text), CELERY_OK);
    const celery_state_worker *w = celery_state_worker_of(s, "w1@h", 1003.9);
    assert_true(w->alive);
    assert_true(w->freq == 2 && w->loadavg[1] == 0.25 && w->heartbeat == 1000);
    assert_int_equal(w->pid, 77);
    assert_int_equal(w->active, 1);
    assert_int_equal(w->processed, 5);
    assert_string_equal(w->ident, "py-celery");
    assert_string_equal(w->version, "5.6.3");
    assert_string_equal(w->system, "Linux");
    assert_false(celery_state_worker_of(s, "w1@h", 1004.1)->alive);
    /* The answer to the command heartbeat tells less. */
    put(s,
        "{\"type\": \"worker-heartbeat\", \"hostname\": \"w1@h\", \"timestamp\": 1003, "
        "\"local_received\": 1003, \"freq\": 5}");
    w = celery_state_worker_of(s, "w1@h", 1012.9);
    assert_true(w->alive);
    assert_int_equal(w->processed, 5);
    snprintf(text, sizeof text, online, "offline");
    assert_int_equal(put(s, text), CELERY_OK);
    assert_false(celery_state_worker_of(s, "w1@h", 1003)->alive);
    celery_state_count(s, 1003, &counts);
    assert_int_equal(counts.workers, 1);
    assert_int_equal(counts.alive, 0);
    assert_int_equal(counts.events, 3);
    assert_int_equal(
        put(s, "{\"type\": \"worker-offline\", \"hostname\": \"new\", \"timestamp\": 1}"),
        CELERY_NONE);
    assert_null(celery_state_worker_of(s, "new", 0));
    celery_state_free(s);
}

static void test_a_task_is_a_sign_of_life(void **state)
{
    celery_state *s = new_state(0, 0);

    task(s, "started", "u", 1000, "");
    assert_true(celery_state_worker_of(s, "w1@h", 1119)->alive);
    assert_false(celery_state_worker_of(s, "w1@h", 1121)->alive);
    assert_int_equal(celery_state_worker_of(s, "w1@h", 0)->active, -1);
    celery_state_free(s);
}

static bool collect(void *ctx, const celery_state_task *t)
{
    strcat((char *)ctx, t->uuid);
    return strlen((char *)ctx) < 50;
}

static void test_the_oldest_make_room(void **state)
{
    celery_state *s = new_state(2, 3);
    celery_state_counts counts;
    char text[100] = "";

    task(s, "received", "a", 1, "");
    task(s, "received", "b", 2, "");
    task(s, "received", "c", 3, "");
    task(s, "started", "a", 4, ""); /* upstream: no reason to stay */
    task(s, "received", "d", 5, ", \"parent_id\": \"b\"");
    assert_null(celery_state_task_of(s, "a"));
    task(s, "received", "e", 6, ""); /* b was named as a parent, c is the oldest */
    assert_null(celery_state_task_of(s, "c"));
    celery_state_each_task(s, NULL, collect, text, NULL);
    assert_string_equal(text, "edb");
    celery_state_count(s, 0, &counts);
    assert_int_equal(counts.tasks, 3);
    assert_int_equal(counts.received, 5);
    for (int i = 0; i < 5; i++) {
        char beat[200];

        snprintf(beat, sizeof beat,
                 "{\"type\": \"worker-online\", \"hostname\": \"w%d\", \"timestamp\": 1, "
                 "\"local_received\": 1}",
                 i);
        put(s, beat);
    }
    celery_state_count(s, 0, &counts);
    assert_int_equal(counts.workers, 2);
    assert_null(celery_state_worker_of(s, "w2", 0));
    assert_non_null(celery_state_worker_of(s, "w4", 0));
    celery_state_free(s);
}

static void test_texts_have_a_ceiling(void **state)
{
    celery_state *s = new_state(0, 0);
    celery_state_counts counts;
    char *more = malloc(40100);
    char uuid[20];

    /* Two bytes a letter: the cut must not halve one. */
    int n = sprintf(more, ", \"traceback\": \"x");
    for (int i = 0; i < 10000; i++) {
        memcpy(more + n + 2 * i, "\xc3\xa9", 2);
    }
    strcpy(more + n + 20000, "\", \"name\": \"n\"");
    char *text = malloc(50000);
    for (int i = 0; i < 5000; i++) {
        snprintf(uuid, sizeof uuid, "u%d", i);
        snprintf(text, 50000,
                 "{\"type\": \"task-failed\", \"uuid\": \"%s\", \"hostname\": \"w\", "
                 "\"timestamp\": 5, \"local_received\": 5%s}",
                 uuid, more);
        assert_int_equal(put(s, text), CELERY_OK);
    }
    celery_state_count(s, 0, &counts);
    assert_in_range(counts.tasks, CEL_STATE_BYTES / CEL_STATE_TRACEBACK - 5,
                    CEL_STATE_BYTES / CEL_STATE_TRACEBACK + 5);
    assert_true(s->bytes <= CEL_STATE_BYTES);
    assert_int_equal(strlen(celery_state_task_of(s, "u4999")->traceback),
                     CEL_STATE_TRACEBACK - 1);
    celery_state_clear_tasks(s, true);
    assert_int_equal(s->bytes, 0);
    celery_state_free(s);
    free(more);
    free(text);
}

static void test_what_is_no_event_of_ours(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"type\": \"worker\"}",
        "{\"type\": \"-\", \"hostname\": \"h\"}",
        "{\"type\": \"custom-thing\", \"hostname\": \"h\", \"timestamp\": 1}",
        "{\"type\": \"worker-online\", \"timestamp\": 1}",
        "{\"type\": \"task-started\", \"hostname\": \"h\", \"timestamp\": 1}",
        "{\"type\": \"task-started\", \"hostname\": \"h\", \"uuid\": \"u\"}",
        ("{\"type\": \"task-started\", \"hostname\": \"\", \"uuid\": \"u\", "
         "\"timestamp\": 1}"),
    };
    celery_state *s = new_state(0, 0);
    celery_state_counts counts;
    char uuid[300] = "";

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(put(s, bodies[i]), CELERY_NONE);
    }
    memset(uuid, 'u', 256);
    assert_int_equal(task(s, "started", uuid, 1, ""), CELERY_NONE);
    uuid[255] = 0;
    assert_int_equal(task(s, "started", uuid, 1, ""), CELERY_OK);
    celery_state_count(s, 0, &counts);
    assert_int_equal(counts.tasks, 1);
    celery_state_free(s);
}

static void test_wrong_types(void **state)
{
    celery_state *s = new_state(0, 0);

    assert_int_equal(
        put(s, "{\"type\": \"worker-heartbeat\", \"hostname\": \"h\", \"timestamp\": 1, "
               "\"local_received\": 1, \"freq\": \"2\", \"active\": [], \"processed\": "
               "-7, \"loadavg\": [1, NaN, {}], \"sw_ident\": 5, \"sw_ver\": null}"),
        CELERY_OK);
    const celery_state_worker *w = celery_state_worker_of(s, "h", 0);
    assert_true(w->freq == 60 && w->loadavg[0] == 1 && w->loadavg[1] == -1);
    assert_int_equal(w->active, -1);
    assert_int_equal(w->processed, -1);
    assert_null(w->ident);
    task(s, "received", "u", 1,
         ", \"name\": [\"a\", null], \"args\": {\"k\": 1.50}, \"kwargs\": \"a\\u0000b\", "
         "\"retries\": \"x\", \"runtime\": NaN, \"eta\": true, \"result\": 7");
    const celery_state_task *t = celery_state_task_of(s, "u");
    assert_string_equal(t->name, "[\"a\", null]");
    assert_string_equal(t->args, "{\"k\": 1.5}");
    assert_string_equal(t->kwargs, "a b");
    assert_string_equal(t->eta, "true");
    assert_string_equal(t->result, "7");
    assert_int_equal(t->retries, -1);
    assert_true(t->runtime == -1);
    task(s, "thisisaverylongnameofastate012345678901234567890123456789012345678", "u", 2,
         "");
    assert_int_equal(strlen(celery_state_task_of(s, "u")->state), 63);
    celery_state_free(s);
}

static unsigned lines;

static void on_line(void *ctx, celery_log_level level, const char *message)
{
    assert_non_null(strstr(message, "Substantial drift from w1@h"));
    lines++;
}

static void test_drift_is_one_line(void **state)
{
    celery_state *s = new_state(0, 0);

    lines = 0;
    celery_log_set(on_line, NULL, CELERY_LOG_WARNING);
    for (int i = 0; i < 5; i++) {
        put(s, "{\"type\": \"worker-heartbeat\", \"hostname\": \"w1@h\", \"timestamp\": "
               "1000, \"local_received\": 1017}");
    }
    assert_int_equal(lines, 1);
    celery_log_set(NULL, NULL, CELERY_LOG_WARNING);
    celery_state_free(s);
}

static bool type_text(void *ctx, const celery_state_type *t)
{
    char *text = ctx;

    snprintf(text + strlen(text), 100, "%s %zu/%zu/%zu/%zu;", t->name, t->total,
             t->succeeded, t->failed, t->other);
    return true;
}

static void test_types_and_filters(void **state)
{
    const celery_state_filter failed = {.name = "b", .state = "FAILURE"};
    const celery_state_filter two = {.limit = 2};
    const celery_state_filter nobody = {.worker = "w2@h"};
    celery_state *s = new_state(0, 0);
    char text[200] = "";

    task(s, "succeeded", "1", 1, ", \"name\": \"b\"");
    task(s, "failed", "2", 2, ", \"name\": \"b\"");
    task(s, "cancelled", "3", 3, ", \"name\": \"a\"");
    task(s, "started", "4", 4, "");
    assert_int_equal(celery_state_each_type(s, type_text, text, NULL), CELERY_OK);
    assert_string_equal(text, "a 1/0/0/1;b 2/1/1/0;");
    text[0] = 0;
    celery_state_each_task(s, &failed, collect, text, NULL);
    celery_state_each_task(s, &nobody, collect, text, NULL);
    assert_string_equal(text, "2");
    celery_state_each_task(s, &two, collect, text, NULL);
    assert_string_equal(text, "243");
    celery_state_clear_tasks(s, true);
    text[0] = 0;
    celery_state_each_task(s, NULL, collect, text, NULL);
    assert_string_equal(text, "43");
    celery_state_clear_tasks(s, false);
    assert_null(celery_state_task_of(s, "4"));
    celery_state_free(s);
}

static void test_out_of_memory(void **state)
{
    for (unsigned long i = 1; i < 60; i++) {
        celery_state *s = new_state(0, 0);

        task(s, "received", "u", 1, received);
        cel_alloc_fail_at(i, 0);
        celery_error err = {0};
        celery_event e = {.type = "task-sent",
                          .uuid = i % 2 ? "v" : "u",
                          .hostname = "c",
                          .timestamp = 2,
                          .clock = 2};
        celery_state_event(s, &e, &err);
        celery_state_each_task(s, NULL, collect, (char[100]){0}, &err);
        cel_alloc_fail_at(0, 0);
        assert_non_null(celery_state_task_of(s, "u"));
        celery_state_free(s);
    }
    cel_alloc_fail_at(1, 0);
    assert_null(celery_state_new(0, 0, NULL));
    cel_alloc_fail_at(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_a_task_is_a_sign_of_life),
        cmocka_unit_test(test_the_oldest_make_room),
        cmocka_unit_test(test_texts_have_a_ceiling),
        cmocka_unit_test(test_what_is_no_event_of_ours),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_drift_is_one_line),
        cmocka_unit_test(test_types_and_filters),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
