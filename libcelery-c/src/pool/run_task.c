/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/run_task.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "canvas/chain_text.h"
#include "message/meta.h"
#include "pool/task.h"
#include <stdio.h>

struct cel_runner {
    struct celery_task task;
    char *hostname;
    struct cel_buf args_json;
    struct cel_buf kwargs_json;
    struct cel_chain_seen chain;
    struct cel_job *volatile running; /* for the signal handler */
};

struct cel_runner *cel_runner_new(celery_app *app, const char *hostname,
                                  const struct cel_call_limits *limits,
                                  const struct cel_run_hooks *hooks)
{
    struct cel_runner *r = cel_calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->hostname = cel_strdup(hostname ? hostname : "");
    cel_task_init(&r->task, app, r->hostname, limits, hooks);
    return r->hostname ? r : cel_runner_free(r);
}

struct cel_runner *cel_runner_free(struct cel_runner *r)
{
    if (r) {
        cel_task_fini(&r->task);
        cel_buf_fini(&r->args_json);
        cel_buf_fini(&r->kwargs_json);
        cel_chain_seen_fini(&r->chain);
        cel_free(r->hostname);
        cel_free(r);
    }
    return NULL;
}

static bool malformed(struct cel_runner *r, struct cel_outcome *out,
                      enum cel_call_fault fault, const char *reason)
{
    out->kind = CEL_OUTCOME_MALFORMED;
    out->fault = fault;
    cel_buf_adds(&r->task.reason, reason);
    out->reason = cel_buf_slice(&r->task.reason);
    return false;
}

/* Protocol 1 comes with its arguments; the body of protocol 2 is read here. */
static bool decode(struct cel_runner *r, struct cel_outcome *out)
{
    struct celery_task *task = &r->task;
    const struct cel_job *job = task->job;
    if (!task->call.args) {
        celery_error err = {0};
        enum cel_call_fault fault =
            cel_chain_text_body(&r->chain, &task->arena, job->body, job->content_type,
                                job->call.compression, &task->limits, &task->call, &err);
        if (fault != CEL_CALL_OK) {
            return malformed(r, out, fault, err.message);
        }
    }
    if (!task->call.args || task->call.args->kind != CELERY_KIND_ARRAY) {
        return malformed(r, out, CEL_CALL_INVALID, "args of the message are not a list");
    }
    if (!task->call.kwargs || task->call.kwargs->kind != CELERY_KIND_OBJECT) {
        return malformed(r, out, CEL_CALL_INVALID, "kwargs of the message are not a map");
    }
    return true;
}

/* ---- after ---- */

/* As much of a Python traceback as there is truth in: the task, and the exception's line. */
static void make_traceback(struct celery_task *task, const struct cel_outcome *o)
{
    struct cel_buf *out = &task->traceback;
    cel_buf_adds(out, "Traceback (most recent call last):\n  C task \"");
    cel_buf_adds(out, task->job->task->name);
    cel_buf_adds(out, "\"\n");
    if (o->kind == CEL_OUTCOME_RETRY) {
        cel_buf_adds(out, "celery.exceptions.Retry: ");
        cel_buf_add_slice(out, cel_buf_slice(&task->reason));
    } else {
        if (!cel_slice_is(o->exc_module, "builtins")) {
            cel_buf_add_slice(out, o->exc_module);
            cel_buf_addc(out, '.');
        }
        cel_exception_line(out, o->exc_type, o->exc_args);
    }
    cel_buf_addc(out, '\n');
}

static void fill_exception(struct celery_task *task, struct cel_outcome *out)
{
    if (task->exc_name.len > 0) {
        cel_exception_split(cel_buf_slice(&task->exc_name), &out->exc_module,
                            &out->exc_type);
        out->exc_args = cel_buf_slice(&task->exc_args);
    } else if (out->kind == CEL_OUTCOME_FAILURE) {
        /* There was no memory even for the name of the exception. */
        out->exc_module = CEL_SLICE("builtins");
        out->exc_type = CEL_SLICE("MemoryError");
    }
    if (out->exc_type.len > 0 && out->exc_args.len == 0) {
        out->exc_args = CEL_SLICE("[\"out of memory\"]");
    }
    if (task->traceback.len == 0) {
        make_traceback(task, out);
    }
    if (cel_buf_ok(&task->traceback)) {
        out->traceback = cel_buf_slice(&task->traceback);
    }
}

/* celery.exceptions.Reject(reason, requeue=False), which is stored without a traceback. */
static void fill_rejection(struct celery_task *task, struct cel_outcome *out)
{
    struct cel_buf *args = &task->exc_args;
    cel_buf_clear(args);
    cel_buf_addc(args, '[');
    if (task->reason.len > 0) {
        cel_json_write_string(args, cel_buf_slice(&task->reason));
    } else {
        cel_buf_adds(args, "null");
    }
    cel_buf_adds(args, ", false]");
    out->exc_module = CEL_SLICE("celery.exceptions");
    out->exc_type = CEL_SLICE("Reject");
    out->exc_args = cel_buf_ok(args) ? cel_buf_slice(args) : CEL_SLICE("[null, false]");
}

static void fill(struct celery_task *task, struct cel_outcome *out)
{
    cel_task_settle_retry(task);
    out->follows = cel_task_follow_up(task);
    out->effects = cel_buf_slice(&task->effects.bytes);
    switch (task->record) {
    case CEL_RECORD_SUCCESS:
        out->kind = CEL_OUTCOME_SUCCESS;
        out->result_json = cel_buf_slice(&task->result);
        out->repr = cel_buf_slice(&task->repr);
        break;
    case CEL_RECORD_RETRY:
        out->kind = CEL_OUTCOME_RETRY;
        out->countdown = task->countdown;
        out->reason = cel_buf_slice(&task->reason);
        fill_exception(task, out);
        break;
    case CEL_RECORD_IGNORE:
        out->kind = CEL_OUTCOME_IGNORE;
        break;
    case CEL_RECORD_REJECT:
        out->kind = CEL_OUTCOME_REJECT;
        out->reason = cel_buf_slice(&task->reason);
        fill_rejection(task, out);
        break;
    case CEL_RECORD_REQUEUE:
        out->kind = CEL_OUTCOME_REQUEUE;
        out->reason = cel_buf_slice(&task->reason);
        break;
    default:
        out->kind = CEL_OUTCOME_FAILURE;
        fill_exception(task, out);
    }
}

static void add_arguments(struct cel_runner *r, struct cel_outcome *out)
{
    if (cel_json_write(&r->args_json, r->task.call.args) >= 0) {
        out->args_json = cel_buf_slice(&r->args_json);
    }
    if (cel_json_write(&r->kwargs_json, r->task.call.kwargs) >= 0) {
        out->kwargs_json = cel_buf_slice(&r->kwargs_json);
    }
}

void cel_runner_run(struct cel_runner *r, struct cel_job *job,
                    struct cel_outcome *ret_outcome)
{
    struct celery_task *task = &r->task;
    memset(ret_outcome, 0, sizeof *ret_outcome);
    cel_task_begin(task, job);
    cel_task_renew(&r->args_json);
    cel_task_renew(&r->kwargs_json);
    if (!decode(r, ret_outcome)) {
        return;
    }
    task->started = cel_clock_mono();
    r->running = job;
    cel_log_about(cel_slice_of(job->task->name), job->call.id);
    celery_outcome returned = job->task->fn(task);
    cel_log_about(CEL_SLICE_NULL, CEL_SLICE_NULL);
    r->running = NULL;
    ret_outcome->runtime = cel_clock_mono() - task->started;
    cel_task_reconcile(task, returned);
    if (!task->replaced || task->record != CEL_RECORD_IGNORE) {
        cel_effects_clear(&task->effects); /* it has thought better of it */
    }
    fill(task, ret_outcome);
    if (job->extended) {
        add_arguments(r, ret_outcome);
    }
    cel_task_end(task);
}

void cel_runner_soft_limit(struct cel_runner *r)
{
    if (r && r->running) {
        cel_task_soft_signal(&r->task);
    }
}
