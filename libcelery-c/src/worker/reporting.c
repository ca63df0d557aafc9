/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/reporting.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "worker/chord.h"
#include "worker/follow.h"
#include "worker/phase.h"
#include "worker/report.h"
#include "worker/report_text.h"

static void advance(struct cel_request *r, enum cel_phase_event event);

/* ---- the outcome may still change ---- */

/* What could not be sent or stored, and never can: the task has failed with that. */
static void make_failure(struct cel_request *r, struct cel_slice type,
                         struct cel_slice module, const char *text)
{
    struct cel_buf args = {0};
    struct cel_slice json;

    cel_buf_addc(&args, '[');
    cel_json_write_string(&args, cel_slice_of(text));
    cel_buf_addc(&args, ']');
    json = cel_buf_slice(&args);
    if (!cel_buf_ok(&args) || cel_report_copy(r, &json) < 0) {
        json = CEL_SLICE("[]");
    }
    cel_buf_fini(&args);
    r->outcome = (struct cel_outcome){
        .kind = CEL_OUTCOME_FAILURE,
        .exc_type = type,
        .exc_module = module,
        .exc_args = json,
        .runtime = r->outcome.runtime,
        .follows = r->outcome.follows,
    };
}

static void log_undone(struct cel_request *r, const char *what, const celery_error *err)
{
    cel_log(CELERY_LOG_CRITICAL, "Task %s[%s]: %s: %s", cel_log_safe(r->job.call.task),
            cel_log_safe(r->job.call.id), what, err->message);
}

/* ---- the phases ---- */

static void phase_sent(struct cel_request *r)
{
    if (r->follow && r->follow->carrying > 0) {
        r->follow->waited_for = true;
        return;
    }
    cel_reporting_sent(r);
}

/* True: it will run again, so nothing is stored (celery/worker/request.py on_failure). */
static bool runs_again(const struct cel_request *r)
{
    const struct cel_ack_policy policy = {
        .reject_on_worker_lost = true,
        .crashes = r->crashes,
        .crash_budget = r->w->policy.crash_budget,
    };

    return r->outcome.kind == CEL_OUTCOME_LOST && r->policy && r->policy->acks_late &&
           r->policy->reject_on_worker_lost && !r->acknowledged &&
           cel_request_settle(CEL_OUTCOME_LOST, &policy) == CEL_SETTLE_REQUEUE;
}

static void end(struct cel_request *r, enum cel_phase phase)
{
    r->phase = phase;
    if (phase == CEL_PHASE_REPORTED) {
        cel_notice_end(r);
    }
    cel_request_event(r, phase == CEL_PHASE_REPORTED ? CEL_REQ_REPORTED
                                                     : CEL_REQ_UNREPORTED);
}

void cel_reporting_sent(struct cel_request *r)
{
    if (r->unsent || (r->follow && r->follow->err.status < 0)) {
        static const celery_error nomem = {CELERY_ENOMEM, 0, "out of memory"};

        log_undone(r, "what it sent could not be published",
                   r->follow ? &r->follow->err : &nomem);
        advance(r, CEL_PHASE_FAILED);
        return;
    }
    if (r->cancelled && !r->acknowledged && !r->orphaned) {
        end(r, CEL_PHASE_UNREPORTED);
        return;
    }
    cel_report_log_end(r);
    if (runs_again(r)) {
        end(r, CEL_PHASE_REPORTED);
        return;
    }
    advance(r, CEL_PHASE_DONE);
}

/* The broker or the backend may be away for good; everything else will not change. */
static bool is_outage(const celery_error *err)
{
    return celery_error_retriable(err) || err->status == CELERY_EUNCERTAIN ||
           err->status == CELERY_EAUTH;
}

static void on_followed(void *ctx, const celery_error *err)
{
    struct cel_request *r = ctx;

    if (err && !is_outage(err) && r->outcome.kind == CEL_OUTCOME_SUCCESS) {
        /* celery/app/trace.py: EncodeError, OperationalError. */
        make_failure(r, CEL_SLICE("OperationalError"), CEL_SLICE("kombu.exceptions"),
                     err->message);
        advance(r, CEL_PHASE_REFUSED);
        return;
    }
    if (err) {
        log_undone(r, "what follows it could not be published", err);
    }
    advance(r, err ? CEL_PHASE_FAILED : CEL_PHASE_DONE);
}

static void phase_follow(struct cel_request *r)
{
    static const celery_error nomem = {CELERY_ENOMEM, 0, "out of memory"};

    if (r->outcome.effects.len == 0) {
        advance(r, CEL_PHASE_DONE);
        return;
    }
    struct cel_follow *f = cel_follow_get(r);

    if (!f) {
        on_followed(r, &nomem);
        return;
    }
    cel_carry_follow(r, &f->children, (struct cel_carry_done){on_followed, r});
}

static void on_stored(void *ctx, const celery_error *err)
{
    struct cel_request *r = ctx;

    if (err && err->status == CELERY_ELIMIT && r->outcome.kind == CEL_OUTCOME_SUCCESS) {
        make_failure(r, CEL_SLICE("BackendStoreError"), CEL_SLICE("celery.exceptions"),
                     "the result is too large for the backend");
        advance(r, CEL_PHASE_REFUSED);
        return;
    }
    if (err) {
        log_undone(r, "its result could not be stored", err);
        r->w->abandoned = true;
    }
    advance(r, err ? CEL_PHASE_FAILED : CEL_PHASE_DONE);
}

static void phase_store(struct cel_request *r)
{
    if (!cel_report_meta(r)) {
        advance(r, CEL_PHASE_DONE);
        return;
    }
    r->store.errand.done = on_stored;
    r->store.errand.ctx = r;
    cel_results_store(r->w->results, &r->store);
}

/* ---- what the end of the task means for others ---- */

/* The end of a phase that carries out one thing after the other, or a single one. */
static void on_carried(void *ctx, const celery_error *err)
{
    struct cel_request *r = ctx;

    if (err) {
        log_undone(r, cel_phase_name(r->phase), err);
    }
    /* What never can be done is no reason to run the task once more. */
    if (err && is_outage(err)) {
        r->w->abandoned = true;
        advance(r, CEL_PHASE_FAILED);
    } else {
        advance(r, CEL_PHASE_DONE);
    }
}

static struct cel_slice part_state(const struct cel_request *r)
{
    switch (r->outcome.kind) {
    case CEL_OUTCOME_SUCCESS:
        return CEL_SLICE("SUCCESS");
    case CEL_OUTCOME_REVOKED:
        return CEL_SLICE("REVOKED");
    default:
        return CEL_SLICE("FAILURE");
    }
}

static void phase_part(struct cel_request *r)
{
    static const celery_error nomem = {CELERY_ENOMEM, 0, "out of memory"};

    if (cel_follow_failure(r) < 0) {
        on_carried(r, &nomem);
        return;
    }
    if (!r->job.task || !cel_follow_is_part(r)) {
        advance(r, CEL_PHASE_DONE);
        return;
    }
    bool succeeded = r->outcome.kind == CEL_OUTCOME_SUCCESS;
    const struct cel_chord_end end = {
        .task_id = r->job.call.id,
        .group_id = r->job.call.group,
        .group_index = r->job.call.group_index,
        .state = part_state(r),
        .result_json = succeeded ? r->outcome.result_json : cel_report_exception(r),
    };

    cel_chord_return(r, &end, (struct cel_carry_done){on_carried, r});
}

static struct cel_follow_end *first_end(struct cel_request *r)
{
    struct cel_list *first = r->follow ? cel_list_first(&r->follow->ends) : NULL;

    return first ? cel_container_of(first, struct cel_follow_end, node) : NULL;
}

static void phase_copies(struct cel_request *r);

/* The first end is told: on to the next, which its chord may just have added. */
static void on_end_told(void *ctx, const celery_error *err)
{
    struct cel_request *r = ctx;

    if (err) {
        on_carried(r, err);
        return;
    }
    cel_list_remove(&first_end(r)->node);
    phase_copies(r);
}

static void on_copy_stored(void *ctx, const celery_error *err)
{
    struct cel_request *r = ctx;
    const struct cel_follow_end *e = first_end(r);

    if (err || !e->copy.chord || e->copy.group_id.len == 0) {
        on_end_told(r, err);
        return;
    }
    const struct cel_chord_end end = {
        .task_id = e->copy.task_id,
        .group_id = e->copy.group_id,
        .group_index = e->copy.group_index,
        .state = CEL_SLICE("FAILURE"),
        .result_json = e->stored.meta.result_json,
        .body = e->copy.chord,
    };

    cel_chord_return(r, &end, (struct cel_carry_done){on_end_told, r});
}

static void phase_copies(struct cel_request *r)
{
    struct cel_follow_end *e = first_end(r);

    if (!e) {
        advance(r, CEL_PHASE_DONE);
        return;
    }
    e->stored.meta = (struct cel_task_meta){
        .task_id = e->copy.task_id,
        .status = CEL_SLICE("FAILURE"),
        .result_json = cel_report_exception_json(r, &e->exc),
        .traceback = e->exc.traceback,
        .children_json = cel_report_children(
            r, e->copy.trail, e->copy.trail ? e->copy.children : CEL_SLICE_NULL),
        .group_id = e->copy.group_id,
        .parent_id = e->copy.parent_id,
        .date_done_us = cel_clock_wall_us(),
    };
    if (!e->store) {
        on_copy_stored(r, NULL);
        return;
    }
    e->stored.errand.done = on_copy_stored;
    e->stored.errand.ctx = r;
    cel_results_store(r->w->results, &e->stored);
}

static void phase_errbacks(struct cel_request *r)
{
    if (!r->follow || r->follow->errbacks.n == 0) {
        advance(r, CEL_PHASE_DONE);
        return;
    }
    cel_carry_start(r->w, cel_buf_slice(&r->follow->errbacks.bytes), NULL,
                    (struct cel_carry_done){on_carried, r});
}

static void phase_chords(struct cel_request *r);

static void on_chord_settled(void *ctx, const celery_error *err)
{
    if (err) {
        on_carried(ctx, err);
    } else {
        phase_chords(ctx);
    }
}

static void phase_chords(struct cel_request *r)
{
    if (!r->follow || cel_list_empty(&r->follow->claims)) {
        advance(r, CEL_PHASE_DONE);
        return;
    }
    cel_chord_settle(r, (struct cel_carry_done){on_chord_settled, r});
}

/* ---- the order ---- */

static void enter(struct cel_request *r, enum cel_phase phase)
{
    r->phase = phase;
    switch (phase) {
    case CEL_PHASE_SENT:
        phase_sent(r);
        break;
    case CEL_PHASE_FOLLOW:
        phase_follow(r);
        break;
    case CEL_PHASE_STORE:
        phase_store(r);
        break;
    case CEL_PHASE_PART:
        phase_part(r);
        break;
    case CEL_PHASE_COPIES:
        phase_copies(r);
        break;
    case CEL_PHASE_ERRBACKS:
        phase_errbacks(r);
        break;
    case CEL_PHASE_CHORDS:
        phase_chords(r);
        break;
    default:
        end(r, phase);
    }
}

static void advance(struct cel_request *r, enum cel_phase_event event)
{
    enter(r, cel_phase_next(r->outcome.kind, r->phase, event));
}

void cel_reporting_start(struct cel_request *r)
{
    enter(r, CEL_PHASE_FIRST);
}
