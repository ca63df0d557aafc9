/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/task_env.h"
#include "backend/backend.h"
#include "client/client.h"
#include <stdio.h>
#include <unistd.h>

/* kombu/common.py oid_from(): unique is all it must be. */
static void make_reply_to(struct cel_task_env *env)
{
    char name[120];
    unsigned char node[6];
    cel_random(node, sizeof node);
    snprintf(name, sizeof name, "%x%02x%02x%02x%02x%02x-%ld-%ld-%p", node[0], node[1],
             node[2], node[3], node[4], node[5], (long)getpid(), (long)gettid(),
             (void *)env);
    cel_uuid3_oid(name, env->reply_to);
}

const struct cel_canvas *cel_task_env_canvas(struct cel_task_env *env,
                                             const celery_app *app, celery_error *err)
{
    if (env->router) {
        return &env->canvas;
    }
    if (cel_router_new(app->config, &env->router, err) < 0) {
        env->router = NULL;
        return NULL;
    }
    make_reply_to(env);
    const struct cel_backend_ops *backend = cel_backend_of(app->config);
    env->canvas = (struct cel_canvas){
        .app = app,
        .config = app->config,
        .router = env->router,
        .reply_to = cel_slice_of(env->reply_to),
        /* Otherwise celery.chord_unlock is sent to look. */
        .backend_counts = backend && backend->flags & CEL_BACKEND_COUNTS,
        .no_chords = backend ? backend->no_chords : NULL,
    };
    return &env->canvas;
}

celery_client *cel_task_env_client(struct cel_task_env *env, celery_app *app,
                                   celery_error *err)
{
    /* It can wait for what the task sent, so both have the same queue of replies. */
    if (!env->client && cel_task_env_canvas(env, app, err)) {
        env->client = cel_client_open_as(app, env->reply_to, err);
    }
    return env->client;
}

void cel_task_env_fini(struct cel_task_env *env)
{
    celery_client_close(env->client);
    cel_router_free(env->router);
    *env = (struct cel_task_env){0};
}
