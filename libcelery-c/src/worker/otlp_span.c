/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/otlp_span.h"
#include "base/uuid.h"
#include "message/task_fields.h"

#include <stdio.h>
#include <string.h>

/* opentelemetry.proto.trace.v1.Span.SpanKind, Status.StatusCode. */
enum { KIND_INTERNAL = 1, KIND_CONSUMER = 5, STATUS_ERROR = 2 };

/* So much of an exception's text goes into a span. */
enum { MESSAGE_MAX = 1024 };

/* ---- ids ---- */

static void random_hex(char *ret, size_t n)
{
    char id[CEL_UUID_SIZE];
    size_t len = 0;

    cel_uuid4(id);
    for (size_t i = 0; id[i] && len < n; i++) {
        if (id[i] != '-') {
            ret[len++] = id[i];
        }
    }
    ret[len] = 0;
}

/* The parts of "00-<trace>-<span>-<flags>", which was checked when it came. */
static void join(struct cel_span *s, struct cel_slice header)
{
    memcpy(s->trace, header.data + 3, 32);
    memcpy(s->parent, header.data + 36, 16);
    char flag = header.data[54];
    s->sampled = ((flag <= '9' ? flag - '0' : flag - 'a' + 10) & 1) != 0;
}

struct cel_span *cel_span_begin(struct cel_request *r, double now)
{
    struct cel_span *s = cel_arena_alloc(&r->envelope->arena, sizeof *s);

    if (!s) {
        return NULL;
    }
    *s = (struct cel_span){.sampled = true, .arrived = now};
    if (r->job.call.traceparent.len > 0) {
        join(s, r->job.call.traceparent);
    } else {
        random_hex(s->trace, 32);
    }
    random_hex(s->id, 16);
    if (s->sampled) {
        snprintf(s->header, sizeof s->header, "00-%s-%s-01", s->trace, s->id);
        r->job.call.traceparent = cel_slice_of(s->header);
    }
    return s;
}

/* ---- writing ---- */

static void add_time(struct cel_buf *out, const char *key, double seconds)
{
    cel_buf_addf(out, "\"%s\":\"%lld000\",", key, (long long)(seconds * 1e6));
}

static void begin(struct cel_buf *out, const struct cel_span *s, const char *id,
                  const char *verb, struct cel_slice task, int kind)
{
    char name[CEL_ID_MAX + 16];

    snprintf(name, sizeof name, "%s/%.*s", verb, (int)task.len, task.data);
    cel_buf_addf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\",", s->trace, id);
    if (s->parent[0]) {
        cel_buf_addf(out, "\"parentSpanId\":\"%s\",", s->parent);
    }
    cel_buf_adds(out, "\"name\":");
    cel_json_write_string(out, cel_slice_of(name));
    cel_buf_addf(out, ",\"kind\":%d,", kind);
}

static void add_text(struct cel_buf *out, const char *key, struct cel_slice text)
{
    if (text.len > 0) {
        if (out->data[out->len - 1] == '}') {
            cel_buf_addc(out, ',');
        }
        cel_buf_addf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
        cel_json_write_string(out, text);
        cel_buf_adds(out, "}}");
    }
}

/* As opentelemetry-instrumentation-celery names them. */
static void add_attributes(struct cel_buf *out, const struct cel_request *r,
                           const char *action, const char *state)
{
    const struct cel_task_call *call = &r->job.call;

    cel_buf_adds(out, "\"attributes\":[");
    add_text(out, "celery.action", cel_slice_of(action));
    add_text(out, "celery.state", cel_slice_of(state));
    add_text(out, "celery.task_name", call->task);
    add_text(out, "celery.hostname", cel_slice_of(r->w->hostname));
    add_text(out, "messaging.system", CEL_SLICE("celery"));
    add_text(out, "messaging.message.id", call->id);
    add_text(out, "messaging.destination", cel_slice_of(r->queue ? r->queue : ""));
    cel_buf_addf(out, ",{\"key\":\"celery.retries\",\"value\":{\"intValue\":\"%lld\"}}]",
                 (long long)call->retries);
}

void cel_span_write_wait(struct cel_buf *out, const struct cel_request *r,
                         const struct cel_span *s)
{
    char id[17];

    random_hex(id, 16);
    begin(out, s, id, "wait", r->job.call.task, KIND_INTERNAL);
    add_time(out, "startTimeUnixNano", s->arrived);
    add_time(out, "endTimeUnixNano", s->started);
    add_attributes(out, r, "wait", "");
    cel_buf_addc(out, '}');
}

static const char *state_of(const struct cel_notice *n)
{
    static const char *const names[CEL_NOTICES] = {
        [CEL_NOTICE_SUCCEEDED] = "SUCCESS", [CEL_NOTICE_FAILED] = "FAILURE",
        [CEL_NOTICE_RETRIED] = "RETRY",     [CEL_NOTICE_IGNORED] = "IGNORED",
        [CEL_NOTICE_REJECTED] = "REJECTED", [CEL_NOTICE_REVOKED] = "REVOKED",
        [CEL_NOTICE_CANCELLED] = "RETRY",   [CEL_NOTICE_PARKED] = "PARKED",
        [CEL_NOTICE_RETURNED] = "RETURNED",
    };

    return names[n->kind] ? names[n->kind] : "";
}

void cel_span_write_run(struct cel_buf *out, const struct cel_notice *n,
                        const struct cel_span *s)
{
    struct cel_slice text = n->exception;

    begin(out, s, s->id, "run", n->request->job.call.task, KIND_CONSUMER);
    add_time(out, "startTimeUnixNano", s->started > 0 ? s->started : s->arrived);
    add_time(out, "endTimeUnixNano", n->time);
    add_attributes(out, n->request, "run", state_of(n));
    if (n->kind == CEL_NOTICE_FAILED) {
        text.len = text.len > MESSAGE_MAX ? MESSAGE_MAX : text.len;
        cel_buf_addf(out, ",\"status\":{\"code\":%d,\"message\":", STATUS_ERROR);
        cel_json_write_string(out, text);
        cel_buf_addc(out, '}');
    }
    cel_buf_addc(out, '}');
}
