/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/admit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "worker/redelivered.h"
#include "worker/report.h"
#include "worker/schedule.h"

enum { ROOM_FOR_HEADERS = 1536 }; /* of an ordinary task, with its properties */

/* Where an object begins in the message as it came; NULL: not with a plain key. */
static const char *begin_of(const struct cel_envelope *env, const struct cel_node *object)
{
    const struct cel_node *key = cel_node_first(object);
    const char *at = key ? key->text - 2 : NULL;
    const char *end = env->raw.data + env->raw.len;
    bool inside =
        (uintptr_t)at >= (uintptr_t)env->raw.data && (uintptr_t)at < (uintptr_t)end;

    return inside && at[0] == '{' && at[1] == '"' ? at : NULL;
}

/*
 * The headers as they stand in the message, from their opening brace to its end, where the
 * properties follow; whoever wants them reads on.  What does not stand so is written anew.
 */
static struct cel_slice headers_text(struct cel_envelope *env)
{
    const char *headers = begin_of(env, env->headers);
    const char *properties = begin_of(env, env->properties);
    struct cel_buf out = {0};

    if (!cel_node_first(env->headers)) {
        return CEL_SLICE_NULL;
    }
    if (headers && (uintptr_t)properties > (uintptr_t)headers) {
        return cel_slice(headers, (size_t)(env->raw.data + env->raw.len - headers));
    }
    (void)cel_buf_reserve(&out, ROOM_FOR_HEADERS, NULL);
    cel_json_write(&out, env->headers);
    (void)cel_buf_adds(&out, ", \"properties\": ");
    cel_envelope_write_properties(&out, env);
    (void)cel_buf_adds(&out, "}");
    const char *copy =
        cel_buf_ok(&out) ? cel_arena_strndup(&env->arena, out.data, out.len) : NULL;
    struct cel_slice text = cel_slice(copy, copy ? out.len : 0);
    cel_buf_fini(&out);
    return text;
}

static void fill_job(struct cel_request *r)
{
    struct cel_job *job = &r->job;
    struct cel_envelope *env = r->envelope;

    job->headers = headers_text(env);
    job->body = env->body;
    job->content_type = env->content_type;
    job->correlation_id = env->correlation_id;
    job->reply_to = env->reply_to;
    job->exchange = env->exchange;
    job->routing_key = env->routing_key;
    job->priority = env->priority;
    job->redelivered = env->redelivered;
    job->extended = r->w->policy.result_extended;
    job->want_repr = r->w->policy.send_task_repr || r->w->notices.texts;
}

/* Celery itself makes ids of 36 characters. */
#define ID_MAX 1024

/* A message that is no task call may still say whose it was. */
static void find_id(struct cel_request *r)
{
    struct cel_slice id =
        cel_node_text(cel_envelope_header(r->envelope, CEL_SLICE("id")));

    if (!r->job.call.id.len && id.len <= ID_MAX && cel_utf8_valid(id)) {
        r->job.call.id = id;
    }
}

/* Malformed or refused: parked with its reason; a legible id gets a FAILURE. */
static void refuse(struct cel_request *r, enum cel_call_fault fault, const char *why)
{
    struct cel_outcome outcome;

    find_id(r);
    cel_report_log_fault(r, fault, why);
    cel_report_invalid(r, fault, why, &outcome);
    cel_request_end(r, &outcome);
}

static void not_registered(struct cel_request *r)
{
    struct cel_outcome outcome;

    cel_log(CELERY_LOG_ERROR,
            "Received unregistered task of type '%s'.\n"
            "The message has been parked in the dead-letter list.\n\n"
            "Did you remember to register this task with celery_app_task()?",
            cel_log_safe(r->job.call.task));
    cel_report_not_registered(r, &outcome);
    cel_request_end(r, &outcome);
}

static void tell_revoked(const struct cel_request *r)
{
    cel_log_about(r->job.call.task, r->job.call.id);
    cel_log(CELERY_LOG_INFO, "Discarding revoked task: %s[%s]",
            cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id));
    cel_log_about(CEL_SLICE_NULL, CEL_SLICE_NULL);
}

void cel_admit_discard(struct cel_request *r, const char *reason)
{
    struct cel_outcome outcome;

    tell_revoked(r);
    cel_report_revoked(r, reason, &outcome);
    cel_request_end(r, &outcome);
}

/*
 * Why it must not run: "expired", "revoked", or NULL (celery/worker/request.py revoked).  Stamps
 * are looked at when its turn comes, not when it arrives (celery/worker/strategy.py): until then
 * it keeps its place in the window of prefetched messages.
 */
static const char *forbidden(const struct cel_request *r, bool its_turn)
{
    const struct cel_task_call *call = &r->job.call;
    struct cel_revoked *revoked = &r->w->revoked;
    double now = cel_clock_mono();

    if (call->expires_us != INT64_MIN && cel_clock_wall_us() > call->expires_us) {
        return "expired";
    }
    bool by_id = cel_revoked_has_id(revoked, call->id, now);
    return by_id || (its_turn && cel_revoked_has(revoked, call, now)) ? "revoked" : NULL;
}

static double limit(double from_header, double from_policy)
{
    return from_header >= 0 ? from_header : from_policy;
}

static void admit_registered(struct cel_request *r)
{
    struct celery_worker *w = r->w;
    struct cel_job *job = &r->job;

    r->policy = &w->policy.tasks[job->task->index];
    job->hard_limit = limit(job->call.time_limit, r->policy->time_limit);
    job->soft_limit = limit(job->call.soft_time_limit, r->policy->soft_time_limit);
    cel_report_log_received(r);
    const char *why = forbidden(r, false);
    if (why) {
        cel_admit_discard(r, why);
        return;
    }
    cel_notice(r, CEL_NOTICE_RECEIVED);
    cel_schedule_add(r);
}

void cel_admit(struct celery_worker *w, struct cel_delivery *give_delivery)
{
    bool malformed = give_delivery->malformed;
    celery_error err = {0};
    struct cel_request *r = cel_request_new(w, give_delivery);

    if (!r) {
        return;
    }
    fill_job(r);
    enum cel_call_fault fault =
        cel_task_call_read(r->envelope, &w->policy.limits, &r->job.call, &err);
    if (malformed) {
        refuse(r, CEL_CALL_INVALID, give_delivery->why);
        return;
    }
    if (fault != CEL_CALL_OK && fault != CEL_CALL_NOMEM) {
        refuse(r, fault, err.message);
        return;
    }
    if (fault == CEL_CALL_NOMEM || w->shutdown != CEL_SHUTDOWN_NONE) {
        cel_request_event(r, CEL_REQ_RETURNED);
        return;
    }
    r->crashes =
        cel_node_int(cel_envelope_header(r->envelope, CEL_SLICE(CEL_HEADER_CRASHES)), 0);
    r->job.task = cel_app_find_task(w->app, r->job.call.task);
    if (!r->job.task) {
        not_registered(r);
        return;
    }
    const struct cel_codec *codec;
    if (cel_codec_accept(r->job.content_type, w->policy.limits.accept, &codec, &err) <
        0) {
        refuse(r, CEL_CALL_CONTENT, err.message);
        return;
    }
    admit_registered(r);
}

bool cel_admit_direct(struct celery_worker *w, struct cel_delivery *give_delivery,
                      const struct cel_job *read)
{
    struct cel_request *r = cel_request_new(w, give_delivery);

    if (!r) {
        return false;
    }
    r->direct = true;
    fill_job(r);
    r->job.call = read->call;
    r->job.task = read->task;
    admit_registered(r);
    return true;
}

void cel_admit_to_pool(struct cel_request *r)
{
    const char *why = forbidden(r, true);

    if (why) {
        cel_admit_discard(r, why);
        return;
    }
    if (r->job.redelivered && r->policy->acks_late && !r->asked &&
        cel_redelivered_ask(r)) {
        return;
    }
    cel_request_event(r, CEL_REQ_SLOT);
}

bool cel_admit_to_run(struct cel_request *r)
{
    const char *why = r->state == CEL_REQ_SUBMITTED ? forbidden(r, true) : NULL;
    struct cel_outcome outcome;

    if (!why) {
        return true;
    }
    cel_report_revoked(r, why, &outcome);
    if (cel_report_keep(r, &outcome) < 0) {
        return true; /* no memory even for that */
    }
    tell_revoked(r);
    cel_request_event(r, CEL_REQ_REVOKED);
    return false;
}
