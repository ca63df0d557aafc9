/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages recorded from real Celery: read, compare, write, compare. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "case.h"
#include "message/envelope_json.h"
#include "message/task.h"
#include <stdio.h>
#include <stdlib.h>

static const char *const accept_all[] = {"json", "yaml", "msgpack", NULL};
static const struct cel_call_limits limits = {.max_body = 1 << 20, .accept = accept_all};

struct message {
    const char *folder;
    struct cel_arena arena; /* of the expectation */
    const struct cel_node *expect;
    struct cel_envelope *env;
    celery_status read;
    struct cel_task_call call;
    enum cel_call_fault fault;
    celery_error err;
};

static const char *fault_name(enum cel_call_fault fault)
{
    static const char *const names[] = {"ok",     "unknown", "invalid",
                                        "decode", "content", "nomem"};
    return names[fault];
}

static void same_text(const struct cel_node *map, const char *key, struct cel_slice got)
{
    const struct cel_node *want = case_get(map, key);
    if (!cel_slice_eq(cel_node_text(want), got)) {
        fail_msg("%s: expected %.*s, got %.*s", key, (int)cel_node_text(want).len,
                 cel_node_text(want).data, (int)got.len, got.data);
    }
}

static void same_int(const struct cel_node *map, const char *key, int64_t got,
                     int64_t none)
{
    int64_t want = cel_node_int(case_get(map, key), none);
    if (want != got) {
        fail_msg("%s: expected %lld, got %lld", key, (long long)want, (long long)got);
    }
}

static void same_seconds(const struct cel_node *map, const char *key, double got)
{
    double want = cel_node_double(case_get(map, key), -1);
    if (want != got) {
        fail_msg("%s: expected %g, got %g", key, want, got);
    }
}

static void same_node(const struct cel_node *map, const char *key,
                      const struct cel_node *got)
{
    struct cel_buf want = {0}, have = {0};
    (void)cel_json_write(&want, case_get(map, key));
    (void)cel_json_write(&have, got);
    if (!cel_slice_eq(cel_buf_slice(&want), cel_buf_slice(&have))) {
        fail_msg("%s: expected %s, got %s", key, cel_buf_cstr(&want),
                 cel_buf_cstr(&have));
    }
    cel_buf_fini(&want);
    cel_buf_fini(&have);
}

/* Reads as a worker does: envelope, call, then the body with memory of its own. */
static void open_message(struct message *m, const char *folder)
{
    *m = (struct message){.folder = folder};
    m->expect = case_json(&m->arena, folder, "expect.json");
    struct cel_slice raw = case_read(&m->arena, folder, "message.json");
    m->read = cel_envelope_read(raw, &m->env, &m->err);
    assert_non_null(m->env);
    assert_true(cel_slice_eq(m->env->raw, raw));
    if (m->read < 0) {
        return;
    }
    m->fault = cel_task_call_read(m->env, &limits, &m->call, &m->err);
    if (m->fault == CEL_CALL_OK && m->call.protocol == 2) {
        m->fault = cel_task_call_body(&m->arena, m->env->body, m->env->content_type,
                                      m->call.compression, &limits, &m->call, &m->err);
    }
}

static void close_message(struct message *m)
{
    cel_envelope_free(m->env);
    cel_arena_fini(&m->arena);
}

static void check_envelope(const struct message *m)
{
    const struct cel_node *e = case_get(m->expect, "envelope");
    if (!e) {
        return;
    }
    same_text(e, "correlation_id", m->env->correlation_id);
    same_text(e, "reply_to", m->env->reply_to);
    same_text(e, "expiration", m->env->expiration);
    same_text(e, "delivery_tag", m->env->delivery_tag);
    same_text(e, "exchange", m->env->exchange);
    same_text(e, "routing_key", m->env->routing_key);
    same_text(e, "content_type", m->env->content_type);
    same_text(e, "content_encoding", m->env->content_encoding);
    same_int(e, "delivery_mode", m->env->delivery_mode, 0);
    same_int(e, "priority", m->env->priority, 0);
    assert_false(m->env->redelivered);
}

static void check_call(const struct message *m)
{
    const struct cel_node *e = m->expect;
    const struct cel_task_call *c = &m->call;
    if (!case_get(e, "args")) {
        return;
    }
    same_int(e, "protocol", c->protocol, 0);
    same_text(e, "task", c->task);
    same_text(e, "name", c->shadow.len ? c->shadow : c->task);
    same_text(e, "root_id", c->root_id);
    same_text(e, "parent_id", c->parent_id);
    same_text(e, "group", c->group);
    same_int(e, "group_index", c->group_index, c->protocol == 1 ? c->group_index : -1);
    same_int(e, "retries", c->retries, 0);
    same_int(e, "eta", c->eta_us, INT64_MIN);
    same_int(e, "expires", c->expires_us, INT64_MIN);
    same_seconds(e, "time_limit", c->time_limit);
    same_seconds(e, "soft_time_limit", c->soft_time_limit);
    same_text(e, "argsrepr", c->argsrepr);
    same_text(e, "kwargsrepr", c->kwargsrepr);
    same_text(e, "origin", c->origin);
    same_text(e, "compression", c->compression);
    assert_int_equal(cel_node_bool(case_get(e, "ignore_result"), false),
                     c->ignore_result == CEL_YES);
    same_node(e, "args", c->args);
    same_node(e, "kwargs", c->kwargs);
    same_node(e, "embed", c->embed);
}

/* Headers that are none of the protocol's own: what the caller added. */
static const struct cel_node *extra_headers(struct message *m)
{
    struct cel_node *extra = cel_node_new(&m->arena, CELERY_KIND_OBJECT);
    bool behind = false;
    for (const struct cel_node *k = cel_node_first(m->env->headers), *v; k; k = v->next) {
        struct cel_slice key = cel_node_text(k);
        v = k->next;
        if (behind && !cel_slice_is(key, "compression")) {
            (void)cel_node_put(&m->arena, extra, key, cel_node_copy(&m->arena, v));
        }
        behind = behind || cel_slice_is(key, "stamps");
    }
    return extra;
}

static void check_sent(struct message *m)
{
    struct cel_task_send send = {
        .call = m->call,
        .headers = extra_headers(m),
        .reply_to = m->env->reply_to,
        .exchange = m->env->exchange,
        .routing_key = m->env->routing_key,
        .priority = m->env->priority,
        .delivery_mode = m->env->delivery_mode,
        .compression = m->call.compression.len
                           ? cel_arena_strndup(&m->arena, m->call.compression.data,
                                               m->call.compression.len)
                           : NULL,
    };
    struct cel_envelope *sent = NULL;
    struct cel_buf out = {0};
    int64_t ms = 0;
    if (!cel_node_bool(case_get(m->expect, "reprs_given"), false)) {
        send.call.argsrepr = send.call.kwargsrepr = CEL_SLICE_NULL;
    }
    if (cel_slice_to_int(m->env->expiration, &ms)) {
        /* A past one is "0", which only the clock gives. */
        send.expiration_ms = ms;
    }
    celery_status st = cel_task_send_envelope(&send, &sent, &m->err);
    if (st != CELERY_OK) {
        fail_msg("%s", m->err.message);
    }
    sent->delivery_tag = m->env->delivery_tag;
    sent->properties = m->env->properties; /* options that Celery leaks into them */
    assert_int_equal(cel_envelope_write(&out, sent), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), m->env->raw.data);
    cel_buf_fini(&out);
    cel_envelope_free(sent);
}

static void check_rewritten(struct message *m)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_envelope_write(&out, m->env), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), m->env->raw.data);
    cel_buf_fini(&out);
}

static void test_recorded(void **state)
{
    struct message m;
    open_message(&m, *state);
    assert_int_equal(m.read, CELERY_OK);
    if (m.fault == CEL_CALL_CONTENT && strstr(m.err.message, "not in this build")) {
        close_message(&m);
        skip();
    }
    const char *want = cel_node_text(case_get(m.expect, "fault")).data;
    if (strncmp(fault_name(m.fault), want, strlen(fault_name(m.fault))) != 0) {
        if (strstr(m.err.message, "unknown compression")) {
            close_message(&m);
            skip(); /* not in this build */
        }
        fail_msg("%s: %s", fault_name(m.fault), m.err.message);
    }
    same_text(m.expect, "id", m.call.id);
    check_envelope(&m);
    check_call(&m);
    check_rewritten(&m);
    if (cel_node_bool(case_get(m.expect, "encode"), false)) {
        check_sent(&m);
    }
    close_message(&m);
}

static void test_invalid(void **state)
{
    struct message m;
    open_message(&m, *state);
    struct cel_slice want = cel_node_text(case_get(m.expect, "fault"));
    const char *got = m.read < 0 ? "envelope" : fault_name(m.fault);
    if (!cel_slice_is(want, got)) {
        fail_msg("expected %.*s, got %s: %s", (int)want.len, want.data, got,
                 m.err.message);
    }
    if (!cel_slice_is(want, "ok")) {
        assert_true(m.err.message[0] != '\0');
    }
    if (m.read < 0) {
        struct cel_slice id = cel_node_text(cel_envelope_header(m.env, CEL_SLICE("id")));
        same_text(m.expect, "id", id);
    } else {
        same_text(m.expect, "id", m.call.id);
    }
    struct cel_buf out = {0};
    assert_int_equal(cel_envelope_write_redelivered(&out, m.env, "deaths", 1), CELERY_OK);
    cel_buf_fini(&out);
    close_message(&m);
}

/* usage: test_messages FOLDER */
int main(int argc, char **argv)
{
    size_t n;
    if (argc != 2) {
        return 2;
    }
    char **folders = case_find(argv[1], "message.json", &n);
    struct CMUnitTest *tests = calloc(n, sizeof *tests);
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest){
            .name = folders[i] + strlen(argv[1]) + 1,
            .test_func = strstr(folders[i], "/invalid/") ? test_invalid : test_recorded,
            .initial_state = folders[i],
        };
    }
    int failed = _cmocka_run_group_tests("messages", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        free(folders[i]);
    }
    free(folders);
    free(tests);
    return failed;
}
