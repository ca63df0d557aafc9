/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/notice.h"

#include "base/clock.h"
#include "message/meta.h"
#include "worker/request.h"

#include <signal.h>

/* Celery's resultrepr_maxsize (celery/app/task.py). */
#define RESULT_MAX 1024

/* What a repr() of an exception may take. */
#define EXCEPTION_MAX 65536

/* ---- observers ---- */

void cel_notice_changed(struct celery_worker *w)
{
    struct cel_notices *n = &w->notices;

    n->wanted = 0;
    n->texts = false;
    for (size_t i = 0; i < CEL_OBSERVERS; i++) {
        if (n->observers[i]) {
            n->wanted |= n->observers[i]->kinds;
            n->texts = n->texts || (n->observers[i]->texts && n->observers[i]->kinds);
        }
    }
}

celery_status cel_notice_watch(struct celery_worker *w, struct cel_observer *observer)
{
    for (size_t i = 0; i < CEL_OBSERVERS; i++) {
        if (!w->notices.observers[i]) {
            w->notices.observers[i] = observer;
            cel_notice_changed(w);
            return CELERY_OK;
        }
    }
    return CELERY_ELIMIT;
}

void cel_notice_unwatch(struct celery_worker *w, struct cel_observer *observer)
{
    for (size_t i = 0; i < CEL_OBSERVERS; i++) {
        if (w->notices.observers[i] == observer) {
            w->notices.observers[i] = NULL;
        }
    }
    cel_notice_changed(w);
}

static bool is_wanted(const struct cel_request *r, enum cel_notice_kind kind)
{
    return r->w->notices.wanted & (1u << kind);
}

static void tell(struct cel_notice *n)
{
    const struct cel_notices *all = &n->request->w->notices;

    n->time = (double)cel_clock_wall_us() / 1e6;
    for (size_t i = 0; i < CEL_OBSERVERS; i++) {
        const struct cel_observer *o = all->observers[i];

        if (o && o->kinds & (1u << n->kind)) {
            o->fn(o->ctx, n);
        }
    }
}

void cel_notice(struct cel_request *r, enum cel_notice_kind kind)
{
    if (is_wanted(r, kind)) {
        tell(&(struct cel_notice){.kind = kind, .request = r});
    }
}

/* ---- the end ---- */

/* A repr() was not asked for when it was sent to the pool, if nobody wanted one then. */
static void late_repr(struct cel_request *r, struct cel_buf *out)
{
    struct cel_node *value = NULL;
    struct cel_arena a;

    cel_arena_init(&a, 0);
    if (cel_json_parse(&a, r->outcome.result_json, NULL, &value, NULL) == CELERY_OK) {
        cel_saferepr(out, value, RESULT_MAX, 0, false);
    }
    cel_arena_fini(&a);
}

static void tell_success(struct cel_request *r)
{
    struct cel_notice n = {
        .kind = CEL_NOTICE_SUCCEEDED,
        .request = r,
        .runtime = r->outcome.runtime,
        .result = r->outcome.repr,
    };
    struct cel_buf repr = {0};

    if (r->w->notices.texts && !n.result.data) {
        late_repr(r, &repr);
        n.result = cel_buf_slice(&repr);
    }
    tell(&n);
    cel_buf_fini(&repr);
}

/* As Python's traceback of what was raised outside of the task ends. */
static struct cel_slice short_traceback(const struct cel_outcome *o, struct cel_buf *out)
{
    cel_buf_adds(out, "Traceback (most recent call last):\n");
    if (o->exc_module.len > 0 && !cel_slice_is(o->exc_module, "builtins")) {
        cel_buf_add_slice(out, o->exc_module);
        cel_buf_addc(out, '.');
    }
    cel_exception_line(out, o->exc_type, o->exc_args);
    cel_buf_addc(out, '\n');
    return cel_buf_slice(out);
}

/* FAILED and RETRIED. */
static void tell_exception(struct cel_request *r, enum cel_notice_kind kind)
{
    const struct cel_outcome *o = &r->outcome;
    struct cel_notice n = {.kind = kind, .request = r, .runtime = o->runtime};
    struct cel_buf repr = {.max = EXCEPTION_MAX};
    struct cel_buf text = {.max = EXCEPTION_MAX};

    if (!is_wanted(r, kind)) {
        return;
    }
    if (r->w->notices.texts) {
        if (o->kind == CEL_OUTCOME_REJECT) { /* celery/exceptions.py Reject.__repr__() */
            cel_buf_adds(&repr, "reject requeue=False: ");
            cel_buf_add_slice(&repr, o->reason);
        } else {
            cel_exception_repr(&repr, o->exc_type, o->exc_args);
        }
        n.exception = cel_buf_slice(&repr);
        n.traceback = o->traceback;
        if (o->traceback.len == 0 && r->job.task) {
            n.traceback = short_traceback(o, &text);
        }
    }
    tell(&n);
    cel_buf_fini(&repr);
    cel_buf_fini(&text);
}

static void tell_rejected(struct cel_request *r, bool requeue)
{
    if (is_wanted(r, CEL_NOTICE_REJECTED)) {
        tell(&(struct cel_notice){.kind = CEL_NOTICE_REJECTED,
                                  .request = r,
                                  .requeue = requeue,
                                  .settled = r->acknowledged || r->void_tag});
    }
}

/* celery/worker/request.py _announce_revoked(): signum is a number, or None. */
static void tell_revoked(struct cel_request *r)
{
    bool terminated = cel_slice_is(r->outcome.reason, "terminated");

    if (is_wanted(r, CEL_NOTICE_REVOKED)) {
        tell(&(struct cel_notice){.kind = CEL_NOTICE_REVOKED,
                                  .request = r,
                                  .terminated = terminated,
                                  .expired = cel_slice_is(r->outcome.reason, "expired"),
                                  .signum = !terminated ? 0
                                            : r->signal ? r->signal
                                                        : SIGTERM});
    }
}

/*
 * celery/worker/request.py on_failure(): a late acknowledgement that the policy denies becomes
 * a rejection; a task that is run again for its lost process has not failed yet.
 */
static void tell_failure(struct cel_request *r)
{
    enum cel_settlement how = cel_request_settlement(r);
    bool rejected = how == CEL_SETTLE_REQUEUE || how == CEL_SETTLE_DROP;
    bool again = r->outcome.kind == CEL_OUTCOME_LOST && how == CEL_SETTLE_REQUEUE;

    rejected = rejected && !r->acknowledged && !r->void_tag;
    if (r->outcome.kind == CEL_OUTCOME_TIMEOUT) { /* on_timeout(), since 5.7 */
        tell_exception(r, CEL_NOTICE_FAILED);
    }
    if (rejected) {
        tell_rejected(r, how == CEL_SETTLE_REQUEUE);
    }
    if (r->outcome.kind != CEL_OUTCOME_TIMEOUT && !(rejected && again)) {
        tell_exception(r, CEL_NOTICE_FAILED);
    }
}

/* A task whose message is no task call at all was never one, for Celery. */
static bool was_task(const struct cel_request *r)
{
    return r->started || r->outcome.fault == CEL_CALL_OK;
}

void cel_notice_end(struct cel_request *r)
{
    if (!r->w->notices.wanted) {
        return;
    }
    switch (r->outcome.kind) {
    case CEL_OUTCOME_SUCCESS:
        if (is_wanted(r, CEL_NOTICE_SUCCEEDED)) {
            tell_success(r);
        }
        break;
    case CEL_OUTCOME_FAILURE:
    case CEL_OUTCOME_LOST:
    case CEL_OUTCOME_TIMEOUT:
        tell_failure(r);
        break;
    case CEL_OUTCOME_RETRY:
        if (!r->cancelled || r->outcome.reason.len > 0) { /* else CANCELLED was told */
            tell_exception(r, CEL_NOTICE_RETRIED);
        }
        break;
    case CEL_OUTCOME_IGNORE:
        cel_notice(r, CEL_NOTICE_IGNORED);
        break;
    case CEL_OUTCOME_REJECT: /* a failure since 5.7 (Request.on_failure) */
        tell_exception(r, CEL_NOTICE_FAILED);
        tell_rejected(r, false);
        break;
    case CEL_OUTCOME_REQUEUE:
        tell_rejected(r, true);
        break;
    case CEL_OUTCOME_REVOKED:
        tell_revoked(r);
        break;
    case CEL_OUTCOME_MALFORMED:
        if (was_task(r)) {
            tell_exception(r, CEL_NOTICE_FAILED);
        }
        break;
    }
}
