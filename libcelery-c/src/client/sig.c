/* SPDX-License-Identifier: BSD-3-Clause */
/* Signatures as handles: one task, its arguments, and the memory of a whole tree. */
#include "client/sig.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/utf8.h"
#include "client/client.h"

void cel_sig_fail(celery_sig *sig, celery_status status, const char *text)
{
    if (sig->failed.status == CELERY_OK) {
        cel_error_set(&sig->failed, status, "%s: %s", sig->task ? sig->task : "signature",
                      text);
    }
}

/* ---- handles ---- */

celery_sig *cel_sig_empty(celery_error *err)
{
    celery_sig *sig = cel_calloc(1, sizeof *sig);
    if (!sig) {
        cel_error_nomem(err);
        return NULL;
    }
    cel_list_init(&sig->parts);
    cel_list_init(&sig->node);
    return sig;
}

static void free_one(celery_sig *sig)
{
    cel_arena_fini(&sig->arena);
    cel_free(sig);
}

void celery_sig_free(celery_sig *sig)
{
    struct cel_list *first;
    if (!sig) {
        return;
    }
    while ((first = cel_list_first(&sig->parts)) != NULL) {
        cel_list_remove(first);
        free_one(cel_container_of(first, celery_sig, node));
    }
    free_one(sig);
}

/* Flat, so that freeing what is nested deep is no recursion. */
void cel_sig_own_part(celery_sig *whole, celery_sig *give_part)
{
    struct cel_list *head = &whole->parts, *more = &give_part->parts;
    if (give_part->failed.status < 0 && whole->failed.status == CELERY_OK) {
        whole->failed = give_part->failed;
    }
    if (!cel_list_empty(more)) {
        more->next->prev = head->prev;
        head->prev->next = more->next;
        more->prev->next = head;
        head->prev = more->prev;
        cel_list_init(more);
    }
    cel_list_append(head, &give_part->node);
}

celery_sig *cel_sig_finish(celery_sig *give_sig, struct cel_sig *tree, celery_error *err)
{
    struct cel_slice name = cel_sig_task_name(tree);
    give_sig->tree = tree;
    give_sig->task =
        tree ? cel_arena_strndup(&give_sig->arena, name.data, name.len) : NULL;
    if (!give_sig->task) {
        cel_error_nomem(err);
        celery_sig_free(give_sig);
        return NULL;
    }
    return give_sig;
}

const struct cel_sig *cel_sig_tree(const celery_sig *sig, celery_error *err)
{
    if (sig && sig->failed.status < 0) {
        cel_error_set(err, sig->failed.status, "%s", sig->failed.message);
        return NULL;
    }
    return sig ? sig->tree : NULL;
}

/* ---- a task ---- */

static celery_sig *new_sig(const char *task, celery_error *err)
{
    if (!task || !*task || !cel_utf8_valid(cel_slice_of(task))) {
        cel_error_set(err, CELERY_EINVAL,
                      task && *task ? "the task's name is not UTF-8"
                                    : "a call needs the name of its task");
        return NULL;
    }
    celery_sig *sig = cel_sig_empty(err);
    if (!sig) {
        return NULL;
    }
    sig->task = cel_arena_strndup(&sig->arena, task, strlen(task));
    if (sig->task) {
        sig->tree =
            cel_sig_task(&sig->arena, cel_slice_of(sig->task), NULL, NULL, NULL, false);
    }
    if (!sig->tree) {
        cel_error_nomem(err);
        celery_sig_free(sig);
        return NULL;
    }
    return sig;
}

json_t *cel_sig_pack(const char *fmt, va_list args_list, celery_error *err)
{
    json_error_t why;
    json_t *value = json_vpack_ex(&why, 0, fmt, args_list);
    if (!value) {
        cel_error_set(err, CELERY_EINVAL, "arguments \"%s\": %s", fmt, why.text);
    }
    return value;
}

celery_sig *cel_sig_newv(const char *task, celery_error *err, const char *fmt,
                         va_list args_list)
{
    json_t *args = NULL;
    if (fmt && *fmt) {
        args = cel_sig_pack(fmt, args_list, err);
        if (!args) {
            return NULL;
        }
    }
    celery_sig *sig = new_sig(task, err);
    if (!sig) {
        json_decref(args);
        return NULL;
    }
    if (args) {
        celery_sig_set_args(sig, args);
    }
    if (sig->failed.status < 0) {
        cel_error_set(err, sig->failed.status, "%s", sig->failed.message);
        celery_sig_free(sig);
        return NULL;
    }
    return sig;
}

celery_sig *celery_sig_new(const char *task, celery_error *err, const char *fmt, ...)
{
    va_list args_list;
    va_start(args_list, fmt);
    celery_sig *sig = cel_sig_newv(task, err, fmt, args_list);
    va_end(args_list);
    return sig;
}

/* The text stays in the arena: nodes point into it. */
celery_status cel_sig_parse(celery_sig *sig, const char *json, struct cel_node **ret_node,
                            celery_error *err)
{
    size_t len = json ? strlen(json) : 0;
    char *copy = json ? cel_arena_strndup(&sig->arena, json, len) : NULL;
    if (!copy) {
        return json ? cel_error_nomem(err)
                    : cel_error_set(err, CELERY_EINVAL, "no JSON text given");
    }
    return cel_json_parse(&sig->arena, cel_slice(copy, len), NULL, ret_node, err);
}

/* ---- arguments ---- */

enum which { ARGS, KWARGS };

static void set(celery_sig *sig, enum which which, struct cel_node *node)
{
    if (which == KWARGS && *celery_sig_type(sig)) {
        cel_sig_fail(sig, CELERY_EINVAL, "only a task has keyword arguments");
    } else if (!node) {
        cel_sig_fail(sig, CELERY_ENOMEM, "out of memory");
    } else if (which == ARGS) {
        cel_sig_set_args(sig->tree, node);
    } else {
        cel_sig_set_kwargs(sig->tree, node);
    }
}

/* What is wrong with the kind of a value; NULL: nothing. */
static const char *wrong_kind(enum which which, bool array, bool object)
{
    if (which == ARGS) {
        return array ? NULL : "positional arguments are an array: \"[...]\"";
    }
    return object ? NULL : "keyword arguments are an object: \"{...}\"";
}

/* Takes value; NULL (out of memory in the caller's expression) is a failure too. */
static void set_json(celery_sig *sig, enum which which, json_t *give_value)
{
    const char *wrong = give_value ? wrong_kind(which, json_is_array(give_value),
                                                json_is_object(give_value))
                                   : "no JSON value given";
    if (sig && wrong) {
        cel_sig_fail(sig, CELERY_EINVAL, wrong);
    } else if (sig) {
        set(sig, which, cel_doc_from_json(&sig->arena, give_value));
    }
    json_decref(give_value);
}

void celery_sig_set_args(celery_sig *sig, json_t *give_args)
{
    set_json(sig, ARGS, give_args);
}

void celery_sig_set_kwargs(celery_sig *sig, json_t *give_kwargs)
{
    set_json(sig, KWARGS, give_kwargs);
}

static celery_status set_text(celery_sig *sig, enum which which, const char *json,
                              celery_error *err)
{
    struct cel_node *node = NULL;
    celery_error why = {0};
    celery_status status = cel_sig_parse(sig, json, &node, &why);
    if (status == CELERY_OK) {
        const char *wrong = wrong_kind(which, node->kind == CELERY_KIND_ARRAY,
                                       node->kind == CELERY_KIND_OBJECT);
        status = wrong ? cel_error_set(&why, CELERY_EINVAL, "%s", wrong) : CELERY_OK;
    }
    if (status < 0) {
        cel_sig_fail(sig, status, why.message);
        return cel_error_set(err, status, "%s", why.message);
    }
    set(sig, which, node);
    return CELERY_OK;
}

celery_status celery_sig_set_args_text(celery_sig *sig, const char *json,
                                       celery_error *err)
{
    return sig ? set_text(sig, ARGS, json, err) : CELERY_EINVAL;
}

celery_status celery_sig_set_kwargs_text(celery_sig *sig, const char *json,
                                         celery_error *err)
{
    return sig ? set_text(sig, KWARGS, json, err) : CELERY_EINVAL;
}

/* ---- what it is ---- */

const char *celery_sig_task(const celery_sig *sig)
{
    return sig ? sig->task : NULL;
}

const char *celery_sig_type(const celery_sig *sig)
{
    /* A constant of the layer below. */
    return sig ? cel_sig_type(sig->tree).data : NULL;
}
