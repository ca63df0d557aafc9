/* SPDX-License-Identifier: BSD-3-Clause */
/* What is stored of a request: final states, STARTED, the task's own states. */
#include "worker/report.h"

#include "base/clock.h"
#include "worker/follow.h"
#include "worker/report_text.h"

#include <unistd.h>

static bool is_ignored(const struct cel_request *r)
{
    /* Since 5.6.3 the header wins over the task (celery/app/trace.py). */
    if (r->job.call.ignore_result != CEL_UNSET) {
        return r->job.call.ignore_result == CEL_YES;
    }
    return r->policy && r->policy->ignore_result;
}

bool cel_report_wants_errors(const struct cel_request *r)
{
    return !is_ignored(r) || (r->policy && r->policy->store_errors_even_if_ignored);
}

/* NULL: this kind of outcome stores nothing. */
static const char *state_of(const struct cel_request *r)
{
    switch (r->outcome.kind) {
    case CEL_OUTCOME_SUCCESS:
        return is_ignored(r) ? NULL : "SUCCESS";
    case CEL_OUTCOME_FAILURE:
    case CEL_OUTCOME_LOST:
    case CEL_OUTCOME_TIMEOUT:
    case CEL_OUTCOME_REJECT: /* since 5.7: it will never run (Request.on_failure) */
        return cel_report_wants_errors(r) ? "FAILURE" : NULL;
    case CEL_OUTCOME_MALFORMED:
        return r->job.call.id.len ? "FAILURE"
                                  : NULL; /* even if ignored: on_unknown_task */
    case CEL_OUTCOME_RETRY:
        return cel_report_wants_errors(r) ? "RETRY" : NULL;
    case CEL_OUTCOME_REVOKED:
        return cel_report_wants_errors(r) ? "REVOKED" : NULL;
    case CEL_OUTCOME_IGNORE:
    case CEL_OUTCOME_REQUEUE:
        break;
    }
    return NULL;
}

struct cel_slice cel_report_exception_json(struct cel_request *r,
                                           const struct cel_continue_exc *exc)
{
    struct cel_buf out = {0};
    struct cel_slice json = CEL_SLICE("null");

    cel_exception_write(&out, exc->type, exc->args_json, exc->module);
    if (cel_buf_ok(&out)) {
        json = cel_buf_slice(&out);
        if (cel_report_copy(r, &json) < 0) {
            json = CEL_SLICE("null");
        }
    }
    cel_buf_fini(&out);
    return json;
}

struct cel_slice cel_report_exception(struct cel_request *r)
{
    const struct cel_outcome *o = &r->outcome;

    return cel_report_exception_json(
        r, &(struct cel_continue_exc){o->exc_type, o->exc_module, o->exc_args,
                                      CEL_SLICE_NULL});
}

struct cel_slice cel_report_children(struct cel_request *r, bool own,
                                     struct cel_slice more)
{
    struct cel_slice sent =
        r->follow && own ? cel_buf_slice(&r->follow->children) : CEL_SLICE_NULL;
    struct cel_slice json = CEL_SLICE("[]");
    struct cel_buf out = {0};

    if (sent.len == 0 && more.len == 0) {
        return json;
    }
    cel_buf_addc(&out, '[');
    cel_buf_add_slice(&out, sent);
    cel_buf_adds(&out, sent.len > 0 && more.len > 0 ? ", " : "");
    cel_buf_add_slice(&out, more);
    cel_buf_addc(&out, ']');
    struct cel_slice all = cel_buf_slice(&out);

    if (cel_buf_ok(&out) && cel_report_copy(r, &all) == CELERY_OK) {
        json = all;
    }
    cel_buf_fini(&out);
    return json;
}

static void fill_common(struct cel_request *r, struct cel_task_meta *meta)
{
    const struct cel_task_call *call = &r->job.call;

    meta->task_id = call->id;
    meta->children_json = cel_report_children(r, true, CEL_SLICE_NULL);
    meta->group_id = call->group;
    meta->parent_id = call->parent_id;
    meta->reply_to = r->job.reply_to;
    meta->correlation_id = r->job.correlation_id;
    meta->date_done_us = INT64_MIN;
    if (!r->job.extended) {
        return;
    }
    meta->extended = true;
    if (!r->job.task) {
        meta->retries = INT64_MIN; /* on_unknown_task() knows nothing of the request */
        return;
    }
    meta->name = call->task;
    meta->worker = cel_slice_of(r->w->hostname);
    meta->retries = call->retries;
    meta->queue = r->job.routing_key;
    meta->stamped_headers = call->stamped_headers;
    meta->stamps = call->stamps;
}

/* result_extended for what never ran: the arguments are decoded here. */
static void decode_arguments(struct cel_request *r)
{
    struct cel_task_call *call = &r->job.call;
    struct cel_arena *a = &r->envelope->arena;
    struct cel_buf out = {0};

    if (!call->args &&
        cel_task_call_body(a, r->job.body, r->job.content_type, call->compression,
                           &r->w->policy.limits, call, NULL) != CEL_CALL_OK) {
        return;
    }
    if (cel_json_write(&out, call->args) == CELERY_OK) {
        r->outcome.args_json = cel_buf_slice(&out);
        cel_report_copy(r, &r->outcome.args_json);
    }
    cel_buf_clear(&out);
    if (cel_json_write(&out, call->kwargs) == CELERY_OK) {
        r->outcome.kwargs_json = cel_buf_slice(&out);
        cel_report_copy(r, &r->outcome.kwargs_json);
    }
    cel_buf_fini(&out);
}

static void fill_arguments(struct cel_request *r, struct cel_task_meta *meta)
{
    if (!meta->extended || !r->job.task) {
        return;
    }
    if (!r->outcome.args_json.len) {
        decode_arguments(r);
    }
    meta->args_json = r->outcome.args_json;
    meta->kwargs_json = r->outcome.kwargs_json;
}

bool cel_report_meta(struct cel_request *r)
{
    struct cel_task_meta *meta = &r->store.meta;
    const char *state = state_of(r);

    if (!state) {
        return false;
    }
    *meta = (struct cel_task_meta){.status = cel_slice_of(state)};
    fill_common(r, meta);
    if (r->outcome.kind == CEL_OUTCOME_SUCCESS) {
        meta->result_json = r->outcome.result_json;
    } else {
        meta->result_json = cel_report_exception(r);
        meta->traceback = r->outcome.traceback;
    }
    if (r->outcome.kind != CEL_OUTCOME_RETRY) {
        meta->date_done_us = cel_clock_wall_us();
    }
    fill_arguments(r, meta);
    return true;
}

void cel_report_state(struct cel_request *r, struct cel_slice state,
                      struct cel_slice result_json)
{
    struct cel_task_meta meta = {.status = state, .result_json = result_json};

    if (is_ignored(r)) {
        return;
    }
    fill_common(r, &meta);
    fill_arguments(r, &meta);
    cel_results_store_passing(r->w->results, &meta);
}

void cel_report_started(struct cel_request *r)
{
    struct cel_buf out = {0};

    cel_buf_addf(&out, "{\"pid\": %d, \"hostname\": ", r->pid ? r->pid : (int)getpid());
    cel_json_write_string(&out, cel_slice_of(r->w->hostname));
    cel_buf_addc(&out, '}');
    if (cel_buf_ok(&out)) {
        cel_report_state(r, CEL_SLICE("STARTED"), cel_buf_slice(&out));
    }
    cel_buf_fini(&out);
}
