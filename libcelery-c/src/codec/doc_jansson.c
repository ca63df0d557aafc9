/* SPDX-License-Identifier: BSD-3-Clause */
/* Documents to jansson's values and back. */
#include "codec/doc_build.h"

#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"
#include <math.h>

/*
 * While an error passes up, each level puts its part of the path in front, so that the
 * text becomes "args[0].x: integer over 64 bits".
 */
static json_t *cannot_hold(celery_error *err, const char *what)
{
    cel_error_set(err, CELERY_EMESSAGE, ": %s", what);
    return NULL;
}

static json_t *no_memory(celery_error *err)
{
    cel_error_set(err, CELERY_ENOMEM, ": out of memory");
    return NULL;
}

static bool is_utf8(const struct cel_node *n)
{
    return (n->flags & CEL_NODE_PLAIN) || cel_utf8_valid(cel_node_text(n));
}

static json_t *to_number(const struct cel_node *n, celery_error *err)
{
    if (n->kind == CELERY_KIND_INT) {
        int64_t value;
        if (!cel_slice_to_int(cel_node_text(n), &value)) {
            return cannot_hold(err, "integer over 64 bits");
        }
        json_t *json = json_integer(value);
        return json ? json : no_memory(err);
    }
    double value = cel_node_double(n, 0);
    if (isnan(value) || isinf(value)) {
        return cannot_hold(err, isnan(value) ? "NaN" : "infinity");
    }
    json_t *json = json_real(value);
    return json ? json : no_memory(err);
}

static json_t *to_string(const struct cel_node *n, celery_error *err)
{
    if (!is_utf8(n)) {
        return cannot_hold(err, "string with a lone surrogate");
    }
    json_t *json = json_stringn_nocheck(n->text, n->size);
    return json ? json : no_memory(err);
}

/* The typed map that would stand in JSON. */
static json_t *to_typed_bytes(const struct cel_node *n, celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *typed = cel_doc_typed_bytes(&a, cel_node_text(n));
    json_t *json = typed ? cel_doc_to_json(typed, "", err) : no_memory(err);
    cel_arena_fini(&a);
    return json;
}

static json_t *to_json(const struct cel_node *n, celery_error *err);

static json_t *to_array(const struct cel_node *n, celery_error *err)
{
    json_t *array = json_array();
    if (!array) {
        return no_memory(err);
    }
    size_t i = 0;
    for (const struct cel_node *child = n->first; child; child = child->next, i++) {
        json_t *value = to_json(child, err);
        if (!value) {
            cel_error_prefix(err, CELERY_EMESSAGE, "[%zu]", i);
            json_decref(array);
            return NULL;
        }
        if (json_array_append_new(array, value) < 0) {
            json_decref(array);
            return no_memory(err);
        }
    }
    return array;
}

static json_t *to_object(const struct cel_node *n, celery_error *err)
{
    json_t *object = json_object();
    if (!object) {
        return no_memory(err);
    }
    for (const struct cel_node *k = n->first; k; k = k->next->next) {
        json_t *value = NULL;
        if (!is_utf8(k)) {
            cannot_hold(err, "key with a lone surrogate");
        } else {
            value = to_json(k->next, err);
        }
        if (!value) {
            cel_error_prefix(err, CELERY_EMESSAGE, ".%s", cel_log_safe(cel_node_text(k)));
            json_decref(object);
            return NULL;
        }
        if (json_object_setn_new_nocheck(object, k->text, k->size, value) < 0) {
            json_decref(object);
            return no_memory(err);
        }
    }
    return object;
}

static json_t *to_json(const struct cel_node *n, celery_error *err)
{
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
        return json_null();
    case CELERY_KIND_FALSE:
        return json_false();
    case CELERY_KIND_TRUE:
        return json_true();
    case CELERY_KIND_INT:
    case CELERY_KIND_FLOAT:
        return to_number(n, err);
    case CELERY_KIND_STRING:
        return to_string(n, err);
    case CELERY_KIND_BYTES:
        return to_typed_bytes(n, err);
    case CELERY_KIND_ARRAY:
        return to_array(n, err);
    case CELERY_KIND_OBJECT:
        return to_object(n, err);
    }
    return NULL;
}

json_t *cel_doc_to_json(const struct cel_node *n, const char *path, celery_error *err)
{
    if (!n) {
        return json_null();
    }
    celery_error inner = {0};
    json_t *json = to_json(n, &inner);
    if (!json) {
        cel_error_set(err, inner.status, "%s%s", path ? path : "value", inner.message);
    }
    return json;
}

static struct cel_node *from_json(struct cel_arena *a, const json_t *value,
                                  unsigned depth);

static struct cel_node *from_array(struct cel_arena *a, const json_t *value,
                                   unsigned depth)
{
    struct cel_node *array = cel_node_new(a, CELERY_KIND_ARRAY);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct cel_node *child = from_json(a, json_array_get(value, i), depth + 1);
        if (cel_node_append(array, child) < 0) {
            return NULL;
        }
    }
    return array;
}

static struct cel_node *from_object(struct cel_arena *a, const json_t *value,
                                    unsigned depth)
{
    struct cel_node *object = cel_node_new(a, CELERY_KIND_OBJECT);
    json_t *walked = (json_t *)value; /* jansson's iterators take no const */
    for (void *i = json_object_iter(walked); i; i = json_object_iter_next(walked, i)) {
        struct cel_slice key =
            cel_slice(json_object_iter_key(i), json_object_iter_key_len(i));
        struct cel_node *child = from_json(a, json_object_iter_value(i), depth + 1);
        if (cel_doc_add_member(object, cel_node_new_string(a, key), child) < 0) {
            return NULL;
        }
    }
    return object;
}

static struct cel_node *from_json(struct cel_arena *a, const json_t *value,
                                  unsigned depth)
{
    if (depth > CEL_DOC_DEPTH_MAX) {
        return NULL;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return from_object(a, value, depth);
    case JSON_ARRAY:
        return from_array(a, value, depth);
    case JSON_STRING:
        return cel_node_new_string(
            a, cel_slice(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        return cel_node_new_int(a, json_integer_value(value));
    case JSON_REAL:
        return cel_node_new_double(a, json_real_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return cel_node_new_bool(a, json_is_true(value));
    case JSON_NULL:
        return cel_node_new(a, CELERY_KIND_NULL);
    }
    return NULL;
}

struct cel_node *cel_doc_from_json(struct cel_arena *a, const json_t *value)
{
    return value ? from_json(a, value, 0) : cel_node_new(a, CELERY_KIND_NULL);
}
