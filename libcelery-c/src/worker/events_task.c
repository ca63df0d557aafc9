/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens to tasks, as events with the fields and the order of celery/worker/request.py. */
#include "base/iso8601.h"
#include "worker/events_state.h"

#include <math.h>

#define KINDS                                                                         \
    (CEL_NOTICE_BIT(RECEIVED) | CEL_NOTICE_BIT(STARTED) | CEL_NOTICE_BIT(SUCCEEDED) | \
     CEL_NOTICE_BIT(FAILED) | CEL_NOTICE_BIT(RETRIED) | CEL_NOTICE_BIT(REJECTED) |    \
     CEL_NOTICE_BIT(REVOKED) | CEL_NOTICE_BIT(CANCELLED))

unsigned cel_events_kinds(void)
{
    return KINDS;
}

/* Request.__init__(): what is no text there is shown as nothing, null as None. */
static void add_repr(struct cel_buf *out, struct cel_slice lead, struct cel_request *r,
                     const char *header, struct cel_slice repr,
                     const struct cel_node *value)
{
    struct cel_buf text = {0};

    if (repr.data) {
        cel_event_put_value(out, lead, repr);
    } else if (r->job.call.protocol == 1 && value) {
        /* celery/worker/strategy.py proto1_to_proto2() */
        cel_saferepr(&text, value, 0, 0, false);
        cel_event_put_value(out, lead, cel_buf_slice(&text));
    } else if (cel_envelope_header(r->envelope, cel_slice_of(header))) {
        cel_event_put_value(out, lead, CEL_SLICE_NULL);
    } else {
        cel_event_put_value(out, lead, CEL_SLICE(""));
    }
    cel_buf_fini(&text);
}

/* datetime.isoformat() of what is aware and in UTC by then. */
static void add_time(struct cel_buf *out, struct cel_slice lead, int64_t us)
{
    char text[CEL_ISO8601_SIZE];

    if (us == INT64_MIN) {
        cel_event_put_value(out, lead, CEL_SLICE_NULL);
    } else {
        cel_event_put_value(
            out, lead, cel_slice(text, cel_iso8601_format(us, CEL_ISO_OFFSET, text)));
    }
}

static void add_received(struct cel_buf *out, const struct cel_notice *n)
{
    const struct cel_task_call *call = &n->request->job.call;

    cel_event_put_value(out, CEL_EVENT_LEAD("name"),
                        call->shadow.len ? call->shadow : call->task);
    add_repr(out, CEL_EVENT_LEAD("args"), n->request, "argsrepr", call->argsrepr,
             call->args);
    add_repr(out, CEL_EVENT_LEAD("kwargs"), n->request, "kwargsrepr", call->kwargsrepr,
             call->kwargs);
    cel_event_put_value(out, CEL_EVENT_LEAD("root_id"), call->root_id);
    cel_event_put_value(out, CEL_EVENT_LEAD("parent_id"), call->parent_id);
    cel_event_int(out, "retries", call->retries);
    add_time(out, CEL_EVENT_LEAD("eta"), call->eta_us);
    add_time(out, CEL_EVENT_LEAD("expires"), call->expires_us);
}

static void add_succeeded(struct cel_buf *out, const struct cel_notice *n)
{
    cel_event_put_value(out, CEL_EVENT_LEAD("result"), n->result);
    cel_event_put_seconds(out, CEL_EVENT_LEAD("runtime"), llround(n->runtime * 1e6));
}

static void add_exception(struct cel_buf *out, const struct cel_notice *n)
{
    cel_event_put_value(out, CEL_EVENT_LEAD("exception"), n->exception);
    if (n->traceback.data) {
        cel_event_put_value(out, CEL_EVENT_LEAD("traceback"), n->traceback);
    }
}

static void add_rejected(struct cel_buf *out, const struct cel_notice *n)
{
    cel_event_bool(out, "requeue", n->requeue);
}

static void add_revoked(struct cel_buf *out, const struct cel_notice *n)
{
    cel_event_bool(out, "terminated", n->terminated);
    if (n->signum) {
        cel_event_int(out, "signum", n->signum);
    } else {
        cel_event_put_value(out, CEL_EVENT_LEAD("signum"), CEL_SLICE_NULL);
    }
    cel_event_bool(out, "expired", n->expired);
}

static const struct {
    const char *type;
    void (*add)(struct cel_buf *out, const struct cel_notice *n);
} types[CEL_NOTICES] = {
    [CEL_NOTICE_RECEIVED] = {"task-received", add_received},
    [CEL_NOTICE_STARTED] = {"task-started", NULL},
    [CEL_NOTICE_SUCCEEDED] = {"task-succeeded", add_succeeded},
    [CEL_NOTICE_FAILED] = {"task-failed", add_exception},
    [CEL_NOTICE_RETRIED] = {"task-retried", add_exception},
    [CEL_NOTICE_REJECTED] = {"task-rejected", add_rejected},
    [CEL_NOTICE_REVOKED] = {"task-revoked", add_revoked},
    [CEL_NOTICE_CANCELLED] = {"task-cancelled", NULL},
};

void cel_events_on_notice(void *ctx, const struct cel_notice *n)
{
    struct cel_events *e = ctx;
    const struct cel_request *r = n->request;

    /* What is not registered has no option that could silence it. */
    if ((r->policy && !r->policy->send_events) || n->settled || !types[n->kind].type) {
        return;
    }
    struct cel_buf *out = cel_events_task_begin(e);
    cel_event_put_value(out, CEL_EVENT_LEAD("uuid"), r->job.call.id);
    if (types[n->kind].add) {
        types[n->kind].add(out, n);
    }
    cel_events_task_end(e, types[n->kind].type, llround(n->time * 1e6));
}
