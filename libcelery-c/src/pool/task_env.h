/* SPDX-License-Identifier: BSD-3-Clause */
/* What a task needs to send others: made when one first does, and kept by its runner. */
#ifndef CEL_POOL_TASK_ENV_H
#define CEL_POOL_TASK_ENV_H

#include "base/uuid.h"
#include "canvas/canvas.h"
#include <celery/client.h>

struct cel_task_env {
    struct cel_canvas canvas;
    struct cel_router *router;
    char reply_to[CEL_UUID_SIZE];
    celery_client *client; /* celery_task_client(); NULL until asked for */
};

/* Where signatures are applied by tasks of this runner; NULL with err. */
const struct cel_canvas *cel_task_env_canvas(struct cel_task_env *env,
                                             const celery_app *app, celery_error *err);

/* A client on the settings of the app; NULL with err. */
celery_client *cel_task_env_client(struct cel_task_env *env, celery_app *app,
                                   celery_error *err);

void cel_task_env_fini(struct cel_task_env *env);

#endif
