/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/task_fields.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "base/utf8.h"
#include "message/trace.h"
#include <math.h>

enum field {
    TASK,
    ID,
    SHADOW,
    ETA,
    EXPIRES,
    GROUP,
    GROUP_INDEX,
    RETRIES,
    TIMELIMIT,
    ROOT_ID,
    PARENT_ID,
    ARGSREPR,
    KWARGSREPR,
    ORIGIN,
    IGNORE_RESULT,
    REPLACED_TASK_NESTING,
    STAMPED_HEADERS,
    STAMPS,
    COMPRESSION,
    TASKSET, /* protocol 1: the same as group */
    TRACEPARENT,
    TRACESTATE,
    N_FIELDS,
};

static const struct {
    struct cel_slice name;
} fields[N_FIELDS] = {
    [TASK] = {{"task", 4}},
    [ID] = {{"id", 2}},
    [SHADOW] = {{"shadow", 6}},
    [ETA] = {{"eta", 3}},
    [EXPIRES] = {{"expires", 7}},
    [GROUP] = {{"group", 5}},
    [GROUP_INDEX] = {{"group_index", 11}},
    [RETRIES] = {{"retries", 7}},
    [TIMELIMIT] = {{"timelimit", 9}},
    [ROOT_ID] = {{"root_id", 7}},
    [PARENT_ID] = {{"parent_id", 9}},
    [ARGSREPR] = {{"argsrepr", 8}},
    [KWARGSREPR] = {{"kwargsrepr", 10}},
    [ORIGIN] = {{"origin", 6}},
    [IGNORE_RESULT] = {{"ignore_result", 13}},
    [REPLACED_TASK_NESTING] = {{"replaced_task_nesting", 21}},
    [STAMPED_HEADERS] = {{"stamped_headers", 15}},
    [STAMPS] = {{"stamps", 6}},
    [COMPRESSION] = {{"compression", 11}},
    [TASKSET] = {{"taskset", 7}},
    [TRACEPARENT] = {{"traceparent", 11}},
    [TRACESTATE] = {{"tracestate", 10}},
};

/*
 * The field of a key, N_FIELDS for others.  Producers write the keys in the order of the
 * table, so the search starts behind the last hit and mostly ends at once.
 */
static enum field find_field(struct cel_slice key, unsigned *last)
{
    for (unsigned i = 0; i < N_FIELDS; i++) {
        unsigned at = *last + 1 + i;
        at -= at >= N_FIELDS ? N_FIELDS : 0;
        if (fields[at].name.len == key.len &&
            memcmp(fields[at].name.data, key.data, key.len) == 0) {
            *last = at;
            return at;
        }
    }
    return N_FIELDS;
}

static celery_status wrong(enum field f, const char *why, celery_error *err)
{
    return cel_error_set(err, CELERY_EMESSAGE, "%s %s", fields[f].name.data, why);
}

/* Null leaves *ret absent. */
static celery_status read_text(enum field f, const struct cel_node *n,
                               struct cel_slice *ret, celery_error *err)
{
    *ret = CEL_SLICE_NULL;
    if (cel_node_is_null(n)) {
        return CELERY_OK;
    }
    if (!cel_node_is_string(n)) {
        return wrong(f, "is no text", err);
    }
    *ret = cel_node_text(n);
    return CELERY_OK;
}

/*
 * Ids become keys of the store and C strings: no lone surrogates (Python's own worker dies
 * when it encodes one), no NUL.
 */
static celery_status read_id(enum field f, const struct cel_node *n,
                             struct cel_slice *ret, celery_error *err)
{
    struct cel_slice text;
    celery_status st = read_text(f, n, &text, err);
    *ret = CEL_SLICE_NULL;
    if (st < 0 || !text.data) {
        return st;
    }
    if (text.len > CEL_ID_MAX) {
        return wrong(f, "is too long", err);
    }
    if (!(n->flags & CEL_NODE_PLAIN) &&
        (!cel_utf8_valid(text) || memchr(text.data, '\0', text.len))) {
        return wrong(f, "has characters that no key can hold", err);
    }
    *ret = text;
    return CELERY_OK;
}

static celery_status read_int(enum field f, const struct cel_node *n, int64_t min,
                              int64_t *ret, celery_error *err)
{
    if (cel_node_is_null(n)) {
        return CELERY_OK;
    }
    int64_t value;
    if (n->kind != CELERY_KIND_INT || !cel_slice_to_int(cel_node_text(n), &value) ||
        value < min) {
        return wrong(f, min == 0 ? "is no count" : "is no integer", err);
    }
    *ret = value;
    return CELERY_OK;
}

static celery_status read_instant(enum field f, const struct cel_node *n,
                                  struct cel_slice *ret_text, int64_t *ret_us,
                                  celery_error *err)
{
    bool aware;
    *ret_us = INT64_MIN;
    celery_status st = read_text(f, n, ret_text, err);
    if (st < 0 || !ret_text->data) {
        return st;
    }
    if (!cel_iso8601_parse(*ret_text, ret_us, &aware)) {
        *ret_us = INT64_MIN;
        return wrong(f, "is no ISO 8601 time", err);
    }
    return CELERY_OK;
}

/* 0 and null both mean: the task's own limit (celery/app/trace.py, `or`). */
static bool read_seconds(const struct cel_node *n, double *ret)
{
    *ret = -1;
    if (cel_node_is_null(n)) {
        return true;
    }
    if (n->kind != CELERY_KIND_INT && n->kind != CELERY_KIND_FLOAT) {
        return false;
    }
    double seconds = cel_node_double(n, -1);
    if (!(seconds >= 0)) {
        return false;
    }
    *ret = seconds == 0 || isinf(seconds) ? -1 : seconds;
    return true;
}

static celery_status read_timelimit(const struct cel_node *n, struct cel_task_call *call,
                                    celery_error *err)
{
    double hard, soft;
    call->time_limit = call->soft_time_limit = -1;
    if (!cel_node_truth(n)) {
        return CELERY_OK;
    }
    const struct cel_node *first = n->kind == CELERY_KIND_ARRAY ? n->first : NULL;
    if (!first || n->size != 2 || !read_seconds(first, &hard) ||
        !read_seconds(first->next, &soft)) {
        return wrong(TIMELIMIT, "is no [hard, soft] in seconds", err);
    }
    call->time_limit = hard;
    call->soft_time_limit = soft;
    return CELERY_OK;
}

static celery_status read_kind(enum field f, const struct cel_node *n, celery_kind kind,
                               const struct cel_node **ret, celery_error *err)
{
    *ret = NULL;
    if (cel_node_is_null(n)) {
        return CELERY_OK;
    }
    if (n->kind != kind) {
        return wrong(f, kind == CELERY_KIND_ARRAY ? "is no list" : "is no map", err);
    }
    *ret = n;
    return CELERY_OK;
}

/* For people only, never parsed: what is no text is left out. */
static celery_status read_note(const struct cel_node *n, struct cel_slice *ret)
{
    *ret = cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
    return CELERY_OK;
}

static celery_status read_field(enum field f, const struct cel_node *n,
                                struct cel_task_call *call, celery_error *err)
{
    switch (f) {
    case TASK:
        return read_text(f, n, &call->task, err);
    case ID:
        return read_id(f, n, &call->id, err);
    case SHADOW:
        return read_text(f, n, &call->shadow, err);
    case ETA:
        return read_instant(f, n, &call->eta, &call->eta_us, err);
    case EXPIRES:
        return read_instant(f, n, &call->expires, &call->expires_us, err);
    case GROUP:
    case TASKSET:
        return read_id(f, n, &call->group, err);
    case GROUP_INDEX:
        return read_int(f, n, INT64_MIN, &call->group_index, err);
    case RETRIES:
        return read_int(f, n, 0, &call->retries, err);
    case TIMELIMIT:
        return read_timelimit(n, call, err);
    case ROOT_ID:
        return read_id(f, n, &call->root_id, err);
    case PARENT_ID:
        return read_id(f, n, &call->parent_id, err);
    case ARGSREPR:
        return read_note(n, &call->argsrepr);
    case KWARGSREPR:
        return read_note(n, &call->kwargsrepr);
    case ORIGIN:
        return read_note(n, &call->origin);
    case IGNORE_RESULT:
        call->ignore_result = cel_node_is_null(n) ? CEL_UNSET
                              : cel_node_truth(n) ? CEL_YES
                                                  : CEL_NO;
        return CELERY_OK;
    case REPLACED_TASK_NESTING:
        return read_int(f, n, 0, &call->replaced_task_nesting, err);
    case STAMPED_HEADERS:
        return read_kind(f, n, CELERY_KIND_ARRAY, &call->stamped_headers, err);
    case STAMPS:
        return read_kind(f, n, CELERY_KIND_OBJECT, &call->stamps, err);
    case COMPRESSION:
        return read_text(f, n, &call->compression, err);
    case TRACEPARENT:
        return read_note(n, &call->traceparent);
    case TRACESTATE:
        return read_note(n, &call->tracestate);
    case N_FIELDS:
        break;
    }
    return CELERY_OK;
}

celery_status cel_task_fields_read(const struct cel_node *map, struct cel_task_call *call,
                                   celery_error *err)
{
    celery_status st = CELERY_OK;
    unsigned last = N_FIELDS - 1;
    for (const struct cel_node *k = cel_node_first(map), *v; k; k = v->next) {
        v = k->next;
        enum field f = find_field(cel_node_text(k), &last);
        celery_status one = read_field(f, v, call, st < 0 ? NULL : err);
        st = st < 0 ? st : one;
    }
    if (call->traceparent.len > 0) {
        cel_trace_check(&call->traceparent, &call->tracestate);
    }
    return st;
}

celery_status cel_task_fields_check(const struct cel_task_call *call, celery_error *err)
{
    if (call->task.len == 0) {
        return cel_error_set(err, CELERY_EMESSAGE, "task is empty");
    }
    if (call->task.len > CEL_ID_MAX) {
        return cel_error_set(err, CELERY_EMESSAGE, "task is too long");
    }
    if (call->id.len == 0) {
        return cel_error_set(err, CELERY_EMESSAGE, "id is missing");
    }
    return CELERY_OK;
}

celery_status cel_body_decode(struct cel_envelope *env,
                              const struct cel_call_limits *limits,
                              struct cel_node **ret_body, celery_error *err)
{
    struct cel_slice compression =
        cel_node_text(cel_envelope_header(env, CEL_SLICE("compression")));

    switch (cel_task_decode(&env->arena, env->body, env->content_type, compression,
                            limits, ret_body, err)) {
    case CEL_CALL_OK:
        return CELERY_OK;
    case CEL_CALL_NOMEM:
        return cel_error_nomem(err);
    case CEL_CALL_CONTENT:
        return CELERY_ECONTENT;
    default:
        return CELERY_EMESSAGE;
    }
}
