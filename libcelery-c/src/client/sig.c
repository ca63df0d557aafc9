/* SPDX-License-Identifier: BSD-3-Clause */
/* A call and its options. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "base/utf8.h"
#include "client/client.h"
#include "codec/codec.h"
#include <math.h>

/* Years; what is longer does not fit into a date. */
static const double SECONDS_MAX = 3e11;

static void fail(celery_sig *sig, celery_status status, const char *text)
{
    if (sig->failed.status == CELERY_OK) {
        cel_error_set(&sig->failed, status, "%s: %s", sig->task ? sig->task : "signature",
                      text);
    }
}

static celery_sig *new_sig(const char *task, celery_error *err)
{
    if (!task || !*task) {
        cel_error_set(err, CELERY_EINVAL, "a call needs the name of its task");
        return NULL;
    }
    celery_sig *sig = cel_calloc(1, sizeof *sig);
    if (!sig) {
        cel_error_nomem(err);
        return NULL;
    }
    sig->priority = -1;
    sig->countdown = -1;
    sig->eta_us = INT64_MIN;
    sig->expires_us = INT64_MIN;
    sig->ignore_result = CEL_UNSET;
    sig->time_limit = -1;
    sig->soft_time_limit = -1;
    sig->task = cel_arena_strndup(&sig->arena, task, strlen(task));
    if (!sig->task || !cel_utf8_valid(cel_slice_of(task))) {
        cel_error_set(err, sig->task ? CELERY_EINVAL : CELERY_ENOMEM,
                      sig->task ? "the task's name is not UTF-8" : "out of memory");
        celery_sig_free(sig);
        return NULL;
    }
    return sig;
}

static json_t *pack(const char *fmt, va_list args_list, celery_error *err)
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
        args = pack(fmt, args_list, err);
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

const char *celery_sig_task(const celery_sig *sig)
{
    return sig ? sig->task : NULL;
}

void celery_sig_free(celery_sig *sig)
{
    if (sig) {
        cel_arena_fini(&sig->arena);
        cel_free(sig);
    }
}

/* ---- arguments ---- */

/* Takes value; NULL (out of memory in the caller's expression) is a failure too. */
static void set_json(celery_sig *sig, struct cel_node **field, json_t *give_value,
                     celery_kind kind)
{
    if (sig && !give_value) {
        fail(sig, CELERY_EINVAL, "no JSON value given");
    } else if (sig && (kind == CELERY_KIND_ARRAY ? !json_is_array(give_value)
                                                 : !json_is_object(give_value))) {
        fail(sig, CELERY_EINVAL,
             kind == CELERY_KIND_ARRAY ? "positional arguments are an array: \"[...]\""
                                       : "keyword arguments are an object: \"{...}\"");
    } else if (sig) {
        struct cel_node *node = cel_doc_from_json(&sig->arena, give_value);
        if (node) {
            *field = node;
        } else {
            fail(sig, CELERY_ENOMEM, "out of memory");
        }
    }
    json_decref(give_value);
}

void celery_sig_set_args(celery_sig *sig, json_t *give_args)
{
    set_json(sig, sig ? &sig->args : NULL, give_args, CELERY_KIND_ARRAY);
}

void celery_sig_set_kwargs(celery_sig *sig, json_t *give_kwargs)
{
    set_json(sig, sig ? &sig->kwargs : NULL, give_kwargs, CELERY_KIND_OBJECT);
}

/* The text stays in the arena: nodes point into it. */
static celery_status set_text(celery_sig *sig, struct cel_node **field, const char *json,
                              celery_kind kind, celery_error *err)
{
    celery_error why = {0};
    struct cel_node *node = NULL;
    size_t len = json ? strlen(json) : 0;
    char *copy = json ? cel_arena_strndup(&sig->arena, json, len) : NULL;
    celery_status status = CELERY_OK;
    if (!copy) {
        status = json ? cel_error_nomem(&why)
                      : cel_error_set(&why, CELERY_EINVAL, "no JSON text given");
    } else {
        status = cel_json_parse(&sig->arena, cel_slice(copy, len), NULL, &node, &why);
    }
    if (status == CELERY_OK && node->kind != kind) {
        status = cel_error_set(&why, CELERY_EINVAL, "%s",
                               kind == CELERY_KIND_ARRAY
                                   ? "positional arguments are an array: [...]"
                                   : "keyword arguments are an object: {...}");
    }
    if (status < 0) {
        fail(sig, status, why.message);
        return cel_error_set(err, status, "%s", why.message);
    }
    *field = node;
    return CELERY_OK;
}

celery_status celery_sig_set_args_text(celery_sig *sig, const char *json,
                                       celery_error *err)
{
    return sig ? set_text(sig, &sig->args, json, CELERY_KIND_ARRAY, err) : CELERY_EINVAL;
}

celery_status celery_sig_set_kwargs_text(celery_sig *sig, const char *json,
                                         celery_error *err)
{
    return sig ? set_text(sig, &sig->kwargs, json, CELERY_KIND_OBJECT, err)
               : CELERY_EINVAL;
}

/* ---- options ---- */

/* NULL unsets. */
static void keep(celery_sig *sig, const char **field, const char *text)
{
    if (text && !cel_utf8_valid(cel_slice_of(text))) {
        fail(sig, CELERY_EINVAL, "an option is not UTF-8");
        return;
    }
    *field = text ? cel_arena_strndup(&sig->arena, text, strlen(text)) : NULL;
    if (text && !*field) {
        fail(sig, CELERY_ENOMEM, "out of memory");
    }
}

void celery_sig_set_task_id(celery_sig *sig, const char *id)
{
    if (sig) {
        keep(sig, &sig->id, id && *id ? id : NULL);
    }
}

void celery_sig_set_queue(celery_sig *sig, const char *queue)
{
    if (sig) {
        keep(sig, &sig->queue, queue);
    }
}

void celery_sig_set_exchange(celery_sig *sig, const char *exchange)
{
    if (sig) {
        keep(sig, &sig->exchange, exchange);
    }
}

void celery_sig_set_routing_key(celery_sig *sig, const char *key)
{
    if (sig) {
        keep(sig, &sig->routing_key, key);
    }
}

void celery_sig_set_priority(celery_sig *sig, int priority)
{
    if (!sig) {
        return;
    }
    if (priority < 0 || priority > 9) {
        fail(sig, CELERY_EINVAL, "the priority is not 0 to 9");
    } else {
        sig->priority = priority;
    }
}

static bool is_duration(double seconds)
{
    return isfinite(seconds) && seconds >= 0 && seconds < SECONDS_MAX;
}

void celery_sig_set_countdown(celery_sig *sig, double seconds)
{
    if (!sig) {
        return;
    }
    if (!is_duration(seconds)) {
        fail(sig, CELERY_EINVAL, "the countdown is negative or not finite");
    } else {
        sig->countdown = seconds;
        sig->eta_us = INT64_MIN;
    }
}

static void set_instant(celery_sig *sig, const char *text, int64_t *field)
{
    bool aware;
    if (!text || !cel_iso8601_parse(cel_slice_of(text), field, &aware)) {
        fail(sig, CELERY_EINVAL, "a time is not in ISO 8601 form");
    }
}

void celery_sig_set_eta(celery_sig *sig, const char *iso8601)
{
    if (sig) {
        set_instant(sig, iso8601, &sig->eta_us);
        sig->countdown = -1;
    }
}

void celery_sig_set_expires(celery_sig *sig, double seconds)
{
    if (!sig) {
        return;
    }
    if (!is_duration(seconds)) {
        fail(sig, CELERY_EINVAL, "expires is negative or not finite");
    } else {
        sig->has_expires = true;
        sig->expires = seconds;
        sig->expires_us = INT64_MIN;
    }
}

void celery_sig_set_expires_at(celery_sig *sig, const char *iso8601)
{
    if (sig) {
        set_instant(sig, iso8601, &sig->expires_us);
        sig->has_expires = false;
    }
}

void celery_sig_set_header(celery_sig *sig, const char *name, json_t *give_value)
{
    if (sig && (!name || !*name || !give_value)) {
        fail(sig, CELERY_EINVAL, "a header needs a name and a value");
    } else if (sig) {
        struct cel_node *value = cel_doc_from_json(&sig->arena, give_value);
        if (!sig->headers) {
            sig->headers = cel_node_new(&sig->arena, CELERY_KIND_OBJECT);
        }
        if (!value || !sig->headers ||
            cel_node_put(&sig->arena, sig->headers, cel_slice_of(name), value) < 0) {
            fail(sig, CELERY_ENOMEM, "out of memory");
        }
    }
    json_decref(give_value);
}

void celery_sig_set_serializer(celery_sig *sig, const char *name)
{
    if (!sig) {
        return;
    }
    if (name && !cel_codec_find(cel_slice_of(name))) {
        fail(sig, CELERY_ENOTSUP, "the serializer is not in this build");
    }
    keep(sig, &sig->serializer, name);
}

void celery_sig_set_compression(celery_sig *sig, const char *name)
{
    if (!sig) {
        return;
    }
    if (name && !cel_compression_find(cel_slice_of(name))) {
        fail(sig, CELERY_ENOTSUP, "the compression is not in this build");
    }
    keep(sig, &sig->compression, name);
}

void celery_sig_set_ignore_result(celery_sig *sig, bool ignore)
{
    if (sig) {
        sig->ignore_result = ignore ? CEL_YES : CEL_NO;
    }
}

/* 0 or less: none. */
void celery_sig_set_time_limit(celery_sig *sig, double hard, double soft)
{
    if (sig) {
        sig->time_limit = hard > 0 && is_duration(hard) ? hard : -1;
        sig->soft_time_limit = soft > 0 && is_duration(soft) ? soft : -1;
    }
}

void celery_sig_set_shadow(celery_sig *sig, const char *name)
{
    if (sig) {
        keep(sig, &sig->shadow, name);
    }
}
