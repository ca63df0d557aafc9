/* SPDX-License-Identifier: BSD-3-Clause */
/* Building documents node by node. */
#include "codec/doc_build.h"

#include "base/base64.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <stdio.h>

/* Arrays and objects made here know their end; those of the JSON reader are done. */
struct container {
    struct cel_node node;
    struct cel_node *last;
};

struct cel_node *cel_node_new(struct cel_arena *a, celery_kind kind)
{
    if (!a) {
        return NULL;
    }
    bool has_tail = kind == CELERY_KIND_ARRAY || kind == CELERY_KIND_OBJECT;
    size_t size = has_tail ? sizeof(struct container) : sizeof(struct cel_node);
    struct cel_node *n = cel_arena_alloc(a, size);
    if (n) {
        memset(n, 0, size);
        n->kind = (uint8_t)kind;
        n->flags = has_tail ? CEL_NODE_TAIL : 0;
    }
    return n;
}

static struct cel_node *new_text(struct cel_arena *a, celery_kind kind,
                                 struct cel_slice text)
{
    if (text.len > UINT32_MAX) {
        return NULL;
    }
    struct cel_node *n = cel_node_new(a, kind);
    if (n) {
        n->text = text.len == 0 ? "" : cel_arena_strndup(a, text.data, text.len);
        n->size = (uint32_t)text.len;
    }
    return n && n->text ? n : NULL;
}

struct cel_node *cel_node_new_int(struct cel_arena *a, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    return new_text(a, CELERY_KIND_INT, cel_slice(text, (size_t)len));
}

struct cel_node *cel_node_new_double(struct cel_arena *a, double value)
{
    char text[32];
    size_t len = cel_repr_double(value, text);
    struct cel_slice slice = cel_slice(text, len);
    /* repr() says nan and inf, JSON says NaN and Infinity. */
    if (text[len - 1] == 'n') {
        slice = CEL_SLICE("NaN");
    } else if (text[len - 1] == 'f') {
        slice = value < 0 ? CEL_SLICE("-Infinity") : CEL_SLICE("Infinity");
    }
    return new_text(a, CELERY_KIND_FLOAT, slice);
}

struct cel_node *cel_node_new_bool(struct cel_arena *a, bool value)
{
    return cel_node_new(a, value ? CELERY_KIND_TRUE : CELERY_KIND_FALSE);
}

bool cel_doc_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            return false;
        }
    }
    return true;
}

struct cel_node *cel_node_new_string(struct cel_arena *a, struct cel_slice text)
{
    struct cel_node *n = new_text(a, CELERY_KIND_STRING, text);
    if (n && cel_doc_plain(text.data, text.len)) {
        n->flags |= CEL_NODE_PLAIN;
    }
    return n;
}

struct cel_node *cel_node_new_bytes(struct cel_arena *a, struct cel_slice bytes)
{
    return new_text(a, CELERY_KIND_BYTES, bytes);
}

/* Where the next child is hung in. */
static struct cel_node **end_of(struct cel_node *n)
{
    if (n->flags & CEL_NODE_TAIL) {
        struct cel_node *last = ((struct container *)(void *)n)->last;
        return last ? &last->next : &n->first;
    }
    struct cel_node **link = &n->first;
    while (*link) {
        link = &(*link)->next;
    }
    return link;
}

static void set_last(struct cel_node *n, struct cel_node *last)
{
    if (n->flags & CEL_NODE_TAIL) {
        ((struct container *)(void *)n)->last = last;
    }
}

celery_status cel_node_append(struct cel_node *array, struct cel_node *child)
{
    if (!array || !child || array->size == UINT32_MAX) {
        return CELERY_ENOMEM;
    }
    *end_of(array) = child;
    child->next = NULL;
    array->size++;
    set_last(array, child);
    return CELERY_OK;
}

static void replace_value(struct cel_node *object, struct cel_node *key,
                          struct cel_node *value)
{
    value->next = key->next->next;
    key->next = value;
    if (!value->next) {
        set_last(object, value);
    }
}

celery_status cel_node_put(struct cel_arena *a, struct cel_node *object,
                           struct cel_slice key, struct cel_node *value)
{
    if (!object || !value || object->size == UINT32_MAX) {
        return CELERY_ENOMEM;
    }
    for (struct cel_node *k = object->first; k; k = k->next->next) {
        if (cel_slice_eq(cel_slice(k->text, k->size), key)) {
            replace_value(object, k, value);
            return CELERY_OK;
        }
    }
    return cel_doc_add_member(object, cel_node_new_string(a, key), value);
}

celery_status cel_doc_add_member(struct cel_node *object, struct cel_node *key,
                                 struct cel_node *value)
{
    if (!object || !key || !value || object->size == UINT32_MAX) {
        return CELERY_ENOMEM;
    }
    *end_of(object) = key;
    key->next = value;
    value->next = NULL;
    object->size++;
    set_last(object, value);
    return CELERY_OK;
}

struct cel_node *cel_doc_as_key(struct cel_arena *a, struct cel_node *k,
                                const char **ret_why)
{
    static const char *const words[] = {"null", "false", "true"};
    struct cel_slice text = cel_node_text(k);
    *ret_why = "";
    switch ((celery_kind)k->kind) {
    case CELERY_KIND_STRING:
        return k;
    case CELERY_KIND_NULL:
    case CELERY_KIND_FALSE:
    case CELERY_KIND_TRUE:
        text = cel_slice_of(words[k->kind]);
        break;
    case CELERY_KIND_INT:
    case CELERY_KIND_FLOAT:
        break;
    case CELERY_KIND_BYTES:
        if (cel_utf8_valid(text)) {
            break;
        }
        *ret_why = "key of bytes that are not UTF-8";
        return NULL;
    default:
        *ret_why = "key that is an array or a map";
        return NULL;
    }
    return cel_node_new_string(a, text);
}

struct cel_node *cel_doc_typed(struct cel_arena *a, const char *type,
                               struct cel_node *value)
{
    struct cel_node *n = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *name = cel_node_new_string(a, cel_slice_of(type));
    if (cel_doc_add_member(n, cel_node_new_string(a, CEL_SLICE("__type__")), name) < 0 ||
        cel_doc_add_member(n, cel_node_new_string(a, CEL_SLICE("__value__")), value) <
            0) {
        return NULL;
    }
    return n;
}

struct cel_node *cel_doc_typed_bytes(struct cel_arena *a, struct cel_slice bytes)
{
    if (cel_utf8_valid(bytes)) {
        return cel_doc_typed(a, "bytes", cel_node_new_string(a, bytes));
    }
    char *text =
        bytes.len < UINT32_MAX / 2 ? cel_arena_alloc(a, CEL_BASE64_LEN(bytes.len)) : NULL;
    if (!text) {
        return NULL;
    }
    cel_base64_encode(bytes.data, bytes.len, text);
    return cel_doc_typed(
        a, "base64", cel_node_new_string(a, cel_slice(text, CEL_BASE64_LEN(bytes.len))));
}

struct cel_node *cel_node_copy(struct cel_arena *a, const struct cel_node *n)
{
    if (!n) {
        return NULL;
    }
    if (n->kind < CELERY_KIND_INT) {
        return cel_node_new(a, (celery_kind)n->kind);
    }
    if (n->kind < CELERY_KIND_ARRAY) {
        struct cel_node *copy =
            new_text(a, (celery_kind)n->kind, cel_slice(n->text, n->size));
        if (copy) {
            copy->flags = n->flags;
        }
        return copy;
    }
    struct cel_node *copy = cel_node_new(a, (celery_kind)n->kind);
    if (!copy) {
        return NULL;
    }
    struct cel_node **link = &copy->first;
    for (const struct cel_node *child = n->first; child; child = child->next) {
        *link = cel_node_copy(a, child);
        if (!*link) {
            return NULL;
        }
        set_last(copy, *link);
        link = &(*link)->next;
    }
    copy->size = n->size;
    return copy;
}
