/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/backends/base.py _call_task_errbacks(). */
#include "canvas/failing.h"
#include "message/meta.h"

const struct cel_node *cel_failing_list(struct cel_arena *a, const struct cel_node *n)
{
    if (!cel_node_truth(n) || n->kind == CELERY_KIND_ARRAY) {
        return cel_node_truth(n) ? n : NULL;
    }
    struct cel_node *list = cel_node_new(a, CELERY_KIND_ARRAY);

    return cel_node_append(list, cel_node_copy(a, n)) == CELERY_OK ? list : NULL;
}

static struct cel_node *text_node(struct cel_arena *a, struct cel_slice text)
{
    return text.len > 0 ? cel_node_new_string(a, text)
                        : cel_node_new(a, CELERY_KIND_NULL);
}

static struct cel_node *ids(struct cel_failing *f, const struct cel_failed *who)
{
    struct cel_node *o = cel_node_new(f->a, CELERY_KIND_OBJECT);
    struct cel_slice root = who->root_id.len ? who->root_id : who->id;

    if (o &&
        (cel_node_put(f->a, o, CEL_SLICE("parent_id"), text_node(f->a, who->id)) < 0 ||
         cel_node_put(f->a, o, CEL_SLICE("root_id"), text_node(f->a, root)) < 0)) {
        o = NULL;
    }
    return o;
}

static void apply(struct cel_failing *f, const struct cel_sig *sig,
                  const struct cel_node *args, const struct cel_node *options)
{
    celery_error err = {0};
    struct cel_node *tuple = NULL;

    if (!sig || !args || !options) {
        f->nomem = true;
        return;
    }
    cel_failing_note(
        f, cel_sig_apply(f->c, f->a, sig, args, NULL, options, f->effects, &tuple, &err),
        &err);
}

/* A task of this app that takes (request, exc, traceback): option new_style_errback. */
static bool is_new_style(const struct cel_failing *f, const struct cel_sig *sig)
{
    const struct cel_task_def *def =
        f->c->app ? cel_app_find_task(f->c->app, cel_sig_task_name(sig)) : NULL;

    return def && def->new_style_errback == CEL_YES;
}

/* The request as far as it can be told in JSON. */
static struct cel_node *request_doc(struct cel_failing *f, const struct cel_failed *who)
{
    struct cel_arena *a = f->a;
    struct cel_node *o = cel_node_new(a, CELERY_KIND_OBJECT);
    const struct {
        const char *key;
        struct cel_node *value;
    } members[] = {
        {"id", text_node(a, who->id)},
        {"task", text_node(a, who->task)},
        {"args",
         who->args ? cel_node_copy(a, who->args) : cel_node_new(a, CELERY_KIND_ARRAY)},
        {"kwargs", who->kwargs ? cel_node_copy(a, who->kwargs)
                               : cel_node_new(a, CELERY_KIND_OBJECT)},
        {"root_id", text_node(a, who->root_id.len ? who->root_id : who->id)},
        {"parent_id", text_node(a, who->parent_id)},
        {"group", text_node(a, who->group)},
        {"retries", cel_node_new_int(a, who->retries)},
    };

    for (size_t i = 0; o && i < sizeof members / sizeof members[0]; i++) {
        if (cel_node_put(a, o, cel_slice_of(members[i].key), members[i].value) < 0) {
            o = NULL;
        }
    }
    return o;
}

static struct cel_node *exc_doc(struct cel_failing *f)
{
    struct cel_buf json = {0};
    struct cel_node *doc = NULL;

    cel_exception_write(&json, f->exc->type, f->exc->args_json, f->exc->module);
    char *text = cel_buf_ok(&json) ? cel_arena_strndup(f->a, json.data, json.len) : NULL;

    if (text) {
        cel_json_parse(f->a, cel_slice(text, json.len), NULL, &doc, NULL);
    }
    cel_buf_fini(&json);
    return doc;
}

/*
 * Celery calls these in the worker's process; here they are published as tasks of their own, so
 * that nothing runs where nobody watches it.
 */
static void send_new_style(struct cel_failing *f, const struct cel_sig *sig,
                           const struct cel_failed *who)
{
    struct cel_node *args = cel_node_new(f->a, CELERY_KIND_ARRAY);
    struct cel_node *traceback = f->exc->traceback.len
                                     ? cel_node_new_string(f->a, f->exc->traceback)
                                     : cel_node_new(f->a, CELERY_KIND_NULL);

    if (!args || cel_node_append(args, request_doc(f, who)) < 0 ||
        cel_node_append(args, exc_doc(f)) < 0 || cel_node_append(args, traceback) < 0) {
        f->nomem = true;
        return;
    }
    apply(f, sig, args, ids(f, who));
}

void cel_failing_call_errbacks(struct cel_failing *f, const struct cel_failed *who,
                               const struct cel_node *errbacks)
{
    const struct cel_node *list = cel_failing_list(f->a, errbacks);
    struct cel_sig **old =
        list ? cel_arena_alloc(f->a, (size_t)list->size * sizeof(struct cel_sig *))
             : NULL;
    size_t n = 0;

    if (!list) {
        return;
    }
    if (!old) {
        f->nomem = true;
        return;
    }
    for (const struct cel_node *k = cel_node_first(list); k; k = k->next) {
        celery_error err = {0};
        struct cel_sig *sig = NULL;
        celery_status status = cel_canvas_read(f->a, k, "errbacks", &sig, &err);

        cel_failing_note(f, status, &err);
        if (status == CELERY_OK && is_new_style(f, sig)) {
            send_new_style(f, sig, who);
        } else if (status == CELERY_OK) {
            old[n++] = sig;
        }
    }
    if (n > 0) {
        struct cel_node *args = cel_node_new(f->a, CELERY_KIND_ARRAY);

        if (!args || cel_node_append(args, text_node(f->a, who->id)) < 0) {
            f->nomem = true;
            return;
        }
        apply(f, cel_sig_group(f->a, old, n), args, ids(f, who));
    }
}
