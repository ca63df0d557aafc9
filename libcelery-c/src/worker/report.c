/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/report.h"

#include "base/clock.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "base/utf8.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CELERY_EXCEPTIONS   CEL_SLICE("celery.exceptions")
#define BILLIARD_EXCEPTIONS CEL_SLICE("billiard.exceptions")

static celery_status keep(struct cel_request *r, struct cel_slice *slice)
{
    if (!slice->data || slice->len == 0) {
        return CELERY_OK;
    }
    char *copy = cel_arena_alloc(&r->envelope->arena, slice->len);
    if (!copy) {
        return CELERY_ENOMEM;
    }
    memcpy(copy, slice->data, slice->len);
    slice->data = copy;
    return CELERY_OK;
}

celery_status cel_report_keep(struct cel_request *r, const struct cel_outcome *outcome)
{
    struct cel_outcome *o = &r->outcome;

    *o = *outcome;
    struct cel_slice *const parts[] = {
        &o->result_json, &o->repr,   &o->exc_type,  &o->exc_module,  &o->exc_args,
        &o->traceback,   &o->reason, &o->args_json, &o->kwargs_json,
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (keep(r, parts[i]) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return CELERY_OK;
}

/* ---- outcomes that the worker makes ---- */

/* printf into the request's arena; an empty slice when out of memory. */
static struct cel_slice text_of(struct cel_request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static struct cel_slice text_of(struct cel_request *r, const char *fmt, ...)
{
    char text[600];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    char *copy = cel_arena_strndup(&r->envelope->arena, text, len);
    return cel_slice(copy, copy ? len : 0);
}

/* A JSON array of one string. */
static struct cel_slice one_arg(struct cel_request *r, struct cel_slice text)
{
    struct cel_buf out = {0};
    struct cel_slice result = CEL_SLICE("[]");

    cel_buf_addc(&out, '[');
    cel_json_write_string(&out, text);
    cel_buf_addc(&out, ']');
    if (cel_buf_ok(&out)) {
        result = cel_buf_slice(&out);
        if (keep(r, &result) < 0) {
            result = CEL_SLICE("[]");
        }
    }
    cel_buf_fini(&out);
    return result;
}

static const char *exit_text(int wait_status, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status)) {
        const char *name = sigabbrev_np(WTERMSIG(wait_status));
        snprintf(text, size, "signal %d (SIG%s)", WTERMSIG(wait_status),
                 name ? name : "?");
    } else {
        snprintf(text, size, "exitcode %d", WEXITSTATUS(wait_status));
    }
    return text;
}

void cel_report_lost(struct cel_request *r, int wait_status, struct cel_outcome *ret)
{
    char how[64];

    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_LOST,
        .exc_type = CEL_SLICE("WorkerLostError"),
        .exc_module = BILLIARD_EXCEPTIONS,
        .exc_args =
            one_arg(r, text_of(r, "Worker exited prematurely: %s Job: %lu.",
                               exit_text(wait_status, how, sizeof how), r->job.number)),
    };
}

void cel_report_timeout(struct cel_request *r, struct cel_outcome *ret)
{
    char seconds[32];
    double limit = r->job.hard_limit;
    bool whole = limit == (double)(int64_t)limit;

    if (whole) {
        snprintf(seconds, sizeof seconds, "%lld", (long long)limit);
    } else {
        cel_repr_double(limit, seconds);
    }
    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_TIMEOUT,
        .exc_type = CEL_SLICE("TimeLimitExceeded"),
        .exc_module = BILLIARD_EXCEPTIONS,
        .exc_args = text_of(r, "[%s]", seconds),
    };
}

void cel_report_cancelled(struct cel_request *r, struct cel_outcome *ret)
{
    /* What Celery stores for a running task that a cold shutdown ended. */
    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_RETRY,
        .exc_type = CEL_SLICE("Retry"),
        .exc_module = CELERY_EXCEPTIONS,
        .exc_args = CEL_SLICE("[\"Retry(Retry(...), None, None)\", null, null]"),
    };
}

void cel_report_revoked(struct cel_request *r, const char *reason,
                        struct cel_outcome *ret)
{
    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_REVOKED,
        .exc_type = CEL_SLICE("TaskRevokedError"),
        .exc_module = CELERY_EXCEPTIONS,
        .exc_args = one_arg(r, cel_slice_of(reason)),
        .reason = cel_slice_of(reason),
    };
}

void cel_report_not_registered(struct cel_request *r, struct cel_outcome *ret)
{
    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_MALFORMED,
        .fault = CEL_CALL_OK,
        .exc_type = CEL_SLICE("NotRegistered"),
        .exc_module = CELERY_EXCEPTIONS,
        .exc_args = one_arg(r, r->job.call.task),
        .reason = CEL_SLICE("the task is not registered"),
    };
}

void cel_report_invalid(struct cel_request *r, enum cel_call_fault fault, const char *why,
                        struct cel_outcome *ret)
{
    struct cel_slice reason = cel_slice_of(why);

    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_MALFORMED,
        .fault = fault,
        .exc_type = fault == CEL_CALL_CONTENT  ? CEL_SLICE("ContentDisallowed")
                    : fault == CEL_CALL_DECODE ? CEL_SLICE("DecodeError")
                                               : CEL_SLICE("InvalidTaskError"),
        .exc_module = fault == CEL_CALL_CONTENT || fault == CEL_CALL_DECODE
                          ? CEL_SLICE("kombu.exceptions")
                          : CELERY_EXCEPTIONS,
        .exc_args = one_arg(r, reason),
        .reason = reason,
    };
}

/* ---- the result document ---- */

static bool is_ignored(const struct cel_request *r)
{
    /* Since 5.6.3 the header wins over the task (celery/app/trace.py). */
    if (r->job.call.ignore_result != CEL_UNSET) {
        return r->job.call.ignore_result == CEL_YES;
    }
    return r->policy && r->policy->ignore_result;
}

static bool wants_errors(const struct cel_request *r)
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
        return wants_errors(r) ? "FAILURE" : NULL;
    case CEL_OUTCOME_MALFORMED:
        return r->job.call.id.len ? "FAILURE"
                                  : NULL; /* even if ignored: on_unknown_task */
    case CEL_OUTCOME_RETRY:
        return wants_errors(r) ? "RETRY" : NULL;
    case CEL_OUTCOME_REVOKED:
        return wants_errors(r) ? "REVOKED" : NULL;
    case CEL_OUTCOME_IGNORE:
    case CEL_OUTCOME_REJECT:
    case CEL_OUTCOME_REQUEUE:
        break;
    }
    return NULL;
}

/* The exception as JSON text in the arena. */
static struct cel_slice exception_json(struct cel_request *r)
{
    struct cel_buf out = {0};
    struct cel_slice json = CEL_SLICE("null");
    const struct cel_outcome *o = &r->outcome;

    cel_exception_write(&out, o->exc_type, o->exc_args, o->exc_module);
    if (cel_buf_ok(&out)) {
        json = cel_buf_slice(&out);
        if (keep(r, &json) < 0) {
            json = CEL_SLICE("null");
        }
    }
    cel_buf_fini(&out);
    return json;
}

static void fill_common(struct cel_request *r, struct cel_task_meta *meta)
{
    const struct cel_task_call *call = &r->job.call;

    meta->task_id = call->id;
    meta->children_json = CEL_SLICE("[]");
    meta->group_id = call->group;
    meta->parent_id = call->parent_id;
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
        keep(r, &r->outcome.args_json);
    }
    cel_buf_clear(&out);
    if (cel_json_write(&out, call->kwargs) == CELERY_OK) {
        r->outcome.kwargs_json = cel_buf_slice(&out);
        keep(r, &r->outcome.kwargs_json);
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

/* A retry counts among the children of the task: [[[id, null], null]]. */
static void add_retry_child(struct cel_request *r, struct cel_task_meta *meta)
{
    struct cel_buf out = {0};
    struct cel_slice json;

    cel_buf_adds(&out, "[[[");
    cel_json_write_string(&out, r->job.call.id);
    cel_buf_adds(&out, ", null], null]]");
    json = cel_buf_slice(&out);
    if (cel_buf_ok(&out) && keep(r, &json) == CELERY_OK) {
        meta->children_json = json;
    }
    cel_buf_fini(&out);
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
        meta->result_json = exception_json(r);
        meta->traceback = r->outcome.traceback;
    }
    if (r->outcome.kind == CEL_OUTCOME_RETRY) {
        if (!r->cancelled) {
            add_retry_child(r, meta);
        }
    } else {
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

/* ---- retry ---- */

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
    call->origin = text_of(r, "gen%d@%s", (int)getpid(), strchr(r->w->hostname, '@') + 1);
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

/* ---- log lines ---- */

static const char *name_of(const struct cel_request *r)
{
    const struct cel_task_call *call = &r->job.call;

    return cel_log_safe(call->shadow.len ? call->shadow : call->task);
}

void cel_report_log_fault(const struct cel_request *r, enum cel_call_fault fault,
                          const char *why)
{
    const struct cel_envelope *env = r->envelope;

    switch (fault) {
    case CEL_CALL_DECODE:
        cel_log(CELERY_LOG_CRITICAL,
                "Can't decode message body: %s [type:'%s' encoding:'%s'] (%zu bytes)",
                cel_log_safe(cel_slice_of(why)), cel_log_safe(env->content_type),
                cel_log_safe(env->content_encoding), env->body.len);
        break;
    case CEL_CALL_UNKNOWN:
        cel_log(CELERY_LOG_WARNING,
                "Received and parked unknown message.  Wrong destination?!? (%s)",
                cel_log_safe(cel_slice_of(why)));
        break;
    case CEL_CALL_CONTENT:
    case CEL_CALL_INVALID:
    default:
        cel_log(CELERY_LOG_ERROR, "Received invalid task message: %s",
                cel_log_safe(cel_slice_of(why)));
    }
}

void cel_report_log_received(struct cel_request *r)
{
    if (cel_log_on(CELERY_LOG_INFO)) {
        cel_log(CELERY_LOG_INFO, "Task %s[%s] received", name_of(r),
                cel_log_safe(r->job.call.id));
    }
}

static void log_failure(struct cel_request *r, celery_log_level level, const char *fmt)
{
    struct cel_buf line = {.max = 4096};
    const struct cel_outcome *o = &r->outcome;
    struct cel_buf repr = {.max = 1024};

    cel_exception_repr(&repr, o->exc_type, o->exc_args);
    cel_buf_addf(&line, "Task %s[%s] ", name_of(r), cel_log_safe(r->job.call.id));
    cel_buf_adds(&line, fmt);
    cel_utf8_escape(&line, cel_buf_slice(&repr), 1024);
    if (o->traceback.len) {
        cel_buf_addc(&line, '\n');
        struct cel_slice rest = o->traceback;
        struct cel_slice part;
        while (line.len < 3500 && cel_slice_split(&rest, '\n', &part)) {
            cel_utf8_escape(&line, part, 256);
            cel_buf_addc(&line, '\n');
        }
    }
    cel_log_text(level, cel_buf_slice(&line));
    cel_buf_fini(&line);
    cel_buf_fini(&repr);
}

static bool is_expected(const struct cel_request *r)
{
    char **throws = r->job.task ? r->job.task->throws : NULL;

    for (; throws && *throws; throws++) {
        if (cel_slice_is(r->outcome.exc_type, *throws)) {
            return true;
        }
    }
    return false;
}

static void log_retry(struct cel_request *r)
{
    struct cel_buf repr = {.max = 1024};

    cel_exception_repr(&repr, r->outcome.exc_type, r->outcome.exc_args);
    cel_log(CELERY_LOG_INFO, "Task %s[%s] retry: Retry in %gs: %s", name_of(r),
            cel_log_safe(r->job.call.id), r->outcome.countdown,
            cel_log_safe(cel_buf_slice(&repr)));
    cel_buf_fini(&repr);
}

void cel_report_log_end(struct cel_request *r)
{
    struct cel_worker_counts *n = &r->w->counts;
    const struct cel_outcome *o = &r->outcome;

    switch (o->kind) {
    case CEL_OUTCOME_SUCCESS:
        n->succeeded++;
        if (cel_log_on(CELERY_LOG_INFO)) {
            char seconds[32];
            cel_repr_double(o->runtime, seconds);
            cel_log(CELERY_LOG_INFO, "Task %s[%s] succeeded in %ss: %s", name_of(r),
                    cel_log_safe(r->job.call.id), seconds, cel_log_safe(o->repr));
        }
        break;
    case CEL_OUTCOME_FAILURE:
        n->failed++;
        if (is_expected(r)) {
            log_failure(r, CELERY_LOG_INFO, "raised expected: ");
        } else {
            log_failure(r, CELERY_LOG_ERROR, "raised unexpected: ");
        }
        break;
    case CEL_OUTCOME_LOST:
        n->failed++;
        log_failure(r, CELERY_LOG_ERROR, "raised unexpected: ");
        break;
    case CEL_OUTCOME_TIMEOUT:
        n->failed++;
        cel_log(CELERY_LOG_ERROR, "Hard time limit (%gs) exceeded for %s[%s]",
                r->job.hard_limit, name_of(r), cel_log_safe(r->job.call.id));
        break;
    case CEL_OUTCOME_RETRY:
        n->retried++;
        log_retry(r);
        break;
    case CEL_OUTCOME_IGNORE:
        cel_log(CELERY_LOG_INFO, "Task %s[%s] ignored", name_of(r),
                cel_log_safe(r->job.call.id));
        break;
    case CEL_OUTCOME_REJECT:
    case CEL_OUTCOME_REQUEUE:
        n->rejected++;
        cel_log(CELERY_LOG_WARNING, "Task %s[%s] reject requeue=%s: %s", name_of(r),
                cel_log_safe(r->job.call.id),
                o->kind == CEL_OUTCOME_REQUEUE ? "True" : "False",
                cel_log_safe(o->reason));
        break;
    case CEL_OUTCOME_REVOKED:
        n->revoked++;
        break;
    case CEL_OUTCOME_MALFORMED: /* logged where it was found */
        n->failed++;
        break;
    }
}
