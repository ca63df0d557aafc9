/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/cleanup.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "canvas/continue.h"
#include "pool/builtin.h"
#include "worker/follow.h"
#include "worker/results.h"

struct cleanup {
    struct cel_errand errand;
    struct cel_request *r;
    double started;
};

bool cel_cleanup_is(const struct cel_request *r)
{
    const struct cel_backend_ops *ops = cel_results_ops(r->w->results);

    return r->job.task->fn == cel_builtin_backend_cleanup && ops && ops->cleanup;
}

static void finish(struct cleanup *c, struct cel_outcome *outcome)
{
    struct cel_request *r = c->r;
    const struct cel_task_call *call = cel_follow_call(r);

    outcome->runtime = cel_clock_mono() - c->started;
    if (call && cel_continue_needed(call)) {
        outcome->follows |= CEL_FOLLOWS_ANY;
    }
    if (call && cel_continue_is_part(call)) {
        outcome->follows |= CEL_FOLLOWS_CHORD;
    }
    cel_request_finish(r, outcome); /* copies what it needs */
    cel_free(c);
}

static void on_done(void *ctx, const celery_error *err)
{
    struct cel_buf args = {0};

    if (!err) {
        finish(ctx, &(struct cel_outcome){.kind = CEL_OUTCOME_SUCCESS,
                                          .result_json = CEL_SLICE("null"),
                                          .repr = CEL_SLICE("None")});
        return;
    }
    cel_buf_addc(&args, '[');
    cel_json_write_string(&args, cel_slice_of(err->message));
    cel_buf_addc(&args, ']');
    finish(ctx,
           &(struct cel_outcome){
               .kind = CEL_OUTCOME_FAILURE,
               .exc_type = CEL_SLICE("OperationalError"),
               .exc_module = CEL_SLICE("kombu.exceptions"),
               .exc_args = cel_buf_ok(&args) ? cel_buf_slice(&args) : CEL_SLICE("[]"),
           });
    cel_buf_fini(&args);
}

static void start(struct cel_errand *errand, struct cel_backend *backend)
{
    backend->ops->cleanup(backend, (struct cel_done){cel_errand_answer, errand});
}

void cel_cleanup_run(struct cel_request *r)
{
    struct cleanup *c = cel_calloc(1, sizeof *c);

    cel_request_event(r, CEL_REQ_ACCEPTED);
    if (!c) {
        cel_request_finish(r, &(struct cel_outcome){.kind = CEL_OUTCOME_REQUEUE});
        return;
    }
    c->r = r;
    c->started = cel_clock_mono();
    c->errand.start = start;
    c->errand.done = on_done;
    c->errand.ctx = c;
    cel_results_run(r->w->results, &c->errand);
}
