/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include "codec/codec.h"
#include "message/task_fields.h"

#define DEFAULT_MAX_BODY ((size_t)16 << 20)

/*
 * What decompresses to more than this must not do so by more than the ratio: a slot of the pool
 * is not kept busy by a few bytes.
 */
#define FREE_RATIO_BODY ((size_t)16 << 20)
#define MAX_RATIO       100

void cel_task_call_init(struct cel_task_call *call)
{
    *call = (struct cel_task_call){
        .group_index = -1,
        .eta_us = INT64_MIN,
        .expires_us = INT64_MIN,
        .time_limit = -1,
        .soft_time_limit = -1,
        .ignore_result = CEL_UNSET,
        .protocol = 2,
    };
}

/* Memory failing is no fault of the message. */
static enum cel_call_fault fault_of(celery_status st, enum cel_call_fault otherwise)
{
    return st == CELERY_OK       ? CEL_CALL_OK
           : st == CELERY_ENOMEM ? CEL_CALL_NOMEM
                                 : otherwise;
}

/* ---- the body ---- */

static celery_status decompress(struct cel_arena *a, struct cel_slice *body,
                                struct cel_slice method, size_t max, celery_error *err)
{
    const struct cel_compression *c = cel_compression_find(method);
    if (!c) {
        return cel_error_set(err, CELERY_EMESSAGE, "unknown compression");
    }
    struct cel_buf out;
    size_t by_ratio = body->len < max / MAX_RATIO ? body->len * MAX_RATIO : max;

    by_ratio = by_ratio > FREE_RATIO_BODY ? by_ratio : FREE_RATIO_BODY;
    cel_buf_init(&out, max < by_ratio ? max : by_ratio);
    celery_status st = c->decompress(&out, *body, err);
    if (st == CELERY_OK) {
        char *copy = cel_arena_strndup(a, out.data, out.len);
        *body = cel_slice(copy, out.len);
        st = copy ? CELERY_OK : cel_error_nomem(err);
    }
    cel_buf_fini(&out);
    return st;
}

enum cel_call_fault cel_task_decode(struct cel_arena *a, struct cel_slice body,
                                    struct cel_slice content_type,
                                    struct cel_slice compression,
                                    const struct cel_call_limits *limits,
                                    struct cel_node **ret_node, celery_error *err)
{
    const struct cel_codec *codec = NULL;
    size_t max = limits->max_body ? limits->max_body : DEFAULT_MAX_BODY;
    celery_status st = CELERY_OK;
    if (compression.len > 0) {
        st = decompress(a, &body, compression, max, err);
    } else if (body.len > max) {
        st = cel_error_set(err, CELERY_ELIMIT, "body of %zu bytes, the limit is %zu",
                           body.len, max);
    }
    if (st < 0) {
        return fault_of(st, CEL_CALL_DECODE);
    }
    st = cel_codec_accept(content_type, limits->accept, &codec, err);
    if (st < 0) {
        return fault_of(st, CEL_CALL_CONTENT);
    }
    st = codec->decode(a, body, &limits->json, ret_node, err);
    if (st == CELERY_OK) {
        st = cel_json_check_types(*ret_node, err);
    }
    return fault_of(st, CEL_CALL_DECODE);
}

/* [args, kwargs, embed]; embed may be null (celery/app/trace.py: `embed or {}`). */
static celery_status read_v2_body(const struct cel_node *body, struct cel_task_call *call,
                                  celery_error *err)
{
    const struct cel_node *args = body->kind == CELERY_KIND_ARRAY ? body->first : NULL;
    if (!args || body->size != 3) {
        return cel_error_set(err, CELERY_EMESSAGE,
                             "body is no list of args, kwargs and embed");
    }
    const struct cel_node *kwargs = args->next, *embed = kwargs->next;
    if (args->kind != CELERY_KIND_ARRAY) {
        return cel_error_set(err, CELERY_EMESSAGE, "args is no list");
    }
    if (kwargs->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_EMESSAGE, "kwargs is no map");
    }
    if (embed->kind != CELERY_KIND_OBJECT && cel_node_truth(embed)) {
        return cel_error_set(err, CELERY_EMESSAGE, "embed is no map");
    }
    call->args = args;
    call->kwargs = kwargs;
    call->embed = embed->kind == CELERY_KIND_OBJECT ? embed : NULL;
    return CELERY_OK;
}

enum cel_call_fault cel_task_call_body(struct cel_arena *a, struct cel_slice body,
                                       struct cel_slice content_type,
                                       struct cel_slice compression,
                                       const struct cel_call_limits *limits,
                                       struct cel_task_call *call, celery_error *err)
{
    struct cel_node *doc = NULL;
    enum cel_call_fault fault =
        cel_task_decode(a, body, content_type, compression, limits, &doc, err);
    if (fault != CEL_CALL_OK) {
        return fault;
    }
    /* A map with args is protocol 1 whatever the headers say (strategy.py default). */
    bool v1 = doc->kind == CELERY_KIND_OBJECT &&
              (call->protocol == 1 || cel_node_get(doc, CEL_SLICE("args")));
    celery_status st =
        v1 ? cel_task_v1_body(a, doc, call, err) : read_v2_body(doc, call, err);
    return fault_of(st, CEL_CALL_INVALID);
}

/* ---- headers ---- */

/*
 * The body says which task it is.  Real headers win over it in a hybrid, as they do in
 * hybrid_to_proto2(); plain protocol 1 has none that matter.
 */
static enum cel_call_fault read_v1(struct cel_envelope *env,
                                   const struct cel_call_limits *limits,
                                   struct cel_task_call *call, celery_error *err)
{
    struct cel_node *body = NULL;
    struct cel_slice method =
        cel_node_text(cel_envelope_header(env, CEL_SLICE("compression")));
    enum cel_call_fault fault = cel_task_decode(&env->arena, env->body, env->content_type,
                                                method, limits, &body, err);
    if (fault != CEL_CALL_OK) {
        /* Celery decodes before it knows the task, so it is one error with the others. */
        return fault == CEL_CALL_CONTENT ? CEL_CALL_DECODE : fault;
    }
    const struct cel_node *task = cel_node_get(body, CEL_SLICE("task"));
    if (body->kind != CELERY_KIND_OBJECT ||
        (cel_node_is_null(task) && call->task.len == 0)) {
        (void)cel_error_set(err, CELERY_EMESSAGE, "no task in headers or body");
        return CEL_CALL_UNKNOWN;
    }
    call->protocol = 1;
    celery_status st = cel_task_fields_read(body, call, err);
    if (st == CELERY_OK) {
        st = cel_task_fields_read(env->headers, call, err);
    }
    if (st == CELERY_OK) {
        st = cel_task_fields_check(call, err);
    }
    if (st == CELERY_OK) {
        st = cel_task_v1_body(&env->arena, body, call, err);
    }
    return fault_of(st, CEL_CALL_INVALID);
}

/* A hybrid may have its id in the body only. */
static enum cel_call_fault read_without_id(struct cel_envelope *env,
                                           const struct cel_call_limits *limits,
                                           struct cel_task_call *call, celery_error *err)
{
    struct cel_task_call hybrid = *call;
    enum cel_call_fault fault = read_v1(env, limits, &hybrid, NULL);
    if (fault == CEL_CALL_OK || fault == CEL_CALL_NOMEM) {
        *call = hybrid;
        return fault;
    }
    (void)cel_task_fields_check(call, err);
    return CEL_CALL_INVALID;
}

enum cel_call_fault cel_task_call_read(struct cel_envelope *env,
                                       const struct cel_call_limits *limits,
                                       struct cel_task_call *ret_call, celery_error *err)
{
    cel_task_call_init(ret_call);
    const struct cel_node *task = cel_envelope_header(env, CEL_SLICE("task"));
    if (!task) {
        return read_v1(env, limits, ret_call, err);
    }
    celery_status st = cel_task_fields_read(env->headers, ret_call, err);
    if (st < 0) {
        return CEL_CALL_INVALID;
    }
    if (cel_node_is_null(task)) {
        (void)cel_error_set(err, CELERY_EMESSAGE, "task is null");
        return CEL_CALL_UNKNOWN;
    }
    if (ret_call->task.len > 0 && ret_call->id.len == 0) {
        return read_without_id(env, limits, ret_call, err);
    }
    return fault_of(cel_task_fields_check(ret_call, err), CEL_CALL_INVALID);
}
