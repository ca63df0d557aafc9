/* SPDX-License-Identifier: BSD-3-Clause */
/* What the end of a task brings about, made where its body is decoded. */
#include "base/error.h"
#include "canvas/continue.h"
#include "pool/task.h"

static celery_status add_effects(celery_task *task, celery_error *err)
{
    const struct cel_canvas *canvas = cel_task_canvas(task, err);
    bool inherit = cel_config_bool(task->app->config, "task_inherit_parent_priority");
    struct cel_node *result = NULL;

    if (!canvas) {
        return err->status;
    }
    /* The text stays where it is until the next task. */
    celery_status status = cel_json_parse(&task->arena, cel_buf_slice(&task->result),
                                          &task->limits.json, &result, err);
    if (status < 0) {
        return status;
    }
    return cel_continue_success(canvas, &task->arena, &task->call, result,
                                inherit ? task->job->priority : -1, &task->effects, err);
}

/* celery/app/trace.py: what cannot be sent makes the task a failure. */
static void fail(celery_task *task, const celery_error *err)
{
    const char *type = err->status == CELERY_EMESSAGE
                           ? "celery.exceptions.InvalidTaskError"
                       : err->status == CELERY_ENOMEM ? "MemoryError"
                                                      : "kombu.exceptions.EncodeError";

    cel_effects_clear(&task->effects);
    cel_buf_clear(&task->traceback);
    cel_task_fail_line(task, type, cel_slice_of(err->message));
}

unsigned cel_task_follow_up(celery_task *task)
{
    celery_error err = {0};

    if (!task->call.embed || !cel_continue_needed(&task->call)) {
        return CEL_FOLLOWS_BODY;
    }
    if (task->record == CEL_RECORD_SUCCESS && add_effects(task, &err) < 0) {
        fail(task, &err);
    }
    return CEL_FOLLOWS_BODY | CEL_FOLLOWS_ANY |
           (cel_continue_is_part(&task->call) ? CEL_FOLLOWS_CHORD : 0);
}
