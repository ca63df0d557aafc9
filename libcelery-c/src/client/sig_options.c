/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of a signature, checked where they are set. */
#include "base/error.h"
#include "base/iso8601.h"
#include "base/utf8.h"
#include "canvas/sig.h"
#include "client/sig.h"
#include "codec/codec.h"
#include <math.h>

/* Years; what is longer does not fit into a date. */
static const double SECONDS_MAX = 3e11;

/* NULL: out of memory. */
static void put(celery_sig *sig, const char *name, struct cel_node *value)
{
    if (!value || cel_sig_set_option(&sig->arena, sig->tree, name, value) < 0) {
        cel_sig_fail(sig, CELERY_ENOMEM, "out of memory");
    }
}

static void unset(celery_sig *sig, const char *name)
{
    if (cel_sig_option(sig->tree, name)) {
        put(sig, name, cel_node_new(&sig->arena, CELERY_KIND_NULL));
    }
}

/* ---- texts ---- */

/* NULL unsets. */
static void put_text(celery_sig *sig, const char *name, const char *text)
{
    if (!sig) {
        return;
    }
    if (!text) {
        unset(sig, name);
    } else if (!cel_utf8_valid(cel_slice_of(text))) {
        cel_sig_fail(sig, CELERY_EINVAL, "an option is not UTF-8");
    } else {
        put(sig, name, cel_node_new_string(&sig->arena, cel_slice_of(text)));
    }
}

void celery_sig_set_task_id(celery_sig *sig, const char *id)
{
    put_text(sig, "task_id", id && *id ? id : NULL);
}

void celery_sig_set_queue(celery_sig *sig, const char *queue)
{
    put_text(sig, "queue", queue);
}

void celery_sig_set_exchange(celery_sig *sig, const char *exchange)
{
    put_text(sig, "exchange", exchange);
}

void celery_sig_set_routing_key(celery_sig *sig, const char *key)
{
    put_text(sig, "routing_key", key);
}

void celery_sig_set_shadow(celery_sig *sig, const char *name)
{
    put_text(sig, "shadow", name);
}

void celery_sig_set_reply_to(celery_sig *sig, const char *queue)
{
    put_text(sig, "reply_to", queue);
}

void celery_sig_set_serializer(celery_sig *sig, const char *name)
{
    if (sig && name && !cel_codec_find(cel_slice_of(name))) {
        cel_sig_fail(sig, CELERY_ENOTSUP, "the serializer is not in this build");
    }
    put_text(sig, "serializer", name);
}

void celery_sig_set_compression(celery_sig *sig, const char *name)
{
    if (sig && name && !cel_compression_find(cel_slice_of(name))) {
        cel_sig_fail(sig, CELERY_ENOTSUP, "the compression is not in this build");
    }
    put_text(sig, "compression", name);
}

/* ---- numbers and times ---- */

void celery_sig_set_priority(celery_sig *sig, int priority)
{
    if (!sig) {
        return;
    }
    if (priority < 0 || priority > 9) {
        cel_sig_fail(sig, CELERY_EINVAL, "the priority is not 0 to 9");
    } else {
        put(sig, "priority", cel_node_new_int(&sig->arena, priority));
    }
}

void celery_sig_set_ignore_result(celery_sig *sig, bool ignore)
{
    if (sig) {
        put(sig, "ignore_result", cel_node_new_bool(&sig->arena, ignore));
    }
}

static bool is_duration(double seconds)
{
    return isfinite(seconds) && seconds >= 0 && seconds < SECONDS_MAX;
}

/* Whole seconds as Python's int, which is what callers nearly always pass. */
static void put_seconds(celery_sig *sig, const char *name, double seconds)
{
    put(sig, name,
        seconds == floor(seconds) ? cel_node_new_int(&sig->arena, (int64_t)seconds)
                                  : cel_node_new_double(&sig->arena, seconds));
}

void celery_sig_set_countdown(celery_sig *sig, double seconds)
{
    if (!sig) {
        return;
    }
    if (!is_duration(seconds)) {
        cel_sig_fail(sig, CELERY_EINVAL, "the countdown is negative or not finite");
    } else {
        put_seconds(sig, "countdown", seconds);
        unset(sig, "eta");
    }
}

static bool put_instant(celery_sig *sig, const char *name, const char *text)
{
    int64_t us;
    bool aware;
    if (!text || !cel_iso8601_parse(cel_slice_of(text), &us, &aware)) {
        cel_sig_fail(sig, CELERY_EINVAL, "a time is not in ISO 8601 form");
        return false;
    }
    put_text(sig, name, text);
    return true;
}

void celery_sig_set_eta(celery_sig *sig, const char *iso8601)
{
    if (sig && put_instant(sig, "eta", iso8601)) {
        unset(sig, "countdown");
    }
}

void celery_sig_set_expires(celery_sig *sig, double seconds)
{
    if (!sig) {
        return;
    }
    if (!is_duration(seconds)) {
        cel_sig_fail(sig, CELERY_EINVAL, "expires is negative or not finite");
    } else {
        put_seconds(sig, "expires", seconds);
    }
}

void celery_sig_set_expires_at(celery_sig *sig, const char *iso8601)
{
    if (sig) {
        put_instant(sig, "expires", iso8601);
    }
}

/* 0 or less: none. */
static void put_limit(celery_sig *sig, const char *name, double seconds)
{
    if (seconds > 0 && is_duration(seconds)) {
        put_seconds(sig, name, seconds);
    } else {
        unset(sig, name);
    }
}

void celery_sig_set_time_limit(celery_sig *sig, double hard, double soft)
{
    if (sig) {
        put_limit(sig, "time_limit", hard);
        put_limit(sig, "soft_time_limit", soft);
    }
}

/* ---- values ---- */

void celery_sig_set_header(celery_sig *sig, const char *name, json_t *give_value)
{
    if (sig && (!name || !*name || !give_value)) {
        cel_sig_fail(sig, CELERY_EINVAL, "a header needs a name and a value");
    } else if (sig) {
        struct cel_arena *a = &sig->arena;
        const struct cel_node *old = cel_sig_option(sig->tree, "headers");
        bool there = old && old->kind == CELERY_KIND_OBJECT;
        struct cel_node *headers =
            there ? cel_node_copy(a, old) : cel_node_new(a, CELERY_KIND_OBJECT);
        struct cel_node *value = cel_doc_from_json(a, give_value);
        if (!headers || !value ||
            cel_node_put(a, headers, cel_slice_of(name), value) < 0) {
            headers = NULL;
        }
        put(sig, "headers", headers);
    }
    json_decref(give_value);
}

/* As options of a signature that is read are checked. */
static celery_status put_checked(celery_sig *sig, const char *name,
                                 struct cel_node *value, celery_error *err)
{
    struct cel_node *options = cel_node_new(&sig->arena, CELERY_KIND_OBJECT);
    if (!value || !options ||
        cel_node_put(&sig->arena, options, cel_slice_of(name), value) < 0) {
        return cel_error_nomem(err);
    }
    celery_status status = cel_canvas_check_options(options, "options", err);
    if (status == CELERY_OK) {
        put(sig, name, value);
    }
    return status;
}

void celery_sig_set_option(celery_sig *sig, const char *name, json_t *give_value)
{
    celery_error why = {0};
    if (sig && (!name || !*name || !give_value)) {
        cel_sig_fail(sig, CELERY_EINVAL, "an option needs a name and a value");
    } else if (sig && put_checked(sig, name, cel_doc_from_json(&sig->arena, give_value),
                                  &why) < 0) {
        cel_sig_fail(sig, why.status, why.message);
    }
    json_decref(give_value);
}

celery_status celery_sig_set_option_text(celery_sig *sig, const char *name,
                                         const char *json, celery_error *err)
{
    celery_error why = {0};
    struct cel_node *value = NULL;
    if (!sig) {
        return CELERY_EINVAL;
    }
    celery_status status =
        name && *name ? cel_sig_parse(sig, json, &value, &why)
                      : cel_error_set(&why, CELERY_EINVAL, "an option needs a name");
    if (status == CELERY_OK) {
        status = put_checked(sig, name, value, &why);
    }
    if (status < 0) {
        cel_sig_fail(sig, status, why.message);
        return cel_error_set(err, status, "%s", why.message);
    }
    return CELERY_OK;
}

const celery_value *celery_sig_option(const celery_sig *sig, const char *name)
{
    return sig && name ? cel_sig_option(sig->tree, name) : NULL;
}

/* ---- on the whole tree ---- */

void celery_sig_set_immutable(celery_sig *sig, bool immutable)
{
    if (sig) {
        cel_sig_set_immutable(sig->tree, immutable);
    }
}

void celery_sig_set_stamp(celery_sig *sig, const char *name, json_t *give_value)
{
    if (sig && (!name || !*name || !give_value)) {
        cel_sig_fail(sig, CELERY_EINVAL, "a stamp needs a name and a value");
    } else if (sig) {
        struct cel_arena *a = &sig->arena;
        struct cel_node *stamps = cel_node_new(a, CELERY_KIND_OBJECT);
        struct cel_node *value = cel_doc_from_json(a, give_value);
        if (!stamps || !value || cel_node_put(a, stamps, cel_slice_of(name), value) < 0 ||
            cel_sig_stamp(a, sig->tree, stamps) < 0) {
            cel_sig_fail(sig, CELERY_ENOMEM, "out of memory");
        }
    }
    json_decref(give_value);
}

static void link_to(celery_sig *sig, celery_sig *give_callback,
                    celery_status (*link)(struct cel_arena *a, struct cel_sig *sig,
                                          struct cel_sig *callback))
{
    if (!sig) {
        celery_sig_free(give_callback);
        return;
    }
    if (!give_callback || give_callback == sig) {
        cel_sig_fail(sig, CELERY_EINVAL, "a callback is NULL or the signature itself");
        return;
    }
    struct cel_sig *tree = give_callback->tree;
    cel_sig_own_part(sig, give_callback);
    celery_status status = link(&sig->arena, sig->tree, tree);
    if (status < 0) {
        cel_sig_fail(sig, status, celery_status_text(status));
    }
}

void celery_sig_link(celery_sig *sig, celery_sig *give_callback)
{
    link_to(sig, give_callback, cel_sig_link);
}

void celery_sig_link_error(celery_sig *sig, celery_sig *give_errback)
{
    link_to(sig, give_errback, cel_sig_link_error);
}
