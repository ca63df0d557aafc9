/* SPDX-License-Identifier: BSD-3-Clause */
#include "app/app.h"
#include "app/builtin.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

celery_app *celery_app_new(const char *name)
{
    celery_app *app = cel_calloc(1, sizeof *app);
    if (!app) {
        return NULL;
    }
    app->name = cel_strdup(name ? name : "__main__");
    app->config = cel_config_new();
    if (!app->name || !app->config) {
        celery_app_free(app);
        return NULL;
    }
    return app;
}

void celery_app_free(celery_app *app)
{
    if (!app) {
        return;
    }
    for (size_t i = 0; i < app->n_tasks; i++) {
        cel_task_def_free(app->tasks[i]);
    }
    cel_free(app->tasks);
    cel_app_free_controls(app);
    cel_map_fini(&app->by_name);
    cel_config_free(app->config);
    cel_free(app->name);
    cel_free(app);
}

celery_status cel_app_writable(const celery_app *app, celery_error *err)
{
    if (!app) {
        return cel_error_set(err, CELERY_EINVAL, "no application");
    }
    if (app->frozen) {
        return cel_error_set(err, CELERY_EINVAL,
                             "the application is in use and cannot be changed any more");
    }
    return CELERY_OK;
}

/* The first failure counts; the others often follow from it. */
celery_status cel_app_remember(celery_app *app, celery_status st, const celery_error *err)
{
    if (app && st < 0 && app->failed.status == CELERY_OK) {
        app->failed = *err;
    }
    return st;
}

/* ---- settings ---- */

celery_status celery_app_set(celery_app *app, const char *key, const char *value,
                             celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    celery_status st = cel_app_writable(app, why);
    if (st == CELERY_OK && !key) {
        st = cel_error_set(why, CELERY_EINVAL, "a setting without a name");
    }
    if (st == CELERY_OK) {
        st = cel_config_set(app->config, key, value, CEL_FROM_API, why);
    }
    return err ? st : cel_app_remember(app, st, &own);
}

const char *celery_app_get(const celery_app *app, const char *key)
{
    return app && key ? cel_config_text(app->config, key) : NULL;
}

celery_status celery_app_load(celery_app *app, const char *path, celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    celery_status st = cel_app_writable(app, why);
    if (st == CELERY_OK) {
        st = cel_config_load_file(app->config, path, why);
    }
    return err ? st : cel_app_remember(app, st, &own);
}

/* ---- tasks ---- */

struct cel_task_def *cel_app_find_task(const celery_app *app, struct cel_slice name)
{
    return cel_map_get(&app->by_name, name);
}

static celery_status add_task(celery_app *app, const char *name, celery_task_fn fn,
                              celery_error *err)
{
    if (!name || !*name || !fn) {
        return cel_error_set(err, CELERY_EINVAL, "a task without a name or a function");
    }
    if (cel_app_find_task(app, cel_slice_of(name))) {
        return cel_error_set(err, CELERY_EINVAL, "task %s is registered twice", name);
    }
    if ((app->n_tasks & (app->n_tasks - 1)) == 0) {
        size_t cap = app->n_tasks ? app->n_tasks * 2 : 1;
        void *grown = cel_realloc(app->tasks, cap, sizeof *app->tasks);
        if (!grown) {
            return cel_error_nomem(err);
        }
        app->tasks = grown;
    }
    struct cel_task_def *def = cel_task_def_new(name, fn);
    if (!def || cel_map_set(&app->by_name, cel_slice_of(name), def, NULL) < 0) {
        cel_task_def_free(def);
        return cel_error_nomem(err);
    }
    def->index = (uint32_t)app->n_tasks;
    app->tasks[app->n_tasks++] = def;
    return CELERY_OK;
}

celery_status celery_app_task(celery_app *app, const char *name, celery_task_fn fn)
{
    celery_error err = {0};
    celery_status st = cel_app_writable(app, &err);
    if (st == CELERY_OK) {
        st = add_task(app, name, fn, &err);
    }
    return cel_app_remember(app, st, &err);
}

static celery_status find_writable(celery_app *app, const char *name,
                                   struct cel_task_def **ret, celery_error *err)
{
    celery_status st = cel_app_writable(app, err);
    if (st < 0) {
        return st;
    }
    *ret = cel_app_find_task(app, cel_slice_of(name));
    if (!*ret) {
        return cel_error_set(err, CELERY_ENOTREG, "task %s is not registered",
                             cel_log_safe(cel_slice_of(name)));
    }
    return CELERY_OK;
}

celery_status celery_app_task_set(celery_app *app, const char *name, const char *option,
                                  const char *value, celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    struct cel_task_def *def;
    celery_status st = find_writable(app, name, &def, why);
    if (st == CELERY_OK) {
        st = cel_task_def_set(def, option ? option : "", value, why);
    }
    return err ? st : cel_app_remember(app, st, &own);
}

celery_status celery_app_task_context(celery_app *app, const char *name, void *context,
                                      celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    struct cel_task_def *def;
    celery_status st = find_writable(app, name, &def, why);
    if (st == CELERY_OK) {
        def->context = context;
    }
    return err ? st : cel_app_remember(app, st, &own);
}

bool cel_task_option(const celery_app *app, enum cel_tristate own, const char *setting)
{
    return own == CEL_UNSET ? cel_config_bool(app->config, setting) : own == CEL_YES;
}

int cel_repr_levels(const struct cel_config *config)
{
    int levels = config ? (int)cel_config_int(config, "task_repr_maxlevels", 0) : 3;

    return levels > 0 ? levels : -1;
}

/* ---- the end of the writing phase ---- */

bool cel_builtin_is(const char *name)
{
    return strncmp(name, "celery.", 7) == 0; /* celery/apps/worker.py tasklist() */
}

static celery_status add_builtin(celery_app *app, const struct cel_builtin *b,
                                 celery_error *err)
{
    struct cel_slice name = cel_slice_of(b->name);
    if (cel_app_find_task(app, name)) {
        return CELERY_OK;
    }
    celery_status st = add_task(app, b->name, b->fn, err);
    struct cel_task_def *def = cel_app_find_task(app, name);
    if (st == CELERY_OK) {
        st = cel_task_def_set(def, "typing_name", b->function, err);
    }
    if (st == CELERY_OK && b->option[0]) {
        st = cel_task_def_set(def, b->option[0], b->option[1], err);
    }
    return st;
}

celery_status cel_app_freeze(celery_app *app, celery_error *err)
{
    if (app->failed.status < 0) {
        return cel_error_set(err, app->failed.status, "%s", app->failed.message);
    }
    if (app->frozen) {
        return CELERY_OK;
    }
    for (const struct cel_builtin *b = cel_builtins; b->name; b++) {
        celery_status st = add_builtin(app, b, err);
        if (st < 0) {
            return st;
        }
    }
    app->frozen = true;
    return CELERY_OK;
}
