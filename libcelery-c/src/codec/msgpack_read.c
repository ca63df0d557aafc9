/* SPDX-License-Identifier: BSD-3-Clause */
/* MessagePack to a document, as msgpack.unpackb(raw=False) of Python reads it. */
#include "codec/msgpack.h"

#include "base/error.h"
#include "base/iso8601.h"
#include "base/utf8.h"
#include "codec/doc_build.h"
#include <inttypes.h>
#include <stdio.h>

struct reader {
    struct cel_arena *arena;
    struct cel_slice rest;
    size_t len; /* of the whole */
    struct cel_json_limits left;
    celery_error *err;
    celery_status status;
};

static struct cel_node *fail(struct reader *r, const char *reason)
{
    r->status = cel_error_set(r->err, CELERY_EMESSAGE, "not msgpack: %s at byte %zu",
                              reason, r->len - r->rest.len);
    return NULL;
}

/* Passes on a node from the arena, or the reason why there is none. */
static struct cel_node *made(struct reader *r, struct cel_node *n, size_t size)
{
    if (!n) {
        r->status = cel_doc_refused(r->arena, size, r->err);
    }
    return n;
}

static bool take(struct reader *r, size_t n, struct cel_slice *ret)
{
    if (r->rest.len < n) {
        fail(r, "incomplete");
        return false;
    }
    *ret = cel_slice(r->rest.data, n);
    r->rest = cel_slice(r->rest.data + n, r->rest.len - n);
    return true;
}

static uint64_t big_endian(struct cel_slice bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | (unsigned char)bytes.data[i];
    }
    return value;
}

static bool take_number(struct reader *r, size_t n, uint64_t *ret)
{
    struct cel_slice bytes;
    if (!take(r, n, &bytes)) {
        return false;
    }
    *ret = big_endian(bytes);
    return true;
}

static struct cel_node *read_unsigned(struct reader *r, size_t n)
{
    uint64_t value;
    if (!take_number(r, n, &value)) {
        return NULL;
    }
    struct cel_node *node = cel_node_new(r->arena, CELERY_KIND_INT);
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);
    if (node) {
        node->text = cel_arena_strndup(r->arena, text, (size_t)len);
        node->size = (uint32_t)len;
    }
    return made(r, node && node->text ? node : NULL, sizeof text);
}

static struct cel_node *read_signed(struct reader *r, size_t n)
{
    uint64_t value;
    if (!take_number(r, n, &value)) {
        return NULL;
    }
    unsigned shift = 64 - 8 * (unsigned)n;
    int64_t number = (int64_t)(value << shift) >> shift;
    return made(r, cel_node_new_int(r->arena, number), 64);
}

static struct cel_node *read_float(struct reader *r, size_t n)
{
    uint64_t bits;
    if (!take_number(r, n, &bits)) {
        return NULL;
    }
    double value;
    if (n == 4) {
        uint32_t half = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &half, sizeof narrow);
        value = (double)narrow;
    } else {
        memcpy(&value, &bits, sizeof value);
    }
    return made(r, cel_node_new_double(r->arena, value), 64);
}

/* Text stays where it is. */
static struct cel_node *read_text(struct reader *r, celery_kind kind, size_t len)
{
    struct cel_slice text;
    if (!take(r, len, &text)) {
        return NULL;
    }
    if (kind == CELERY_KIND_STRING && !cel_utf8_valid(text)) {
        return fail(r, "invalid UTF-8 in a string");
    }
    struct cel_node *n = cel_node_new(r->arena, kind);
    if (n) {
        n->text = len > 0 ? text.data : "";
        n->size = (uint32_t)len;
        if (kind == CELERY_KIND_STRING && cel_doc_plain(text.data, len)) {
            n->flags |= CEL_NODE_PLAIN;
        }
    }
    return made(r, n, sizeof *n);
}

static struct cel_node *read_sized(struct reader *r, celery_kind kind, size_t size_bytes)
{
    uint64_t len;
    return take_number(r, size_bytes, &len) ? read_text(r, kind, (size_t)len) : NULL;
}

/* Extension -1: 32 bits of seconds; 30 of nanoseconds and 34; 32 of nanoseconds and 64. */
static bool read_timestamp(struct cel_slice data, int64_t *ret_us)
{
    int64_t seconds;
    uint64_t nanoseconds = 0;
    if (data.len == 4) {
        seconds = (int64_t)big_endian(data);
    } else if (data.len == 8) {
        uint64_t both = big_endian(data);
        nanoseconds = both >> 34;
        seconds = (int64_t)(both & ((UINT64_C(1) << 34) - 1));
    } else if (data.len == 12) {
        nanoseconds = big_endian(cel_slice(data.data, 4));
        seconds = (int64_t)big_endian(cel_slice(data.data + 4, 8));
    } else {
        return false;
    }
    /* Years 1 to 9999, which is what a datetime can hold. */
    if (nanoseconds > 999999999 || seconds < INT64_C(-62135596800) ||
        seconds > INT64_C(253402300799)) {
        return false;
    }
    *ret_us = seconds * 1000000 + (int64_t)(nanoseconds / 1000);
    return true;
}

static struct cel_node *read_extension(struct reader *r, size_t len)
{
    struct cel_slice type;
    struct cel_slice data;
    int64_t us;
    if (!take(r, 1, &type) || !take(r, len, &data)) {
        return NULL;
    }
    if (type.data[0] != (char)-1 || !read_timestamp(data, &us)) {
        return fail(r, "unknown extension type");
    }
    char text[CEL_ISO8601_SIZE];
    size_t text_len = cel_iso8601_format(us, CEL_ISO_OFFSET, text);
    struct cel_node *value = cel_node_new_string(r->arena, cel_slice(text, text_len));
    return made(r, cel_doc_typed(r->arena, "datetime", value), 256);
}

static struct cel_node *read_sized_extension(struct reader *r, size_t size_bytes)
{
    uint64_t len;
    return take_number(r, size_bytes, &len) ? read_extension(r, (size_t)len) : NULL;
}

static struct cel_node *as_key(struct reader *r, struct cel_node *k)
{
    const char *why;
    struct cel_node *key = cel_doc_as_key(r->arena, k, &why);
    if (key) {
        return key;
    }
    return *why ? fail(r, why) : made(r, NULL, 64 + k->size);
}

static struct cel_node *read_value(struct reader *r);

static bool enter(struct reader *r, uint64_t elements)
{
    if (r->left.depth == 0) {
        r->status = cel_error_set(r->err, CELERY_ELIMIT, "msgpack is nested too deeply");
        return false;
    }
    /* Each element takes a byte at least: no room is made for what is not there. */
    if (elements > r->rest.len) {
        fail(r, "incomplete");
        return false;
    }
    r->left.depth--;
    return true;
}

static struct cel_node *read_array(struct reader *r, uint64_t size)
{
    if (!enter(r, size)) {
        return NULL;
    }
    struct cel_node *array =
        made(r, cel_node_new(r->arena, CELERY_KIND_ARRAY), sizeof *array * 2);
    for (; array && size > 0; size--) {
        struct cel_node *child = read_value(r);
        if (!child || cel_node_append(array, child) < 0) {
            return NULL;
        }
    }
    r->left.depth++;
    return array;
}

static struct cel_node *read_map(struct reader *r, uint64_t size)
{
    if (size > UINT32_MAX / 2 || !enter(r, size * 2)) {
        return r->status < 0 ? NULL : fail(r, "incomplete");
    }
    struct cel_node *map =
        made(r, cel_node_new(r->arena, CELERY_KIND_OBJECT), sizeof *map * 2);
    for (; map && size > 0; size--) {
        struct cel_node *key = read_value(r);
        key = key ? as_key(r, key) : NULL;
        struct cel_node *value = key ? read_value(r) : NULL;
        if (!value || cel_doc_add_member(map, key, value) < 0) {
            return NULL;
        }
    }
    r->left.depth++;
    if (map && cel_doc_unique_keys(map) < 0) {
        r->status = cel_error_nomem(r->err);
        return NULL;
    }
    return map;
}

static struct cel_node *read_sized_array(struct reader *r, size_t size_bytes)
{
    uint64_t size;
    return take_number(r, size_bytes, &size) ? read_array(r, size) : NULL;
}

static struct cel_node *read_sized_map(struct reader *r, size_t size_bytes)
{
    uint64_t size;
    return take_number(r, size_bytes, &size) ? read_map(r, size) : NULL;
}

/* The formats with a number, size or data behind their first byte. */
static struct cel_node *read_long(struct reader *r, unsigned char first)
{
    switch (first) {
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return read_sized(r, CELERY_KIND_BYTES, (size_t)1 << (first - 0xc4));
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return read_sized_extension(r, (size_t)1 << (first - 0xc7));
    case 0xca:
    case 0xcb:
        return read_float(r, (size_t)4 << (first - 0xca));
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_unsigned(r, (size_t)1 << (first - 0xcc));
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_signed(r, (size_t)1 << (first - 0xd0));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return read_extension(r, (size_t)1 << (first - 0xd4));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return read_sized(r, CELERY_KIND_STRING, (size_t)1 << (first - 0xd9));
    case 0xdc:
    case 0xdd:
        return read_sized_array(r, (size_t)2 << (first - 0xdc));
    case 0xde:
    case 0xdf:
        return read_sized_map(r, (size_t)2 << (first - 0xde));
    default:
        return fail(r, "unused format");
    }
}

static struct cel_node *read_value(struct reader *r)
{
    struct cel_slice head;
    if (!take(r, 1, &head)) {
        return NULL;
    }
    if (r->left.elements-- == 0) {
        r->status = cel_error_set(r->err, CELERY_ELIMIT, "msgpack has too many elements");
        return NULL;
    }
    unsigned char first = (unsigned char)head.data[0];
    if (first < 0x80 || first >= 0xe0) {
        return made(r, cel_node_new_int(r->arena, (signed char)first), 64);
    }
    if (first < 0x90) {
        return read_map(r, first & 15);
    }
    if (first < 0xa0) {
        return read_array(r, first & 15);
    }
    if (first < 0xc0) {
        return read_text(r, CELERY_KIND_STRING, first & 31);
    }
    if (first == 0xc0) {
        return made(r, cel_node_new(r->arena, CELERY_KIND_NULL), sizeof(struct cel_node));
    }
    if (first == 0xc2 || first == 0xc3) {
        return made(r, cel_node_new_bool(r->arena, first == 0xc3),
                    sizeof(struct cel_node));
    }
    return read_long(r, first);
}

celery_status cel_msgpack_read(struct cel_arena *a, struct cel_slice bytes,
                               const struct cel_json_limits *limits,
                               struct cel_node **ret_node, celery_error *err)
{
    if (bytes.len > UINT32_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "msgpack is larger than 4 GiB");
    }
    struct reader r = {
        .arena = a,
        .rest = bytes,
        .len = bytes.len,
        .left = cel_doc_limits(limits),
        .err = err,
    };
    struct cel_node *n = read_value(&r);
    if (n && r.rest.len > 0) {
        n = fail(&r, "extra data");
    }
    if (!n) {
        return r.status < 0 ? r.status : cel_error_nomem(err);
    }
    *ret_node = n;
    return CELERY_OK;
}
