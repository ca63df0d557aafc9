/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"
#include "pool/builtin.h"
#include "pool/task.h"

/* ---- celery.accumulate: the body of the chord that replaces a task by a group ---- */

/* Of the JSON text of an integer: its place in a tuple of size elements, or -1. */
static int64_t place(const struct cel_node *index, int64_t size)
{
    int64_t i = index->kind == CELERY_KIND_TRUE ? 1 : cel_node_int(index, size);
    if (index->kind == CELERY_KIND_FALSE) {
        i = 0;
    }
    i += i < 0 ? size : 0;
    return i >= 0 && i < size ? i : -1;
}

static const char *type_name(const struct cel_node *n)
{
    switch (n->kind) {
    case CELERY_KIND_NULL:
        return "NoneType";
    case CELERY_KIND_FALSE:
    case CELERY_KIND_TRUE:
        return "bool";
    case CELERY_KIND_INT:
        return "int";
    case CELERY_KIND_FLOAT:
        return "float";
    case CELERY_KIND_STRING:
        return "str";
    case CELERY_KIND_BYTES:
        return "bytes";
    case CELERY_KIND_ARRAY:
        return "list";
    default:
        return "dict";
    }
}

celery_outcome cel_builtin_chord_unlock(celery_task *task)
{
    return celery_task_fail(task, "RuntimeError",
                            "celery.chord_unlock is run by a worker, not by its pool");
}

/* accumulate(self, *args, **kwargs) */
celery_outcome cel_builtin_accumulate(celery_task *task)
{
    const struct cel_node *args = task->call.args;
    const struct cel_node *index = cel_node_get(task->call.kwargs, CEL_SLICE("index"));
    if (cel_node_is_null(index)) {
        return celery_task_return_value(task, args);
    }
    if (index->kind != CELERY_KIND_INT && index->kind != CELERY_KIND_TRUE &&
        index->kind != CELERY_KIND_FALSE) {
        return celery_task_fail(task, "TypeError",
                                "tuple indices must be integers or slices, not %s",
                                type_name(index));
    }
    int64_t i = place(index, args->size);
    if (i < 0) {
        return celery_task_fail(task, "IndexError", "tuple index out of range");
    }
    return celery_task_return_value(task, celery_value_at(args, (size_t)i));
}

/* ---- celery.map, celery.starmap: a task for each item, in place ---- */

/* signature(task).type: a dict with the name, or the name. */
static const struct cel_task_def *find_type(celery_task *task, const struct cel_node *sig)
{
    const struct cel_node *name =
        cel_node_is_string(sig) ? sig : cel_node_get(sig, CEL_SLICE("task"));
    if (!cel_node_is_string(name)) {
        celery_task_fail(task, "TypeError", "the task of a map is no signature");
        return NULL;
    }
    const struct cel_task_def *def = cel_app_find_task(task->app, cel_node_text(name));
    if (!def) {
        cel_task_fail_line(task, "celery.exceptions.NotRegistered", cel_node_text(name));
    }
    return def;
}

static struct cel_node *shallow(celery_task *task, const struct cel_node *n)
{
    struct cel_node *copy = cel_node_new(&task->arena, (celery_kind)n->kind);
    if (copy) {
        *copy = *n;
        copy->next = NULL;
    }
    return copy;
}

/* The positional arguments of one call: the item, or what is in it. */
static const struct cel_node *item_args(celery_task *task, const struct cel_node *item,
                                        bool star)
{
    if (star && item->kind == CELERY_KIND_ARRAY) {
        return item;
    }
    if (star) {
        celery_task_fail(task, "TypeError",
                         "argument after * must be an iterable, not %s", type_name(item));
        return NULL;
    }
    struct cel_node *args = cel_node_new(&task->arena, CELERY_KIND_ARRAY);
    if (!args || cel_node_append(args, shallow(task, item)) < 0) {
        cel_task_fail_line(task, "MemoryError", CEL_SLICE("out of memory"));
        return NULL;
    }
    return args;
}

static bool call_each(celery_task *task, const struct cel_task_def *def,
                      const struct cel_node *items, bool star, struct cel_buf *out)
{
    celery_task *inner = cel_task_inner_new(task);
    bool going = inner;
    cel_buf_addc(out, '[');
    for (const struct cel_node *i = cel_node_first(items); i && going; i = i->next) {
        const struct cel_node *args = item_args(task, i, star);
        going = args && cel_task_inner_call(inner, def, args, out);
        cel_buf_adds(out, i->next ? ", " : "");
    }
    cel_buf_addc(out, ']');
    cel_task_inner_free(inner);
    return going;
}

/* What the record says when a call ended otherwise than well. */
static celery_outcome told(const celery_task *task)
{
    switch (task->record) {
    case CEL_RECORD_IGNORE:
        return CELERY_IGNORED;
    case CEL_RECORD_REJECT:
    case CEL_RECORD_REQUEUE:
        return CELERY_REJECTED;
    default:
        return CELERY_FAILED;
    }
}

static celery_outcome map(celery_task *task, bool star)
{
    const celery_value *sig, *items;
    if (celery_task_args(task, "task:v it:v", &sig, &items) < 0) {
        return CELERY_FAILED;
    }
    const struct cel_task_def *def = find_type(task, sig);
    if (!def) {
        return CELERY_FAILED;
    }
    if (items->kind != CELERY_KIND_ARRAY) {
        return celery_task_fail(task, "TypeError", "'%s' object is not a list of items",
                                type_name(items));
    }
    struct cel_buf out = {0};
    celery_outcome outcome = CELERY_FAILED;
    if (!call_each(task, def, items, star, &out)) {
        outcome = told(task);
    } else if (!cel_buf_ok(&out)) {
        cel_task_fail_line(task, "MemoryError", CEL_SLICE("no memory for the results"));
    } else {
        outcome = celery_task_return_text(task, out.data, out.len);
    }
    cel_buf_fini(&out);
    return outcome;
}

celery_outcome cel_builtin_map(celery_task *task)
{
    return map(task, false);
}

celery_outcome cel_builtin_starmap(celery_task *task)
{
    return map(task, true);
}

/* ---- the others ---- */

celery_outcome cel_builtin_chain(celery_task *task)
{
    return celery_task_fail(task, "NotImplementedError", "chain is not a real task");
}

/*
 * app.backend.cleanup() where what is stored expires by itself, or nothing is stored; otherwise the
 * worker runs it (worker/cleanup.h).
 */
celery_outcome cel_builtin_backend_cleanup(celery_task *task)
{
    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_none(task);
}
