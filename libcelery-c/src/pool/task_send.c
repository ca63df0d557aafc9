/* SPDX-License-Identifier: BSD-3-Clause */
/* What a running task sends: made here, carried out by its worker. */
#include "base/error.h"
#include "pool/task.h"
#include "pool/wire.h"

/* What one call sends fits into one frame. */
#define SEND_MAX ((size_t)CEL_FRAME_MAX / 2)

const struct cel_canvas *cel_task_canvas(celery_task *task, celery_error *err)
{
    return cel_task_env_canvas(&cel_task_outermost(task)->env, task->app, err);
}

celery_status cel_task_running_canvas(celery_task *task, struct cel_canvas *ret,
                                      celery_error *err)
{
    const celery_task *running = cel_task_outermost(task);
    const struct cel_canvas *c = cel_task_canvas(task, err);
    if (!c) {
        return CELERY_ECONFIG;
    }
    *ret = *c;
    ret->running_id = running->call.id;
    ret->running_root = running->call.root_id;
    ret->traceparent = running->call.traceparent;
    ret->tracestate = running->call.tracestate;
    ret->running_priority = cel_node_new_int(&task->arena, running->job->priority);
    return ret->running_priority ? CELERY_OK : cel_error_nomem(err);
}

celery_status cel_task_add_child(celery_task *task, struct cel_slice id)
{
    struct cel_buf *json = &task->scratch;
    cel_buf_clear(json);
    cel_buf_adds(json, "[[");
    cel_json_write_string(json, id);
    cel_buf_adds(json, ", null], null]");
    if (!cel_buf_ok(json)) {
        return CELERY_ENOMEM;
    }
    return cel_effects_add(
        &task->effects,
        &(struct cel_effect){.kind = CEL_EFFECT_CHILD, .json = cel_buf_slice(json)});
}

void cel_task_effects_init(struct cel_effects *effects)
{
    *effects = (struct cel_effects){.bytes = {.max = SEND_MAX}};
}

celery_status cel_task_send_effects(celery_task *task, const struct cel_effects *effects,
                                    celery_error *err)
{
    celery_task *running = cel_task_outermost(task);
    if (effects->n == 0) {
        return CELERY_OK;
    }
    if (!running->hooks.effects) {
        return cel_error_set(err, CELERY_ENOTSUP, "nobody sends for this task");
    }
    celery_status st = running->hooks.effects(running->hooks.ctx, running->job,
                                              cel_buf_slice(&effects->bytes));
    return st < 0 ? cel_error_set(err, st, "what the task sends cannot be passed on")
                  : st;
}

celery_status cel_task_apply(celery_task *task, const struct cel_sig *sig,
                             const struct cel_node *args, const struct cel_node *options,
                             struct cel_node **ret_result, celery_error *err)
{
    struct cel_canvas canvas;
    struct cel_effects effects;
    celery_status st = cel_task_running_canvas(task, &canvas, err);
    if (st < 0) {
        return st;
    }
    cel_task_effects_init(&effects);
    st = cel_sig_apply(&canvas, &task->arena, sig, args, NULL, options, &effects,
                       ret_result, err);
    if (st == CELERY_OK) {
        st = cel_task_send_effects(task, &effects, err);
    }
    cel_effects_fini(&effects);
    return st;
}

celery_client *celery_task_client(celery_task *task, celery_error *err)
{
    return cel_task_env_client(&cel_task_outermost(task)->env, task->app, err);
}
