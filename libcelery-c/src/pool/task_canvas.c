/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: signatures that a running task sends, becomes, or adds to its chord. */
#include "backend/backend.h"
#include "base/error.h"
#include "canvas/running.h"
#include "client/sig.h"
#include "pool/task.h"

/* The id of a result tuple [[id, parent], children]. */
static const char *id_of(celery_task *task, const struct cel_node *tuple,
                         celery_error *err)
{
    struct cel_slice id = cel_node_text(celery_value_at(celery_value_at(tuple, 0), 0));
    const char *copy = cel_arena_strndup(&task->arena, id.data, id.len);
    if (!copy) {
        cel_error_nomem(err);
    }
    task->sent = tuple;
    return copy;
}

const char *celery_task_send(celery_task *task, const celery_sig *sig, celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    struct cel_node *result = NULL;
    if (!sig) {
        return NULL;
    }
    const struct cel_sig *tree = cel_sig_tree(sig, why);
    if (!tree || cel_task_apply(task, tree, NULL, NULL, &result, why) < 0) {
        return NULL;
    }
    return id_of(task, result, why);
}

const celery_value *celery_task_sent(const celery_task *task)
{
    return task->sent;
}

/* The request as Task.replace() sees it: with what only its headers say. */
static struct cel_task_call request_of(celery_task *task)
{
    struct cel_task_call call = task->call;
    call.replaced_task_nesting = celery_task_replaced_nesting(task);
    return call;
}

/* ---- add_to_chord() ---- */

static celery_status add_to_chord(celery_task *task, const struct cel_sig *tree,
                                  struct cel_node **ret_result, celery_error *err)
{
    struct cel_canvas canvas;
    struct cel_effects effects;
    struct cel_task_call call = request_of(task);
    celery_status st = cel_task_running_canvas(task, &canvas, err);
    struct cel_sig *sig =
        st == CELERY_OK ? cel_sig_clone(&task->arena, tree, NULL, NULL) : NULL;
    if (!sig) {
        return st < 0 ? st : cel_error_nomem(err);
    }
    cel_task_effects_init(&effects);
    st = cel_sig_add_to_chord(&canvas, &task->arena, &call, sig, &effects, ret_result,
                              err);
    if (st == CELERY_OK) {
        st = cel_task_send_effects(task, &effects, err);
    }
    cel_effects_fini(&effects);
    return st;
}

const char *celery_task_add_to_chord(celery_task *task, const celery_sig *sig,
                                     celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    struct cel_node *result = NULL;
    if (!sig) {
        return NULL;
    }
    const struct cel_sig *tree = cel_sig_tree(sig, why);
    if (!tree || add_to_chord(task, tree, &result, why) < 0) {
        return NULL;
    }
    return id_of(task, result, why);
}

/* ---- replace() ---- */

/*
 * Task.replace() gives the replacement the worker's own queue of replies, and with rpc:// who
 * waits for the task hears nothing any more.  Other results need no queue, so there the
 * messages stay what Celery sends.
 */
static void keep_reply_to(celery_task *task, struct cel_canvas *canvas)
{
    const struct cel_backend_ops *backend = cel_backend_of(task->app->config);
    struct cel_slice reply_to = cel_task_outermost(task)->job->reply_to;

    if (backend && backend->flags & CEL_BACKEND_REPLIES && reply_to.len > 0) {
        canvas->reply_to = reply_to;
    }
}

static celery_status replace(celery_task *task, const celery_sig *sig, celery_error *err)
{
    struct cel_canvas canvas;
    struct cel_task_call call = request_of(task);
    const struct cel_sig *tree = cel_sig_tree(sig, err);
    if (!tree) {
        return err->status;
    }
    celery_status st = cel_task_running_canvas(task, &canvas, err);
    struct cel_sig *copy =
        st == CELERY_OK ? cel_sig_clone(&task->arena, tree, NULL, NULL) : NULL;
    if (!copy) {
        return st < 0 ? st : cel_error_nomem(err);
    }
    keep_reply_to(task, &canvas);
    cel_effects_clear(&task->effects);
    st = cel_sig_replace(&canvas, &task->arena, &call, copy, &task->effects, err);
    if (st == CELERY_OK && task->outer) {
        /* Called in place: there is no end of a request that could send it. */
        st = cel_task_send_effects(task, &task->effects, err);
        cel_effects_clear(&task->effects);
    }
    return st;
}

static celery_outcome refuse(celery_task *task, const celery_error *err)
{
    const char *type =
        err->status == CELERY_EINVAL     ? "celery.exceptions.ImproperlyConfigured"
        : err->status == CELERY_EMESSAGE ? "celery.exceptions.InvalidTaskError"
        : err->status == CELERY_ENOMEM   ? "MemoryError"
                                         : "kombu.exceptions.OperationalError";
    return cel_task_fail_line(task, type, cel_slice_of(err->message));
}

celery_outcome celery_task_replace(celery_task *task, celery_sig *give_sig)
{
    celery_error err = {0};
    if (!give_sig) {
        return cel_task_fail_line(task, "celery.exceptions.ImproperlyConfigured",
                                  CEL_SLICE("no signature to replace the task with"));
    }
    celery_status st = replace(task, give_sig, &err);
    celery_sig_free(give_sig);
    if (st < 0) {
        return refuse(task, &err);
    }
    task->record = CEL_RECORD_IGNORE;
    task->replaced = true;
    return CELERY_IGNORED;
}
