/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: what the task may ask about its request (celery/app/task.py Context). */
#include "base/error.h"
#include "codec/json_raw.h"
#include "pool/task.h"
#include <limits.h>

/* Copies are made on demand: most tasks ask for none. */
static const char *text_of(const celery_task *task, enum cel_task_text which,
                           struct cel_slice text)
{
    celery_task *mine = (celery_task *)task;
    if (!text.data) {
        return NULL;
    }
    if (!mine->texts[which]) {
        mine->texts[which] = cel_arena_strndup(&mine->arena, text.data, text.len);
    }
    return mine->texts[which];
}

const char *celery_task_id(const celery_task *task)
{
    return text_of(task, CEL_TEXT_ID, task->call.id);
}

const char *celery_task_name(const celery_task *task)
{
    return task->job->task->name;
}

const char *celery_task_root_id(const celery_task *task)
{
    return text_of(task, CEL_TEXT_ROOT_ID, task->call.root_id);
}

const char *celery_task_parent_id(const celery_task *task)
{
    return text_of(task, CEL_TEXT_PARENT_ID, task->call.parent_id);
}

const char *celery_task_group_id(const celery_task *task)
{
    return text_of(task, CEL_TEXT_GROUP, task->call.group);
}

const char *celery_task_hostname(const celery_task *task)
{
    return task->hostname;
}

const char *celery_task_eta(const celery_task *task)
{
    return text_of(task, CEL_TEXT_ETA, task->call.eta);
}

const char *celery_task_expires(const celery_task *task)
{
    return text_of(task, CEL_TEXT_EXPIRES, task->call.expires);
}

const char *celery_task_correlation_id(const celery_task *task)
{
    return text_of(task, CEL_TEXT_CORRELATION_ID, task->job->correlation_id);
}

const char *celery_task_reply_to(const celery_task *task)
{
    return text_of(task, CEL_TEXT_REPLY_TO, task->job->reply_to);
}

const char *celery_task_exchange(const celery_task *task)
{
    return text_of(task, CEL_TEXT_EXCHANGE, task->job->exchange);
}

const char *celery_task_routing_key(const celery_task *task)
{
    return text_of(task, CEL_TEXT_ROUTING_KEY, task->job->routing_key);
}

int celery_task_priority(const celery_task *task)
{
    return task->job->priority;
}

bool celery_task_redelivered(const celery_task *task)
{
    return task->job->redelivered;
}

int celery_task_retries(const celery_task *task)
{
    return task->call.retries > INT_MAX ? INT_MAX : (int)task->call.retries;
}

/* The JSON object a text begins with; what follows it is cut off. */
static struct cel_slice first_object(struct cel_slice text)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            return cel_slice(text.data, i + 1);
        }
    }
    return text;
}

const struct cel_node *cel_task_headers(celery_task *task)
{
    if (!task->headers_read) {
        task->headers_read = true;
        struct cel_node *headers = NULL;
        struct cel_slice text = first_object(task->job->headers);
        if (text.len > 0 &&
            cel_json_parse(&task->arena, text, &task->limits.json, &headers, NULL) >= 0) {
            task->headers = headers;
        }
    }
    return task->headers;
}

const celery_value *celery_task_header(celery_task *task, const char *name)
{
    return cel_node_get(cel_task_headers(task), cel_slice_of(name));
}

bool celery_task_called_directly(const celery_task *task)
{
    return task->outer;
}

int64_t celery_task_group_index(const celery_task *task)
{
    return task->call.group_index;
}

double celery_task_time_limit(const celery_task *task)
{
    return task->job->hard_limit;
}

double celery_task_soft_time_limit(const celery_task *task)
{
    return task->job->soft_limit;
}

/* ---- what only headers say ---- */

static const char *header_text(celery_task *task, enum cel_task_text which,
                               const char *name)
{
    const struct cel_node *n = cel_node_get(cel_task_headers(task), cel_slice_of(name));
    return cel_node_is_string(n) ? text_of(task, which, cel_node_text(n)) : NULL;
}

const char *celery_task_origin(celery_task *task)
{
    return header_text(task, CEL_TEXT_ORIGIN, "origin");
}

const char *celery_task_shadow(celery_task *task)
{
    return header_text(task, CEL_TEXT_SHADOW, "shadow");
}

const char *celery_task_argsrepr(celery_task *task)
{
    return header_text(task, CEL_TEXT_ARGSREPR, "argsrepr");
}

const char *celery_task_kwargsrepr(celery_task *task)
{
    return header_text(task, CEL_TEXT_KWARGSREPR, "kwargsrepr");
}

int64_t celery_task_replaced_nesting(celery_task *task)
{
    int64_t n = cel_node_int(
        cel_node_get(cel_task_headers(task), CEL_SLICE("replaced_task_nesting")), 0);
    return n > 0 ? n : 0;
}

bool celery_task_ignores_result(celery_task *task)
{
    const struct cel_node *n =
        cel_node_get(cel_task_headers(task), CEL_SLICE("ignore_result"));
    return cel_node_is_null(n)
               ? cel_task_option(task->app, task->job->task->ignore_result,
                                 "task_ignore_result")
               : cel_node_truth(n);
}

const celery_value *celery_task_stamps(celery_task *task)
{
    const struct cel_node *n = cel_node_get(cel_task_headers(task), CEL_SLICE("stamps"));
    return n && n->kind == CELERY_KIND_OBJECT ? n : NULL;
}

/* ---- what the body carries beside the arguments ---- */

const celery_value *celery_task_callbacks(const celery_task *task)
{
    return cel_node_get(task->call.embed, CEL_SLICE("callbacks"));
}

const celery_value *celery_task_errbacks(const celery_task *task)
{
    return cel_node_get(task->call.embed, CEL_SLICE("errbacks"));
}

const celery_value *celery_task_chain(const celery_task *task)
{
    celery_task *t = (celery_task *)task; /* what is passed on unread is read now */
    const struct cel_node *embed = cel_json_whole(&t->arena, t->call.embed, NULL);

    if (embed) {
        t->call.embed = embed;
    }
    return cel_node_get(embed, CEL_SLICE("chain"));
}

const celery_value *celery_task_chord(const celery_task *task)
{
    return cel_node_get(task->call.embed, CEL_SLICE("chord"));
}

void *celery_task_context(const celery_task *task)
{
    return task->job->task->context;
}

/* ---- the arguments as values ---- */

const json_t *celery_task_json(celery_task *task, celery_error *err)
{
    if (task->json) {
        return task->json;
    }
    json_t *args = cel_doc_to_json(task->call.args, "args", err);
    json_t *kwargs = args ? cel_doc_to_json(task->call.kwargs, "kwargs", err) : NULL;
    if (!kwargs) {
        json_decref(args);
        return NULL;
    }
    json_t *both = json_array();
    if (json_array_append_new(both, args) != 0 ||
        json_array_append_new(both, kwargs) != 0) {
        json_decref(both);
        cel_error_nomem(err);
        return NULL;
    }
    task->json = both;
    return both;
}

const celery_value *celery_task_positional(celery_task *task)
{
    return task->call.args;
}

const celery_value *celery_task_keywords(celery_task *task)
{
    return task->call.kwargs;
}
