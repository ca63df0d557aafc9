/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames and header tables recorded from py-amqp (record_amqp.py): the messages of messages/ come
 * out as the same bytes, and are read as what messages/ says of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "case.h"
#include "message/envelope_json.h"
#include "message/task.h"
#include "transport/amqp_codec.h"
#include <stdio.h>
#include <stdlib.h>

enum { FRAME_MAX = 131072, CHANNEL = 1 };

static const char *root; /* of the recorded cases */

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct cel_slice unhex(struct cel_arena *a, struct cel_slice hex)
{
    char *bytes = cel_arena_alloc(a, hex.len / 2 + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < hex.len / 2; i++) {
        bytes[i] = (char)(digit(hex.data[2 * i]) << 4 | digit(hex.data[2 * i + 1]));
    }
    return cel_slice(bytes, hex.len / 2);
}

static void same_bytes(const char *name, struct cel_slice want, struct cel_slice got)
{
    size_t at = 0;
    while (at < want.len && at < got.len && want.data[at] == got.data[at]) {
        at++;
    }
    if (at < want.len || at < got.len) {
        fail_msg("%s: differs at byte %zu (%zu bytes, %zu recorded)", name, at, got.len,
                 want.len);
    }
}

/* ---- messages ---- */

static struct cel_envelope *recorded_envelope(struct cel_arena *a, const char *version,
                                              const char *name)
{
    char folder[1024];
    struct cel_envelope *env = NULL;
    (void)snprintf(folder, sizeof folder, "%s/messages/%s/%s", root, version, name);
    assert_int_equal(cel_envelope_read(case_read(a, folder, "message.json"), &env, NULL),
                     CELERY_OK);
    return env;
}

static void publish(struct cel_buf *out, const struct cel_envelope *env)
{
    struct cel_amqp_method method = {
        .id = CEL_AMQP_BASIC_PUBLISH,
        .exchange = env->exchange,
        .routing_key = env->routing_key,
    };
    assert_int_equal(cel_amqp_method_put(out, CHANNEL, &method, NULL), CELERY_OK);
    assert_int_equal(
        cel_amqp_header_put(out, CHANNEL, env, env->body.len, FRAME_MAX, NULL),
        CELERY_OK);
    assert_int_equal(cel_amqp_put_body(out, CHANNEL, env->body, FRAME_MAX), CELERY_OK);
}

static struct cel_amqp_frame next(struct cel_slice *in, uint8_t type)
{
    struct cel_amqp_frame frame = {0};
    ssize_t took = cel_amqp_frame_next(*in, FRAME_MAX, &frame, NULL);
    assert_true(took > 0);
    assert_int_equal(frame.type, type);
    assert_int_equal(frame.channel, CHANNEL);
    *in = cel_slice(in->data + took, in->len - (size_t)took);
    return frame;
}

static struct cel_envelope *receive(struct cel_slice in)
{
    struct cel_arena a = {0};
    struct cel_amqp_method method;
    struct cel_envelope *env = cel_envelope_new();
    uint64_t size;
    assert_int_equal(
        cel_amqp_method_read(next(&in, CEL_AMQP_METHOD).payload, &a, &method, NULL),
        CELERY_OK);
    assert_int_equal(method.id, CEL_AMQP_BASIC_PUBLISH);
    env->exchange = method.exchange;
    env->routing_key = method.routing_key;
    assert_int_equal(
        cel_amqp_header_read(next(&in, CEL_AMQP_HEADER).payload, env, &size, NULL),
        CELERY_OK);
    env->body = next(&in, CEL_AMQP_BODY).payload;
    assert_int_equal(env->body.len, size);
    assert_int_equal(in.len, 0);
    cel_arena_fini(&a);
    return env;
}

static void same_text(struct cel_slice want, struct cel_slice got)
{
    assert_int_equal(want.len, got.len);
    assert_memory_equal(want.data ? want.data : "", got.data ? got.data : "", want.len);
}

static void same_envelope(const char *name, const struct cel_envelope *want,
                          const struct cel_envelope *got)
{
    same_text(want->content_type, got->content_type);
    same_text(want->content_encoding, got->content_encoding);
    same_text(want->body, got->body);
    same_text(want->correlation_id, got->correlation_id);
    same_text(want->reply_to, got->reply_to);
    same_text(want->expiration, got->expiration);
    same_text(want->exchange, got->exchange);
    same_text(want->routing_key, got->routing_key);
    assert_int_equal(want->delivery_mode, got->delivery_mode);
    assert_int_equal(want->priority, got->priority);
    /* {} and nothing are the same to kombu. */
    if (want->headers && want->headers->size > 0) {
        if (!cel_node_equal(want->headers, got->headers)) {
            fail_msg("%s: other headers", name);
        }
    }
}

/* What a worker makes of it, from JSON and from frames. */
static void same_call(const struct cel_envelope *want, struct cel_envelope *got)
{
    static const char *const accept_all[] = {"json", "yaml", "msgpack", NULL};
    static const struct cel_call_limits limits = {.max_body = 1 << 20,
                                                  .accept = accept_all};
    struct cel_task_call a = {0}, b = {0};
    celery_error err = {0};
    enum cel_call_fault fault =
        cel_task_call_read((struct cel_envelope *)(uintptr_t)want, &limits, &a, &err);
    assert_int_equal(cel_task_call_read(got, &limits, &b, &err), fault);
    same_text(a.id, b.id);
    same_text(a.task, b.task);
    same_text(a.root_id, b.root_id);
    assert_int_equal(a.eta_us, b.eta_us);
    assert_int_equal(a.retries, b.retries);
    assert_true(a.time_limit == b.time_limit || (a.time_limit != a.time_limit));
}

/* "celery-5.6.3" of "celery-5.6.3.json". */
static void test_messages_are_the_bytes_of_py_amqp(void **state)
{
    const char *version = *state;
    struct cel_arena a = {0};
    char file[64], folder[1024];
    size_t n = 0;
    (void)snprintf(file, sizeof file, "%s.json", version);
    (void)snprintf(folder, sizeof folder, "%s/amqp", root);
    const struct cel_node *cases = case_get(case_json(&a, folder, file), "cases");
    for (const struct cel_node *c = cel_node_first(cases); c; c = c->next, n++) {
        struct cel_buf out = {0};
        struct cel_slice name = cel_node_text(case_get(c, "name"));
        const char *text = cel_arena_strndup(&a, name.data, name.len);
        struct cel_slice frames = unhex(&a, cel_node_text(case_get(c, "frames")));
        struct cel_envelope *want = recorded_envelope(&a, version, text);
        publish(&out, want);
        same_bytes(text, frames, cel_buf_slice(&out));
        struct cel_envelope *got = receive(frames);
        same_envelope(text, want, got);
        same_call(want, got);
        cel_envelope_free(want);
        cel_envelope_free(got);
        cel_buf_fini(&out);
    }
    assert_true(n > 40);
    cel_arena_fini(&a);
}

/* ---- tables ---- */

/* The payload of a content header with nothing but this table. */
static struct cel_slice header_with(struct cel_arena *a, struct cel_slice table)
{
    static const char head[] = "\0\x3c\0\0\0\0\0\0\0\0\0\0\x20";
    char *payload = cel_arena_alloc(a, sizeof head + table.len);
    assert_non_null(payload);
    memcpy(payload, head, sizeof head);
    memcpy(payload + sizeof head, table.data, table.len);
    return cel_slice(payload, sizeof head + table.len);
}

static const struct cel_node *tables(struct cel_arena *a, const char *list)
{
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s/amqp", root);
    return case_get(case_json(a, folder, "tables.json"), list);
}

static struct cel_node *parsed(struct cel_arena *a, struct cel_slice json)
{
    struct cel_json_limits limits = {0};
    struct cel_node *n = NULL;
    assert_int_equal(cel_json_parse(a, json, &limits, &n, NULL), CELERY_OK);
    return n;
}

static void test_values_are_read_as_py_amqp_reads_them(void **state)
{
    struct cel_arena a = {0};
    size_t n = 0;
    for (const struct cel_node *c = cel_node_first(tables(&a, "read")); c;
         c = c->next, n++) {
        struct cel_envelope *env = cel_envelope_new();
        struct cel_buf json = {0};
        uint64_t size;
        struct cel_slice table = unhex(&a, cel_node_text(case_get(c, "table")));
        assert_int_equal(cel_amqp_header_read(header_with(&a, table), env, &size, NULL),
                         CELERY_OK);
        assert_int_equal(cel_json_write(&json, env->headers), CELERY_OK);
        struct cel_slice want = cel_node_text(case_get(c, "value"));
        if (!cel_slice_eq(want, cel_buf_slice(&json))) {
            fail_msg("%s is not %.*s", cel_buf_cstr(&json), (int)want.len, want.data);
        }
        cel_buf_fini(&json);
        cel_envelope_free(env);
    }
    assert_true(n > 35);
    cel_arena_fini(&a);
}

/* What AMQP has no form for: py-amqp refuses it, we refuse it or send the map of kombu's JSON. */
static bool ours_alone(const struct cel_node *headers)
{
    struct cel_slice type;
    const struct cel_node *value;
    return cel_json_typed(case_get(headers, "a"), &type, &value);
}

static void test_values_are_written_as_py_amqp_writes_them(void **state)
{
    struct cel_arena a = {0};
    size_t n = 0;
    for (const struct cel_node *c = cel_node_first(tables(&a, "written")); c;
         c = c->next, n++) {
        struct cel_buf out = {0};
        const struct cel_node *made = case_get(c, "table");
        struct cel_envelope *env = cel_envelope_new();
        env->headers = parsed(&env->arena, cel_node_text(case_get(c, "value")));
        celery_status st = cel_amqp_header_put(&out, CHANNEL, env, 0, FRAME_MAX, NULL);
        if (cel_node_is_null(made)) {
            assert_int_equal(st, ours_alone(env->headers) ? CELERY_OK : CELERY_EINVAL);
        } else {
            assert_int_equal(st, CELERY_OK);
            /* Head 7, class and size 12, flags 2; mode, priority and end octet behind. */
            struct cel_slice name = cel_node_text(case_get(c, "name"));
            same_bytes(cel_arena_strndup(&a, name.data, name.len),
                       unhex(&a, cel_node_text(made)),
                       cel_slice(out.data + 21, out.len - 24));
        }
        cel_buf_fini(&out);
        cel_envelope_free(env);
    }
    assert_true(n > 35);
    cel_arena_fini(&a);
}

int main(int argc, char **argv)
{
    static char oldest[] = "celery-5.2.6", newest[] = "celery-5.6.3";
    root = argc > 1 ? argv[1] : ".";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_messages_are_the_bytes_of_py_amqp, oldest),
        cmocka_unit_test_prestate(test_messages_are_the_bytes_of_py_amqp, newest),
        cmocka_unit_test(test_values_are_read_as_py_amqp_reads_them),
        cmocka_unit_test(test_values_are_written_as_py_amqp_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
