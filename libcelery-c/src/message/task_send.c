/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/app/amqp.py as_task_v2 and kombu/messaging.py Producer.publish. */
#include "base/clock.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "codec/codec.h"
#include "codec/doc_build.h"
#include "codec/json_raw.h"
#include "message/task.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { REPR_MAX = 1024 }; /* amqp.argsrepr_maxsize */

/* Everything is allocated in env's arena; the first failure stays in ok. */
struct builder {
    struct cel_arena *a;
    struct cel_node *map;
    bool ok;
};

/* For keys of this file, each given once: plain text that needs no copy. */
static void put(struct builder *b, const char *key, struct cel_node *value)
{
    struct cel_node *k = b->ok ? cel_node_new(b->a, CELERY_KIND_STRING) : NULL;

    if (k) {
        k->text = key;
        k->size = (uint32_t)strlen(key);
        k->flags |= CEL_NODE_PLAIN;
    }
    b->ok = b->ok && cel_doc_add_member(b->map, k, value) == CELERY_OK;
}

static void put_unique(struct builder *b, const char *key, struct cel_node *value)
{
    b->ok = b->ok && cel_node_put(b->a, b->map, cel_slice_of(key), value) == CELERY_OK;
}

static struct cel_node *text_or_null(struct builder *b, struct cel_slice text)
{
    return text.len ? cel_node_new_string(b->a, text)
                    : cel_node_new(b->a, CELERY_KIND_NULL);
}

static struct cel_node *copy_or(struct builder *b, const struct cel_node *n,
                                celery_kind kind)
{
    return n ? cel_node_copy(b->a, n) : cel_node_new(b->a, kind);
}

static struct cel_slice keep(struct builder *b, struct cel_slice text)
{
    char *copy = cel_arena_strndup(b->a, text.data, text.len);
    b->ok = b->ok && copy;
    return cel_slice(copy, copy ? text.len : 0);
}

static struct cel_node *instant(struct builder *b, struct cel_slice text, int64_t us)
{
    char buf[CEL_ISO8601_SIZE];
    if (text.len == 0 && us != INT64_MIN) {
        text = cel_slice(buf, cel_iso8601_format(us, CEL_ISO_OFFSET, buf));
    }
    return text_or_null(b, text);
}

/* Whole seconds as Python's int, which is what callers nearly always pass. */
static struct cel_node *seconds_or_null(struct builder *b, double seconds)
{
    if (!(seconds > 0) || isinf(seconds)) {
        return cel_node_new(b->a, CELERY_KIND_NULL);
    }
    if (seconds == floor(seconds) && seconds < 1e15) {
        return cel_node_new_int(b->a, (int64_t)seconds);
    }
    return cel_node_new_double(b->a, seconds);
}

static struct cel_node *timelimit(struct builder *b, const struct cel_task_call *call)
{
    struct cel_node *list = cel_node_new(b->a, CELERY_KIND_ARRAY);
    if (!list || cel_node_append(list, seconds_or_null(b, call->time_limit)) < 0 ||
        cel_node_append(list, seconds_or_null(b, call->soft_time_limit)) < 0) {
        return NULL;
    }
    return list;
}

/* Args are a tuple in Python: (2, 3), (2,). */
static struct cel_node *repr_text(struct builder *b, struct cel_slice given,
                                  const struct cel_node *n, int levels, bool tuple)
{
    if (given.data) {
        return cel_node_new_string(b->a, given);
    }
    if (!n) {
        return cel_node_new_string(b->a, tuple ? CEL_SLICE("()") : CEL_SLICE("{}"));
    }
    struct cel_buf out = {0};
    struct cel_node *text = NULL;
    if (cel_saferepr(&out, n, REPR_MAX, levels, tuple) == CELERY_OK) {
        text = cel_node_new_string(b->a, cel_buf_slice(&out));
    }
    cel_buf_fini(&out);
    return text;
}

size_t cel_anon_nodename(char text[CEL_ANON_NODENAME])
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) < 0) {
        host[0] = '\0';
    }
    int n = snprintf(text, CEL_ANON_NODENAME, "gen%ld@%s", (long)getpid(), host);
    return n > 0 ? (size_t)n : 0;
}

static struct cel_node *origin(struct builder *b, struct cel_slice given)
{
    char text[CEL_ANON_NODENAME];
    if (given.data) {
        return cel_node_new_string(b->a, given);
    }
    return cel_node_new_string(b->a, cel_slice(text, cel_anon_nodename(text)));
}

/* In the order in which Celery writes them. */
static void put_headers(struct builder *b, const struct cel_task_send *send)
{
    const struct cel_task_call *call = &send->call;
    struct cel_slice root = call->root_id.len ? call->root_id : call->id;
    put(b, "lang", cel_node_new_string(b->a, CEL_SLICE("py")));
    put(b, "task", cel_node_new_string(b->a, call->task));
    put(b, "id", cel_node_new_string(b->a, call->id));
    put(b, "shadow", text_or_null(b, call->shadow));
    put(b, "eta", instant(b, call->eta, call->eta_us));
    put(b, "expires", instant(b, call->expires, call->expires_us));
    put(b, "group", text_or_null(b, call->group));
    put(b, "group_index",
        call->group_index >= 0 ? cel_node_new_int(b->a, call->group_index)
                               : cel_node_new(b->a, CELERY_KIND_NULL));
    put(b, "retries", cel_node_new_int(b->a, call->retries));
    put(b, "timelimit", timelimit(b, call));
    put(b, "root_id", text_or_null(b, root));
    put(b, "parent_id", text_or_null(b, call->parent_id));
    put(b, "argsrepr", repr_text(b, call->argsrepr, call->args, send->repr_levels, true));
    put(b, "kwargsrepr",
        repr_text(b, call->kwargsrepr, call->kwargs, send->repr_levels, false));
    put(b, "origin", origin(b, call->origin));
    /* Unset is null since 5.7 (Celery.send_task): then the task's own option counts. */
    put(b, "ignore_result",
        call->ignore_result == CEL_UNSET
            ? cel_node_new(b->a, CELERY_KIND_NULL)
            : cel_node_new_bool(b->a, call->ignore_result == CEL_YES));
    put(b, "replaced_task_nesting", cel_node_new_int(b->a, call->replaced_task_nesting));
    put(b, "stamped_headers", copy_or(b, call->stamped_headers, CELERY_KIND_NULL));
    put(b, "stamps", copy_or(b, call->stamps, CELERY_KIND_OBJECT));
}

static void put_extra_headers(struct builder *b, const struct cel_node *headers)
{
    for (const struct cel_node *k = cel_node_first(headers), *v; k; k = v->next) {
        v = k->next;
        b->ok = b->ok && cel_node_put(b->a, b->map, cel_node_text(k),
                                      cel_node_copy(b->a, v)) == CELERY_OK;
    }
}

static void put_trace(struct builder *b, const struct cel_task_send *send)
{
    if (!send->traceparent.len || cel_node_get(send->headers, CEL_SLICE("traceparent"))) {
        return;
    }
    put(b, "traceparent", cel_node_new_string(b->a, send->traceparent));
    if (send->tracestate.len) {
        put(b, "tracestate", cel_node_new_string(b->a, send->tracestate));
    }
}

static struct cel_node *null_embed(struct cel_arena *a)
{
    struct builder e = {.a = a, .map = cel_node_new(a, CELERY_KIND_OBJECT), .ok = true};
    static const char *const names[] = {"callbacks", "errbacks", "chain", "chord"};
    for (size_t i = 0; e.map && i < sizeof names / sizeof names[0]; i++) {
        put(&e, names[i], cel_node_new(a, CELERY_KIND_NULL));
    }
    return e.ok ? e.map : NULL;
}

/* A container's node is copied, not what is in it: it may hang in another document. */
static struct cel_node *shallow(struct builder *b, const struct cel_node *n,
                                celery_kind kind)
{
    struct cel_node *copy = cel_node_new(b->a, kind);
    if (copy && n) {
        *copy = *n;
        copy->next = NULL;
    }
    return copy;
}

static celery_status add_body(struct cel_buf *out, struct builder *b,
                              const struct cel_codec *codec,
                              const struct cel_task_call *call, celery_error *err)
{
    struct cel_node *list = cel_node_new(b->a, CELERY_KIND_ARRAY);
    const struct cel_node *embed = call->embed;
    if (embed && codec != &cel_codec_json) {
        embed = cel_json_whole(b->a, embed, err);
        if (!embed) {
            return cel_error_nomem(err);
        }
    }
    if (!list || cel_node_append(list, shallow(b, call->args, CELERY_KIND_ARRAY)) < 0 ||
        cel_node_append(list, shallow(b, call->kwargs, CELERY_KIND_OBJECT)) < 0 ||
        cel_node_append(list, embed ? shallow(b, embed, CELERY_KIND_OBJECT)
                                    : null_embed(b->a)) < 0) {
        return cel_error_nomem(err);
    }
    return codec->encode(out, list, err);
}

/* Compression puts its header behind all others (kombu/messaging.py Producer._prepare). */
static celery_status make_body(struct builder *b, const struct cel_task_send *send,
                               struct cel_envelope *env, celery_error *err)
{
    struct cel_slice name =
        send->serializer ? cel_slice_of(send->serializer) : CEL_SLICE("json");
    const struct cel_codec *codec = cel_codec_find(name);
    const struct cel_compression *method = NULL;
    if (!codec) {
        return cel_error_set(err, CELERY_ENOTSUP, "serializer %s is not in this build",
                             send->serializer);
    }
    if (send->compression) {
        method = cel_compression_find(cel_slice_of(send->compression));
        if (!method) {
            return cel_error_set(err, CELERY_ENOTSUP,
                                 "compression %s is not in this build",
                                 send->compression);
        }
        put_unique(b, "compression",
                   cel_node_new_string(b->a, cel_slice_of(method->content_type)));
    }
    struct cel_buf plain = {0}, packed = {0};
    celery_status st = add_body(&plain, b, codec, &send->call, err);
    if (st == CELERY_OK && method) {
        st = method->compress(&packed, cel_buf_slice(&plain), err);
    }
    if (st == CELERY_OK) {
        env->body = keep(b, cel_buf_slice(method ? &packed : &plain));
        env->content_type = cel_slice_of(codec->content_type);
        env->content_encoding = cel_slice_of(codec->encoding);
    }
    cel_buf_fini(&plain);
    cel_buf_fini(&packed);
    return st;
}

/* Milliseconds as text, never negative (celery/app/base.py send_task). */
static struct cel_slice expiration(struct builder *b, const struct cel_task_send *send)
{
    int64_t ms = send->expiration_ms;
    if (ms == 0 && send->call.expires_us == INT64_MIN) {
        return CEL_SLICE_NULL;
    }
    if (ms == 0) {
        ms = send->call.expires_us / 1000 - cel_clock_wall_us() / 1000;
    }
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", ms > 0 ? (long long)ms : 0);
    return keep(b, cel_slice(text, n > 0 ? (size_t)n : 0));
}

static celery_status fill(struct cel_envelope *env, const struct cel_task_send *send,
                          celery_error *err)
{
    struct builder b = {.a = &env->arena, .ok = true};
    b.map = cel_node_new(b.a, CELERY_KIND_OBJECT);
    if (!b.map) {
        return cel_error_nomem(err);
    }
    put_headers(&b, send);
    put_extra_headers(&b, send->headers);
    put_trace(&b, send);
    celery_status st = make_body(&b, send, env, err);
    if (st < 0) {
        return st;
    }
    env->headers = b.map;
    env->correlation_id = keep(&b, send->call.id);
    env->reply_to = keep(&b, send->reply_to);
    env->exchange = keep(&b, send->exchange);
    env->routing_key = keep(&b, send->routing_key);
    env->expiration = expiration(&b, send);
    env->priority = send->priority;
    env->delivery_mode = send->delivery_mode ? send->delivery_mode : 2;
    return b.ok ? CELERY_OK : cel_error_nomem(err);
}

celery_status cel_task_send_envelope(const struct cel_task_send *send,
                                     struct cel_envelope **ret_env, celery_error *err)
{
    if (send->call.task.len == 0 || send->call.id.len == 0) {
        return cel_error_set(err, CELERY_EINVAL, "a task call needs a name and an id");
    }
    struct cel_envelope *env = cel_envelope_new_sized(4096);
    if (!env) {
        return cel_error_nomem(err);
    }
    celery_status st = fill(env, send, err);
    if (st < 0) {
        cel_envelope_free(env);
        return st;
    }
    *ret_env = env;
    return CELERY_OK;
}
