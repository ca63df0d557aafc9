/* SPDX-License-Identifier: BSD-3-Clause */
#include "same.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "backend/redis.h"
#include "case.h"
#include "message/envelope_json.h"
#include "message/task.h"

static void same_slice(const char *what, struct cel_slice want, struct cel_slice got)
{
    if (!cel_slice_eq(want, got)) {
        fail_msg("%s:\nrecorded %.*s\nmade     %.*s", what, (int)want.len,
                 want.data ? want.data : "", (int)got.len, got.data ? got.data : "");
    }
}

void same_text(const char *what, const struct cel_node *want, struct cel_slice got)
{
    struct cel_buf text = {0};

    assert_int_equal(cel_json_write(&text, want), CELERY_OK);
    same_slice(what, cel_buf_slice(&text), got);
    cel_buf_fini(&text);
}

void same_doc(const char *what, const struct cel_node *want, const struct cel_node *got)
{
    struct cel_buf text = {0};

    assert_int_equal(cel_json_write(&text, got), CELERY_OK);
    same_text(what, want, cel_buf_slice(&text));
    cel_buf_fini(&text);
}

/*
 * Headers without what tells nothing: no ignore_result is null or false; among the arguments of
 * celery.* are signatures, whose repr() tells Python's tuples from its lists.
 */
static struct cel_node *leveled(struct cel_arena *a, const struct cel_node *headers,
                                bool origin)
{
    struct cel_node *out = cel_node_new(a, CELERY_KIND_OBJECT);
    bool builtin =
        cel_slice_starts(cel_node_text(case_get(headers, "task")), CEL_SLICE("celery."));

    for (const struct cel_node *k = cel_node_first(headers); k; k = k->next->next) {
        struct cel_slice key = cel_node_text(k);
        struct cel_node *value = cel_node_copy(a, k->next);

        if (cel_slice_is(key, "compression") ||
            (cel_slice_is(key, "origin") && !origin) ||
            (builtin &&
             (cel_slice_is(key, "argsrepr") || cel_slice_is(key, "kwargsrepr")))) {
            continue;
        }
        if (cel_slice_is(key, "ignore_result")) {
            value = cel_node_new_bool(a, cel_node_truth(value));
        }
        assert_int_equal(cel_node_put(a, out, key, value), CELERY_OK);
    }
    return out;
}

static void same_body(struct cel_arena *a, const struct cel_node *want,
                      struct cel_envelope *env)
{
    static const char *const accept[] = {"json", NULL};
    const struct cel_call_limits limits = {.accept = accept};
    struct cel_task_call call;
    celery_error err = {0};

    if (!cel_envelope_header(env, CEL_SLICE("compression"))) {
        same_text("body", want, env->body);
    }
    assert_int_equal(cel_task_call_read(env, &limits, &call, &err), CEL_CALL_OK);
    assert_int_equal(cel_task_call_body(a, env->body, env->content_type, call.compression,
                                        &limits, &call, &err),
                     CEL_CALL_OK);
    same_doc("args", cel_node_first(want), call.args);
    same_doc("kwargs", cel_node_first(want)->next, call.kwargs);
    same_doc("embed", cel_node_first(want)->next->next, call.embed);
}

static void same_member(const struct cel_node *want, const char *key,
                        struct cel_slice got)
{
    same_slice(key, cel_node_text(case_get(want, key)), got);
}

static void same_message(struct cel_arena *a, const struct cel_node *want,
                         const struct cel_effect *got, const char *here)
{
    struct cel_envelope *env = NULL;
    celery_error err = {0};
    struct cel_slice copy = {cel_arena_strndup(a, got->json.data, got->json.len),
                             got->json.len};

    assert_int_equal(cel_envelope_read(copy, &env, &err), CELERY_OK);
    same_doc("headers", leveled(a, case_get(want, "headers"), here),
             leveled(a, env->headers, here));
    if (here) {
        same_slice("origin", cel_slice_of(here),
                   cel_node_text(cel_envelope_header(env, CEL_SLICE("origin"))));
    }
    same_body(a, case_get(want, "body"), env);
    same_member(want, "correlation_id", env->correlation_id);
    same_member(want, "reply_to", env->reply_to);
    same_member(want, "expiration", env->expiration);
    if (here || got->queue.len > 0) {
        same_member(want, "queue", got->queue);
    } else {
        /* A retry goes back to the queue it came from, which is there. */
        same_member(want, "queue", got->routing_key);
    }
    same_member(want, "exchange", got->exchange);
    same_member(want, "routing_key", got->routing_key);
    same_slice("exchange of the message", got->exchange, env->exchange);
    same_slice("routing key of the message", got->routing_key, env->routing_key);
    same_slice("content type", CEL_SLICE("application/json"), env->content_type);
    same_slice("content encoding", CEL_SLICE("utf-8"), env->content_encoding);
    assert_int_equal(cel_node_int(case_get(want, "priority"), 0), env->priority);
    assert_int_equal(env->delivery_mode, 2);
    assert_int_equal(cel_node_truth(case_get(want, "compression")),
                     cel_envelope_header(env, CEL_SLICE("compression")) != NULL);
    cel_envelope_free(env);
}

/* The document that is stored of a saved group. */
static void same_group(const struct cel_node *want, struct cel_slice json)
{
    struct cel_buf out = {0};

    assert_int_equal(cel_group_write(&cel_codec_json, &out, json, NULL), CELERY_OK);
    same_member(want, "text", cel_buf_slice(&out));
    cel_buf_fini(&out);
}

void same_effect(struct cel_arena *a, const struct cel_node *want,
                 const struct cel_effect *got, const char *here)
{
    static const char *const kinds[] = {"", "publish", "size", "save", "grow", "child"};

    same_member(want, "kind", cel_slice_of(kinds[got->kind]));
    if (got->kind != CEL_EFFECT_CHILD) {
        same_member(want, "id", got->id);
    }
    switch (got->kind) {
    case CEL_EFFECT_PUBLISH:
        same_message(a, want, got, here);
        break;
    case CEL_EFFECT_CHORD_SIZE:
        assert_int_equal(cel_node_int(case_get(want, "number"), -1), got->number);
        break;
    case CEL_EFFECT_SAVE_GROUP:
        if (case_get(want, "text")) {
            same_group(want, got->json);
        }
        same_text(kinds[got->kind], case_get(want, "json"), got->json);
        break;
    default:
        same_text(kinds[got->kind], case_get(want, "json"), got->json);
    }
}
