/* SPDX-License-Identifier: BSD-3-Clause */
/* Outcomes: kept from the pool, or made by the worker itself. */
#include "worker/report.h"

#include "worker/report_text.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define CELERY_EXCEPTIONS   CEL_SLICE("celery.exceptions")
#define BILLIARD_EXCEPTIONS CEL_SLICE("billiard.exceptions")

celery_status cel_report_copy(struct cel_request *r, struct cel_slice *slice)
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

struct cel_slice cel_report_text(struct cel_request *r, const char *fmt, ...)
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

celery_status cel_report_keep(struct cel_request *r, const struct cel_outcome *outcome)
{
    struct cel_outcome *o = &r->outcome;

    *o = *outcome;
    struct cel_slice *const parts[] = {
        &o->result_json, &o->repr,   &o->exc_type,  &o->exc_module,  &o->exc_args,
        &o->traceback,   &o->reason, &o->args_json, &o->kwargs_json, &o->effects,
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (cel_report_copy(r, parts[i]) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return CELERY_OK;
}

/* ---- outcomes that the worker makes ---- */

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
        if (cel_report_copy(r, &result) < 0) {
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
        .exc_args = one_arg(
            r, cel_report_text(r, "Worker exited prematurely: %s Job: %lu.",
                               exit_text(wait_status, how, sizeof how), r->job.number)),
    };
}

void cel_report_spent(struct cel_request *r, int64_t starts, struct cel_outcome *ret)
{
    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_LOST,
        .exc_type = CEL_SLICE("WorkerLostError"),
        .exc_module = BILLIARD_EXCEPTIONS,
        .exc_args = one_arg(
            r,
            cel_report_text(
                r, "Worker exited prematurely: all of it, in %lld starts of this task.",
                (long long)starts)),
    };
}

void cel_report_timeout(struct cel_request *r, struct cel_outcome *ret)
{
    char seconds[33];
    double limit = r->job.hard_limit;
    bool whole = limit == (double)(int64_t)limit;

    if (whole) {
        snprintf(seconds, sizeof seconds, "%lld", (long long)limit);
    } else {
        seconds[cel_repr_double(limit, seconds)] = '\0';
    }
    *ret = (struct cel_outcome){
        .kind = CEL_OUTCOME_TIMEOUT,
        .exc_type = CEL_SLICE("TimeLimitExceeded"),
        .exc_module = BILLIARD_EXCEPTIONS,
        .exc_args = cel_report_text(r, "[%s]", seconds),
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
