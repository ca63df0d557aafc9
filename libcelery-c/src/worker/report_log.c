/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines of celery/app/trace.py, celery/worker/request.py and consumer.py. */
#include "worker/report.h"

#include "base/log.h"
#include "base/utf8.h"
#include "pool/exception_kind.h"

static const char *name_of(const struct cel_request *r)
{
    const struct cel_task_call *call = &r->job.call;

    return cel_log_safe(call->shadow.len ? call->shadow : call->task);
}

static void about(const struct cel_request *r)
{
    const struct cel_task_call *call = &r->job.call;

    cel_log_about(call->shadow.len ? call->shadow : call->task, call->id);
}

static void about_nothing(void)
{
    cel_log_about(CEL_SLICE_NULL, CEL_SLICE_NULL);
}

void cel_report_log_fault(const struct cel_request *r, enum cel_call_fault fault,
                          const char *why)
{
    const struct cel_envelope *env = r->envelope;

    about(r);
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
    about_nothing();
}

void cel_report_log_received(struct cel_request *r)
{
    if (cel_log_on(CELERY_LOG_INFO)) {
        about(r);
        cel_log(CELERY_LOG_INFO, "Task %s[%s] received", name_of(r),
                cel_log_safe(r->job.call.id));
        about_nothing();
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
    return r->job.task && cel_exception_is_any(r->outcome.exc_module, r->outcome.exc_type,
                                               r->job.task->throws);
}

/* A cold shutdown ends a task as if it had asked for a retry, without a reason. */
static void log_retry(struct cel_request *r)
{
    struct cel_slice reason = r->outcome.reason;

    cel_log(CELERY_LOG_INFO, "Task %s[%s] retry: %s", name_of(r),
            cel_log_safe(r->job.call.id),
            cel_log_safe(reason.len ? reason : CEL_SLICE("Retry in 0s")));
}

static void log_end(struct cel_request *r)
{
    struct cel_worker_counts *n = &r->w->counts;
    const struct cel_outcome *o = &r->outcome;

    switch (o->kind) {
    case CEL_OUTCOME_SUCCESS:
        n->succeeded++;
        if (cel_log_on(CELERY_LOG_INFO)) {
            char seconds[33];
            seconds[cel_repr_double(o->runtime, seconds)] = '\0';
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
        cel_log(CELERY_LOG_INFO, "Task %s[%s] %s", name_of(r),
                cel_log_safe(r->job.call.id),
                o->reason.len ? cel_log_safe(o->reason) : "ignored");
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

/* The lines of celery/app/trace.py are written by the child, those of request.py are not. */
static bool is_of_child(enum cel_outcome_kind kind)
{
    switch (kind) {
    case CEL_OUTCOME_SUCCESS:
    case CEL_OUTCOME_FAILURE:
    case CEL_OUTCOME_RETRY:
    case CEL_OUTCOME_IGNORE:
    case CEL_OUTCOME_REJECT:
    case CEL_OUTCOME_REQUEUE:
        return true;
    default:
        return false;
    }
}

void cel_report_log_end(struct cel_request *r)
{
    if (r->process[0] && is_of_child(r->outcome.kind)) {
        cel_log_speak_for(r->process, r->pid);
    }
    about(r);
    log_end(r);
    about_nothing();
    cel_log_speak_for(NULL, 0);
}
