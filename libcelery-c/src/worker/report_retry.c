/* SPDX-License-Identifier: BSD-3-Clause */
/* The message of a retry. */
#include "worker/report.h"

#include "base/clock.h"
#include "base/iso8601.h"
#include "worker/report_text.h"

#include <unistd.h>

static const char *const retry_headers_dropped[] = {
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "stamps",
    "ignore_result",
    "compression",
    "redelivered",
    "replaced_task_nesting",
    "x-death",
    "stamped_headers",
    CEL_HEADER_CRASHES,
};

static bool is_dropped(struct cel_slice name)
{
    for (size_t i = 0; i < sizeof retry_headers_dropped / sizeof retry_headers_dropped[0];
         i++) {
        if (cel_slice_is(name, retry_headers_dropped[i])) {
            return true;
        }
    }
    return cel_slice_starts(name, CEL_SLICE("x-first-death-")) ||
           cel_slice_starts(name, CEL_SLICE("x-last-death-"));
}

/* Custom headers go with a retry (celery/app/task.py Context.as_execution_options). */
static const struct cel_node *custom_headers(struct cel_request *r)
{
    struct cel_arena *a = &r->envelope->arena;
    struct cel_node *custom = cel_node_new(a, CELERY_KIND_OBJECT);

    for (const struct cel_node *k = cel_node_first(r->envelope->headers); k;
         k = k->next->next) {
        if (!is_dropped(cel_node_text(k))) {
            cel_node_put(a, custom, cel_node_text(k), cel_node_copy(a, k->next));
        }
    }
    return custom;
}

static void retry_eta(struct cel_request *r, struct cel_task_call *call)
{
    char text[CEL_ISO8601_SIZE];

    call->eta_us = cel_clock_wall_us() + (int64_t)(r->outcome.countdown * 1e6);
    size_t len = cel_iso8601_format(call->eta_us, CEL_ISO_OFFSET, text);
    call->eta = cel_slice(cel_arena_strndup(&r->envelope->arena, text, len), len);
}

celery_status cel_report_retry(struct cel_request *r, struct cel_envelope **ret_envelope,
                               celery_error *err)
{
    struct cel_arena *a = &r->envelope->arena;
    const struct cel_codec *codec = cel_codec_find(r->job.content_type);
    struct cel_task_send send = {.call = r->job.call};
    struct cel_task_call *call = &send.call;

    if (!call->args &&
        cel_task_call_body(a, r->job.body, r->job.content_type, call->compression,
                           &r->w->policy.limits, call, err) != CEL_CALL_OK) {
        return CELERY_EMESSAGE;
    }
    call->retries++;
    call->parent_id = call->id;
    if (!call->root_id.len) {
        call->root_id = call->id;
    }
    call->origin =
        cel_report_text(r, "gen%d@%s", (int)getpid(), strchr(r->w->hostname, '@') + 1);
    retry_eta(r, call);
    const struct cel_compression *compression = cel_compression_find(call->compression);
    send.headers = custom_headers(r);
    send.reply_to = r->job.reply_to;
    send.exchange = r->job.exchange;
    send.routing_key = r->job.routing_key;
    send.priority = r->job.priority;
    send.delivery_mode = r->envelope->delivery_mode;
    send.serializer = codec ? codec->name : NULL;
    send.compression = compression ? compression->content_type : NULL;
    return cel_task_send_envelope(&send, ret_envelope, err);
}
