/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: what a running task sends. */
#include "base/error.h"
#include "pool/task.h"

const struct cel_canvas *cel_task_canvas(celery_task *task, celery_error *err)
{
    return cel_task_env_canvas(&task->env, task->app, err);
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

celery_client *celery_task_client(celery_task *task, celery_error *err)
{
    return cel_task_env_client(&task->env, task->app, err);
}
