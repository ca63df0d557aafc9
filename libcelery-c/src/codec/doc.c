/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading, copying and comparing documents. */
#include "codec/doc.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/map.h"
#include "codec/doc_build.h"
#include <math.h>

struct cel_slice cel_node_text(const struct cel_node *n)
{
    if (!n || n->kind < CELERY_KIND_INT || n->kind > CELERY_KIND_BYTES) {
        return CEL_SLICE_NULL;
    }
    return cel_slice(n->text, n->size);
}

bool cel_node_is_string(const struct cel_node *n)
{
    return n && n->kind == CELERY_KIND_STRING;
}

bool cel_node_is_null(const struct cel_node *n)
{
    return !n || n->kind == CELERY_KIND_NULL;
}

bool cel_node_bool(const struct cel_node *n, bool otherwise)
{
    if (!n || (n->kind != CELERY_KIND_TRUE && n->kind != CELERY_KIND_FALSE)) {
        return otherwise;
    }
    return n->kind == CELERY_KIND_TRUE;
}

const struct cel_node *cel_node_get(const struct cel_node *object, struct cel_slice key)
{
    if (!object || object->kind != CELERY_KIND_OBJECT) {
        return NULL;
    }
    for (const struct cel_node *k = object->first; k; k = k->next->next) {
        if (k->size == key.len && memcmp(k->text, key.data, key.len) == 0) {
            return k->next;
        }
    }
    return NULL;
}

bool cel_node_truth(const struct cel_node *n)
{
    if (!n) {
        return false;
    }
    if (n->kind == CEL_KIND_RAW) {
        return true;
    }
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
    case CELERY_KIND_FALSE:
        return false;
    case CELERY_KIND_TRUE:
        return true;
    case CELERY_KIND_INT:
        return !(cel_slice_is(cel_node_text(n), "0"));
    case CELERY_KIND_FLOAT: {
        double value = cel_node_double(n, 0);
        return value < 0 || value > 0 || isnan(value);
    }
    case CELERY_KIND_STRING:
    case CELERY_KIND_BYTES:
    case CELERY_KIND_ARRAY:
    case CELERY_KIND_OBJECT:
        return n->size != 0;
    }
    return false;
}

static bool doubles_equal(const struct cel_node *a, const struct cel_node *b)
{
    double x = cel_node_double(a, 0);
    double y = cel_node_double(b, 0);
    return !(x < y || x > y) && isnan(x) == isnan(y);
}

static bool arrays_equal(const struct cel_node *a, const struct cel_node *b)
{
    const struct cel_node *y = b->first;
    for (const struct cel_node *x = a->first; x; x = x->next, y = y->next) {
        if (!cel_node_equal(x, y)) {
            return false;
        }
    }
    return true;
}

static bool objects_equal(const struct cel_node *a, const struct cel_node *b)
{
    /* Mostly the order is the same; a lookup is made only where it is not. */
    const struct cel_node *y = b->first;
    for (const struct cel_node *x = a->first; x; x = x->next->next, y = y->next->next) {
        const struct cel_node *other = y->next;
        if (!cel_slice_eq(cel_node_text(x), cel_node_text(y))) {
            other = cel_node_get(b, cel_node_text(x));
        }
        if (!other || !cel_node_equal(x->next, other)) {
            return false;
        }
    }
    return true;
}

bool cel_node_equal(const struct cel_node *a, const struct cel_node *b)
{
    if (!a || !b || a == b) {
        return a == b;
    }
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == CELERY_KIND_FLOAT) {
        return doubles_equal(a, b);
    }
    if (a->kind < CELERY_KIND_INT) {
        return true;
    }
    if (a->size != b->size) {
        return false;
    }
    switch (a->kind) {
    case CELERY_KIND_ARRAY:
        return arrays_equal(a, b);
    case CELERY_KIND_OBJECT:
        return objects_equal(a, b);
    default:
        return memcmp(a->text, b->text, a->size) == 0;
    }
}

struct cel_json_limits cel_doc_limits(const struct cel_json_limits *limits)
{
    struct cel_json_limits full = limits ? *limits : (struct cel_json_limits){0};
    if (full.depth == 0) {
        full.depth = CEL_DOC_DEPTH_DEFAULT;
    }
    if (full.depth > CEL_DOC_DEPTH_MAX) {
        full.depth = CEL_DOC_DEPTH_MAX;
    }
    if (full.elements == 0) {
        full.elements = CEL_DOC_ELEMENTS_DEFAULT;
    }
    return full;
}

celery_status cel_doc_refused(const struct cel_arena *a, size_t size, celery_error *err)
{
    /* 64: more than an arena keeps for itself in front of a block. */
    if (a->max != 0 && (a->used >= a->max || a->max - a->used < size + 64)) {
        return cel_error_set(err, CELERY_ELIMIT,
                             "value needs more than the limit of %zu bytes", a->max);
    }
    return cel_error_nomem(err);
}

/* ---- unique keys ---- */

/* The value of the later key k goes to the earlier one, and k leaves; before: k's link. */
static void merge_key(struct cel_node *object, struct cel_node *earlier,
                      struct cel_node *before, struct cel_node *k)
{
    struct cel_node *value = k->next;
    before->next = value->next;
    value->next = earlier->next->next;
    earlier->next = value;
    object->size--;
    object->flags &= (uint8_t)~CEL_NODE_TAIL; /* the end may be another node now */
}

/* The node whose next is the key after k: k's present value. */
static struct cel_node *value_of(struct cel_node *k)
{
    return k->next;
}

/* 8 bits of a cheap hash. */
static inline unsigned key_bit(const struct cel_node *k)
{
    uint64_t x = k->size;
    if (k->size > 0) {
        x |= (uint64_t)(unsigned char)k->text[0] << 8;
        x |= (uint64_t)(unsigned char)k->text[k->size / 2] << 16;
        x |= (uint64_t)(unsigned char)k->text[k->size - 1] << 24;
    }
    return (unsigned)((x * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}

static bool same_key(const struct cel_node *a, const struct cel_node *b)
{
    return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
}

/* For few keys: a filter of 256 bits says whether a key may have come before. */
static void unique_few(struct cel_node *object)
{
    uint64_t seen[4] = {0};
    struct cel_node *last = NULL; /* key before k */
    for (struct cel_node *k = object->first, *next; k; k = next) {
        next = k->next->next;
        unsigned hash = key_bit(k);
        uint64_t *word = &seen[hash >> 6];
        uint64_t bit = UINT64_C(1) << (hash & 63);
        struct cel_node *same = NULL;
        if (*word & bit) {
            same = object->first;
            while (same != k && !same_key(same, k)) {
                same = same->next->next;
            }
        }
        *word |= bit;
        if (same && same != k) {
            merge_key(object, same, value_of(last), k);
        } else {
            last = k;
        }
    }
}

static celery_status unique_many(struct cel_node *object)
{
    size_t cap = 256;
    while (cap < (size_t)object->size * 2) {
        cap *= 2;
    }
    struct cel_node **slots = cel_calloc(cap, sizeof *slots);
    if (!slots) {
        return CELERY_ENOMEM;
    }
    struct cel_node *last = NULL;
    for (struct cel_node *k = object->first, *next; k; k = next) {
        next = k->next->next;
        size_t i = cel_hash(cel_node_text(k)) & (cap - 1);
        while (slots[i] && !same_key(slots[i], k)) {
            i = (i + 1) & (cap - 1);
        }
        if (slots[i]) {
            merge_key(object, slots[i], value_of(last), k);
        } else {
            slots[i] = k;
            last = k;
        }
    }
    cel_free(slots);
    return CELERY_OK;
}

celery_status cel_doc_unique_keys(struct cel_node *object)
{
    if (object->size > 64) {
        return unique_many(object);
    }
    if (object->size > 1) {
        unique_few(object);
    }
    return CELERY_OK;
}
