/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: how a task ends. */
#include "base/utf8.h"
#include "pool/task.h"
#include <stdarg.h>
#include <stdio.h>

#define REPR_MAX 1024 /* celery/app/task.py Task.resultrepr_maxsize */

void cel_exception_split(struct cel_slice name, struct cel_slice *ret_module,
                         struct cel_slice *ret_type)
{
    size_t at = name.len;
    while (at > 0 && name.data[at - 1] != '.') {
        at--;
    }
    *ret_type = cel_slice(name.data + at, name.len - at);
    *ret_module = at > 1 ? cel_slice(name.data, at - 1) : CEL_SLICE("builtins");
}

/* ---- a value ---- */

/* NULL: there was no memory for the value. */
static celery_outcome succeed(celery_task *task, const struct cel_node *value)
{
    cel_buf_clear(&task->result);
    cel_buf_clear(&task->repr);
    task->record = CEL_RECORD_SUCCESS;
    if (!value) {
        task->result.failed = true;
        return CELERY_SUCCEEDED;
    }
    if (cel_json_write(&task->result, value) < 0) {
        task->result.failed = true;
    }
    if (task->job->want_repr &&
        cel_saferepr(&task->repr, value, REPR_MAX, 0, false) < 0) {
        task->repr.failed = true;
    }
    return CELERY_SUCCEEDED;
}

celery_outcome celery_task_return(celery_task *task, json_t *give_value)
{
    if (!give_value) {
        return celery_task_return_none(task);
    }
    celery_outcome outcome = succeed(task, cel_doc_from_json(&task->arena, give_value));
    json_decref(give_value);
    return outcome;
}

celery_outcome celery_task_return_int(celery_task *task, int64_t value)
{
    return succeed(task, cel_node_new_int(&task->arena, value));
}

celery_outcome celery_task_return_double(celery_task *task, double value)
{
    return succeed(task, cel_node_new_double(&task->arena, value));
}

celery_outcome celery_task_return_bool(celery_task *task, bool value)
{
    return succeed(task, cel_node_new_bool(&task->arena, value));
}

celery_outcome celery_task_return_none(celery_task *task)
{
    return succeed(task, cel_node_new(&task->arena, CELERY_KIND_NULL));
}

/* WTF-8, as cel_utf8_next() reads it. */
static bool is_text(struct cel_slice text)
{
    if (cel_utf8_valid(text)) { /* the usual case, and quick */
        return true;
    }
    for (size_t at = 0; at < text.len;) {
        if (cel_utf8_next(text, &at) < 0) {
            return false;
        }
    }
    return true;
}

static celery_outcome not_text(celery_task *task)
{
    return cel_task_fail_line(task, "ValueError",
                              CEL_SLICE("the task returned a string that is not UTF-8"));
}

celery_outcome celery_task_return_string(celery_task *task, const char *text, size_t len)
{
    struct cel_slice value = cel_slice(text, len);
    if (!is_text(value)) {
        return not_text(task);
    }
    if (len > UINT32_MAX) {
        return succeed(task, NULL);
    }
    /* It is written at once, so the node may point to the caller's text. */
    const struct cel_node node = {
        .kind = CELERY_KIND_STRING, .size = (uint32_t)len, .text = text};
    return succeed(task, &node);
}

celery_outcome celery_task_return_bytes(celery_task *task, const void *bytes, size_t len)
{
    return succeed(task, cel_node_new_bytes(&task->arena, cel_slice(bytes, len)));
}

celery_outcome celery_task_return_value(celery_task *task, const celery_value *value)
{
    return value ? succeed(task, value) : celery_task_return_none(task);
}

celery_outcome celery_task_return_text(celery_task *task, const char *json, size_t len)
{
    celery_error err = {0};
    struct cel_node *value = NULL;
    if (cel_json_parse(&task->arena, cel_slice(json, len), &task->limits.json, &value,
                       &err) < 0) {
        return celery_task_fail(task, "ValueError", "the task returned invalid JSON: %s",
                                err.message);
    }
    return succeed(task, value);
}

/* ---- an exception ---- */

void cel_task_set_exception(celery_task *task, const char *type,
                            const struct cel_node *args, const char *traceback)
{
    cel_buf_clear(&task->exc_name);
    cel_buf_clear(&task->exc_args);
    cel_buf_clear(&task->traceback);
    cel_buf_adds(&task->exc_name, type && *type ? type : "Exception");
    if (!args || cel_json_write(&task->exc_args, args) < 0) {
        task->exc_args.len = 0; /* run_task.c says what was the matter */
    }
    if (traceback) {
        cel_buf_adds(&task->traceback, traceback);
    }
}

/* [text]; bytes that are no text are replaced, since a failure must get through. */
static struct cel_node *one_text(celery_task *task, struct cel_slice text)
{
    struct cel_buf clean = {0};
    if (!is_text(text)) {
        cel_utf8_escape(&clean, text, 0);
        text = cel_buf_slice(&clean);
    }
    struct cel_node *args = cel_node_new(&task->arena, CELERY_KIND_ARRAY);
    if (args && cel_node_append(args, cel_node_new_string(&task->arena, text)) < 0) {
        args = NULL;
    }
    cel_buf_fini(&clean);
    return args;
}

celery_outcome cel_task_fail_line(celery_task *task, const char *type,
                                  struct cel_slice text)
{
    cel_task_set_exception(task, type, one_text(task, text), NULL);
    task->record = CEL_RECORD_FAILURE;
    return CELERY_FAILED;
}

void cel_task_set_formatted(celery_task *task, const char *type, const char *fmt,
                            va_list args)
{
    char stack[512];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(stack, sizeof stack, fmt, args);
    if (len < 0) {
        len = 0;
    }
    char *text = stack;
    if ((size_t)len >= sizeof stack) {
        text = cel_arena_alloc(&task->arena, (size_t)len + 1);
        if (text) {
            vsnprintf(text, (size_t)len + 1, fmt, again);
        }
    }
    va_end(again);
    cel_task_set_exception(
        task, type, text ? one_text(task, cel_slice(text, (size_t)len)) : NULL, NULL);
}

celery_outcome celery_task_fail(celery_task *task, const char *type, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    cel_task_set_formatted(task, type, fmt, args);
    va_end(args);
    task->record = CEL_RECORD_FAILURE;
    return CELERY_FAILED;
}

celery_outcome celery_task_fail_args(celery_task *task, const char *type,
                                     json_t *give_args, const char *traceback)
{
    struct cel_node *args;
    if (give_args && json_is_array(give_args)) {
        args = cel_doc_from_json(&task->arena, give_args);
    } else {
        args = cel_node_new(&task->arena, CELERY_KIND_ARRAY);
        if (give_args && args &&
            cel_node_append(args, cel_doc_from_json(&task->arena, give_args)) < 0) {
            args = NULL;
        }
    }
    json_decref(give_args);
    cel_task_set_exception(task, type, args, traceback);
    task->record = CEL_RECORD_FAILURE;
    return CELERY_FAILED;
}

celery_outcome celery_task_fail_text(celery_task *task, const char *type,
                                     const char *args_json, size_t len,
                                     const char *traceback)
{
    struct cel_node *args = NULL;
    struct cel_slice text = cel_slice(args_json, len);
    if (cel_json_parse(&task->arena, text, &task->limits.json, &args, NULL) < 0) {
        args = one_text(task, text);
    } else if (args->kind != CELERY_KIND_ARRAY) {
        struct cel_node *only = args;
        args = cel_node_new(&task->arena, CELERY_KIND_ARRAY);
        if (args && cel_node_append(args, only) < 0) {
            args = NULL;
        }
    }
    cel_task_set_exception(task, type, args, traceback);
    task->record = CEL_RECORD_FAILURE;
    return CELERY_FAILED;
}

/* ---- the rest ---- */

celery_outcome celery_task_ignore(celery_task *task)
{
    task->replaced = false;
    task->record = CEL_RECORD_IGNORE;
    return CELERY_IGNORED;
}

celery_outcome celery_task_reject(celery_task *task, bool requeue, const char *reason)
{
    cel_buf_clear(&task->reason);
    if (reason) {
        cel_buf_adds(&task->reason, reason);
    }
    task->record = requeue ? CEL_RECORD_REQUEUE : CEL_RECORD_REJECT;
    return CELERY_REJECTED;
}
