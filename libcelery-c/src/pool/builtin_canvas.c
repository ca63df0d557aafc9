/* SPDX-License-Identifier: BSD-3-Clause */
/* The built-in tasks that send others; what they answer are result tuples. */
#include "canvas/canvas.h"
#include "pool/builtin.h"
#include "pool/task.h"
#include <stdio.h>

static celery_outcome refuse(celery_task *task, const celery_error *err)
{
    const char *type =
        err->status == CELERY_EMESSAGE || err->status == CELERY_EINVAL ? "ValueError"
        : err->status == CELERY_ENOMEM                                 ? "MemoryError"
                                       : "kombu.exceptions.OperationalError";
    return cel_task_fail_line(task, type, cel_slice_of(err->message));
}

/* A list of signatures, or a group. */
static const struct cel_node *listed(const struct cel_node *n)
{
    const struct cel_node *kwargs = cel_node_get(n, CEL_SLICE("kwargs"));
    const struct cel_node *tasks = cel_node_get(kwargs, CEL_SLICE("tasks"));
    return tasks ? tasks : n;
}

static celery_status read_list(celery_task *task, const struct cel_node *list,
                               const char *where, struct cel_sig ***ret,
                               celery_error *err)
{
    struct cel_sig **sigs =
        cel_arena_alloc(&task->arena, (list->size + 1) * sizeof *sigs);
    size_t n = 0;
    if (!sigs) {
        err->status = CELERY_ENOMEM;
        return CELERY_ENOMEM;
    }
    for (const struct cel_node *i = cel_node_first(list); i; i = i->next) {
        char path[64];
        snprintf(path, sizeof path, "%s[%zu]", where, n);
        celery_status st = cel_canvas_read(&task->arena, i, path, &sigs[n++], err);
        if (st < 0) {
            return st;
        }
    }
    *ret = sigs;
    return CELERY_OK;
}

/* chunks(task, it, n): a group of starmaps */
celery_outcome cel_builtin_chunks(celery_task *task)
{
    const celery_value *doc, *it;
    int64_t n;
    celery_error err = {0};
    struct cel_sig *sig = NULL;
    struct cel_node *result = NULL;
    if (celery_task_args(task, "task:v it:v n:I", &doc, &it, &n) < 0) {
        return CELERY_FAILED;
    }
    if (it->kind != CELERY_KIND_ARRAY || n <= 0) {
        return celery_task_fail(task, "ValueError",
                                "it is no list, or n is not positive");
    }
    if (cel_canvas_read(&task->arena, doc, "task", &sig, &err) < 0) {
        return refuse(task, &err);
    }
    struct cel_sig *chunks =
        cel_sig_map(&task->arena, sig, cel_node_copy(&task->arena, it), false, n);
    if (!chunks || cel_task_apply(task, chunks, NULL, NULL, &result, &err) < 0) {
        return refuse(task, &err);
    }
    return celery_task_return_value(task, result);
}

/* ---- celery.group, as producers before 3.1 sent it ---- */

static struct cel_node *group_options(celery_task *task, const struct cel_node *id)
{
    struct cel_arena *a = &task->arena;
    struct cel_node *options = cel_node_new(a, CELERY_KIND_OBJECT);
    if (!options ||
        cel_node_put(a, options, CEL_SLICE("group_id"), cel_node_copy(a, id)) < 0 ||
        cel_node_put(a, options, CEL_SLICE("add_to_parent"),
                     cel_node_new_bool(a, false)) < 0) {
        return NULL;
    }
    return options;
}

/* parent.add_trail(result) */
static celery_status add_trail(celery_task *task, const struct cel_node *result,
                               celery_error *err)
{
    struct cel_effects effects;
    struct cel_buf json = {0};
    cel_task_effects_init(&effects);
    celery_status st = cel_json_write(&json, result);
    if (st == CELERY_OK) {
        st =
            cel_effects_add(&effects, &(struct cel_effect){.kind = CEL_EFFECT_CHILD,
                                                           .json = cel_buf_slice(&json)});
    }
    if (st == CELERY_OK) {
        st = cel_task_send_effects(task, &effects, err);
    }
    cel_buf_fini(&json);
    cel_effects_fini(&effects);
    return st;
}

/* group(self, tasks, result, group_id, partial_args, add_to_parent=True) */
celery_outcome cel_builtin_group(celery_task *task)
{
    const celery_value *tasks, *result, *id, *partial;
    bool add_to_parent = true;
    celery_error err = {0};
    struct cel_sig **sigs;
    if (celery_task_args(task,
                         "tasks:v result:v group_id:v partial_args:v | add_to_parent:b",
                         &tasks, &result, &id, &partial, &add_to_parent) < 0) {
        return CELERY_FAILED;
    }
    tasks = listed(tasks);
    if (tasks->kind != CELERY_KIND_ARRAY) {
        return celery_task_fail(task, "ValueError", "tasks: no list of signatures");
    }
    struct cel_node *options = group_options(task, id);
    if (!options || read_list(task, tasks, "tasks", &sigs, &err) < 0) {
        return refuse(task, &err);
    }
    partial = partial->kind == CELERY_KIND_ARRAY ? partial : NULL;
    for (size_t i = 0; i < tasks->size; i++) {
        if (cel_task_apply(task, sigs[i], partial, options, NULL, &err) < 0) {
            return refuse(task, &err);
        }
    }
    if (add_to_parent && add_trail(task, result, &err) < 0) {
        return refuse(task, &err);
    }
    return celery_task_return_value(task, result);
}

/* ---- celery.chord ---- */

static struct cel_node *chord_options(celery_task *task, const struct cel_node *interval,
                                      const struct cel_node *max_retries)
{
    struct cel_arena *a = &task->arena;
    struct cel_node *options = cel_node_new(a, CELERY_KIND_OBJECT);
    if (options && !cel_node_is_null(interval)) {
        cel_node_put(a, options, CEL_SLICE("interval"), cel_node_copy(a, interval));
    }
    if (options && !cel_node_is_null(max_retries)) {
        cel_node_put(a, options, CEL_SLICE("max_retries"), cel_node_copy(a, max_retries));
    }
    return options;
}

/*
 * chord(self, header, body, partial_args=(), interval=None, countdown=1, max_retries=None,
 * eager=False, **kwargs).  countdown is for celery.chord_unlock, whose first look is always
 * after one second here.
 */
celery_outcome cel_builtin_chord(celery_task *task)
{
    const celery_value *header, *body, *partial = NULL, *interval = NULL;
    const celery_value *countdown, *max_retries = NULL, *eager;
    celery_error err = {0};
    struct cel_sig **sigs, *last = NULL;
    struct cel_node *result = NULL;
    if (celery_task_args(task,
                         "header:v body:v | partial_args:v interval:v countdown:v "
                         "max_retries:v eager:v **",
                         &header, &body, &partial, &interval, &countdown, &max_retries,
                         &eager) < 0) {
        return CELERY_FAILED;
    }
    header = listed(header);
    if (header->kind != CELERY_KIND_ARRAY) {
        return celery_task_fail(task, "ValueError", "header: no list of signatures");
    }
    if (read_list(task, header, "header", &sigs, &err) < 0 ||
        cel_canvas_read(&task->arena, body, "body", &last, &err) < 0) {
        return refuse(task, &err);
    }
    struct cel_sig *chord = cel_sig_chord(
        &task->arena, cel_sig_group(&task->arena, sigs, header->size), last);
    struct cel_node *options = chord_options(task, interval, max_retries);
    partial = partial && partial->kind == CELERY_KIND_ARRAY ? partial : NULL;
    if (!chord || !options ||
        cel_task_apply(task, chord, partial, options, &result, &err) < 0) {
        return refuse(task, &err);
    }
    return celery_task_return_value(task, result);
}
