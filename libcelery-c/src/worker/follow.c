/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/follow.h"

#include "base/error.h"
#include "base/log.h"
#include "worker/report.h"
#include "worker/report_text.h"
#include "worker/reporting.h"

struct cel_follow *cel_follow_get(struct cel_request *r)
{
    if (!r->follow) {
        struct cel_follow *f = cel_arena_alloc(&r->envelope->arena, sizeof *f);

        if (!f) {
            return NULL;
        }
        memset(f, 0, sizeof *f);
        f->r = r;
        cel_list_init(&f->ends);
        cel_list_init(&f->claims);
        r->follow = f;
    }
    return r->follow;
}

void cel_follow_fini(struct cel_request *r)
{
    struct cel_list *it;

    if (!r->follow) {
        return;
    }
    cel_buf_fini(&r->follow->children);
    cel_effects_fini(&r->follow->errbacks);
    while ((it = cel_list_first(&r->follow->claims))) {
        cel_list_remove(it);
        cel_effects_fini(&cel_container_of(it, struct cel_follow_claim, node)->effects);
    }
}

/* ---- what a task sends while it runs ---- */

static void on_carried(void *ctx, const celery_error *err)
{
    struct cel_follow *f = ctx;

    f->carrying--;
    if (err && f->err.status == CELERY_OK) {
        f->err = *err;
    }
    if (f->waited_for && f->carrying == 0) {
        f->waited_for = false;
        cel_reporting_sent(f->r);
    }
}

void cel_follow_sent(struct cel_request *r, struct cel_slice effects)
{
    struct cel_follow *f = cel_follow_get(r);

    if (!f) {
        r->unsent = true;
        return;
    }
    f->carrying++;
    cel_carry_start(r->w, effects, &f->children, (struct cel_carry_done){on_carried, f});
}

/* ---- the call ---- */

const struct cel_canvas *cel_follow_canvas(struct celery_worker *w)
{
    if (!w->canvas.router) {
        cel_uuid4(w->reply_to);
        w->canvas = (struct cel_canvas){
            .app = w->app,
            .config = w->app->config,
            .router = w->router,
            .reply_to = cel_slice_of(w->reply_to),
            .backend_counts = cel_results_count(w->results),
            .no_chords = cel_results_enabled(w->results)
                             ? cel_results_ops(w->results)->no_chords
                             : NULL,
        };
    }
    return &w->canvas;
}

int cel_follow_priority(const struct cel_request *r)
{
    bool inherit = cel_config_bool(r->w->app->config, "task_inherit_parent_priority");

    return inherit ? r->job.priority : -1;
}

const struct cel_task_call *cel_follow_call(struct cel_request *r)
{
    struct cel_task_call *call = &r->job.call;
    celery_error err = {0};

    if (!call->args &&
        cel_task_call_body(&r->envelope->arena, r->job.body, r->job.content_type,
                           call->compression, &r->w->policy.limits, call,
                           &err) != CEL_CALL_OK) {
        cel_follow_tell(r, &err);
        return NULL;
    }
    return call;
}

bool cel_follow_is_part(struct cel_request *r)
{
    if (r->job.call.group.len == 0) {
        return false;
    }
    if (r->outcome.follows & CEL_FOLLOWS_BODY) {
        return r->outcome.follows & CEL_FOLLOWS_CHORD;
    }
    const struct cel_task_call *call = cel_follow_call(r);

    return call && cel_continue_is_part(call);
}

void cel_follow_tell(struct cel_request *r, const celery_error *err)
{
    if (err->status < 0) {
        cel_log(CELERY_LOG_ERROR, "Task %s[%s]: not told of its end: %s",
                cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id),
                cel_log_safe(cel_slice_of(err->message)));
    }
}

/* ---- a failure ---- */

celery_status cel_follow_add_ends(struct cel_follow *f,
                                  const struct cel_continue_copies *copies,
                                  const struct cel_continue_exc *exc,
                                  const struct cel_continue_exc *original, bool store)
{
    struct cel_request *r = f->r;

    for (size_t i = 0; i < copies->n; i++) {
        struct cel_follow_end *end = cel_arena_alloc(&r->envelope->arena, sizeof *end);

        if (!end) {
            return CELERY_ENOMEM;
        }
        memset(end, 0, sizeof *end);
        end->copy = copies->items[i];
        end->exc = end->copy.original && original ? *original : *exc;
        end->store = store;
        if (end->copy.bare) {
            end->exc.traceback = CEL_SLICE_NULL;
        }
        if (cel_report_copy(r, &end->exc.type) < 0 ||
            cel_report_copy(r, &end->exc.module) < 0 ||
            cel_report_copy(r, &end->exc.args_json) < 0 ||
            cel_report_copy(r, &end->exc.traceback) < 0) {
            return CELERY_ENOMEM;
        }
        cel_list_append(&f->ends, &end->node);
    }
    return CELERY_OK;
}

static bool fails_others(const struct cel_request *r)
{
    switch (r->outcome.kind) {
    case CEL_OUTCOME_FAILURE:
    case CEL_OUTCOME_LOST:
    case CEL_OUTCOME_TIMEOUT:
    case CEL_OUTCOME_REJECT:
        break;
    case CEL_OUTCOME_MALFORMED:
        /* on_unknown_task() tells nobody: another worker may know the task. */
        if (!r->job.task) {
            return false;
        }
        break;
    default:
        return false; /* mark_as_revoked() knows only the chord */
    }
    bool known = r->outcome.follows & CEL_FOLLOWS_BODY;

    return !known || (r->outcome.follows & CEL_FOLLOWS_ANY);
}

celery_status cel_follow_failure(struct cel_request *r)
{
    const struct cel_outcome *o = &r->outcome;
    const struct cel_continue_exc exc = {o->exc_type, o->exc_module, o->exc_args,
                                         o->traceback};
    struct cel_continue_copies copies = {0};
    celery_error err = {0};

    if (!fails_others(r)) {
        return CELERY_OK;
    }
    const struct cel_task_call *call = cel_follow_call(r);

    if (!call || !cel_continue_needed(call)) {
        return CELERY_OK;
    }
    struct cel_follow *f = cel_follow_get(r);

    if (!f) {
        return CELERY_ENOMEM;
    }
    celery_status status =
        cel_continue_failure(cel_follow_canvas(r->w), &r->envelope->arena, call, &exc,
                             &f->errbacks, &copies, &err);

    if (status < 0) {
        return status;
    }
    cel_follow_tell(r, &err);
    return cel_follow_add_ends(f, &copies, &exc, NULL, cel_report_wants_errors(r));
}
