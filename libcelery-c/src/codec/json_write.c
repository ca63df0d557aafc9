/* SPDX-License-Identifier: BSD-3-Clause */
/* A document to the bytes of Python's json.dumps(): ensure_ascii, ", " and ": ". */
#include "codec/doc_build.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "codec/json_string.h"
#include <math.h>

/* cel_buf_reserve() with its usual case inline. */
static inline bool has_room(struct cel_buf *out, size_t len)
{
    return (out->cap - out->len > len && !out->failed) ||
           cel_buf_reserve(out, len, NULL) == CELERY_OK;
}

static inline void put(struct cel_buf *out, const char *bytes, size_t len)
{
    if (has_room(out, len)) {
        memcpy(out->data + out->len, bytes, len);
        out->len += len;
    }
}

#define PUT(out, literal) put((out), (literal), sizeof(literal) - 1)

static celery_status result_of(const struct cel_buf *out)
{
    if (cel_buf_ok(out)) {
        return CELERY_OK;
    }
    return out->max != 0 ? CELERY_ELIMIT : CELERY_ENOMEM;
}

static void put_hex4(struct cel_buf *out, unsigned unit)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\',
                    'u',
                    digits[unit >> 12 & 15],
                    digits[unit >> 8 & 15],
                    digits[unit >> 4 & 15],
                    digits[unit & 15]};
    put(out, text, sizeof text);
}

static void put_code(struct cel_buf *out, int32_t code)
{
    if (code < 0) {
        code = 0xfffd; /* not WTF-8: only a broken caller has that */
    }
    if (code >= 0x10000) {
        unsigned rest = (unsigned)code - 0x10000;
        put_hex4(out, 0xd800 | rest >> 10);
        put_hex4(out, 0xdc00 | (rest & 0x3ff));
        return;
    }
    static const char shorts[0x80] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    if (code < 0x80 && shorts[code]) {
        put(out, (const char[]){'\\', shorts[code]}, 2);
        return;
    }
    put_hex4(out, (unsigned)code);
}

static void put_text(struct cel_buf *out, struct cel_slice text)
{
    size_t at = 0;
    while (at < text.len) {
        const char *run = text.data + at;
        const char *odd = cel_json_skip_plain(run, text.data + text.len);
        put(out, run, (size_t)(odd - run));
        at += (size_t)(odd - run);
        if (at < text.len) {
            put_code(out, cel_utf8_next(text, &at));
        }
    }
}

celery_status cel_json_write_string(struct cel_buf *out, struct cel_slice wtf8)
{
    PUT(out, "\"");
    put_text(out, wtf8);
    PUT(out, "\"");
    return result_of(out);
}

celery_status cel_json_write_double(struct cel_buf *out, double value)
{
    if (isnan(value)) {
        PUT(out, "NaN");
    } else if (isinf(value)) {
        put(out, &"-Infinity"[value > 0], value > 0 ? 8 : 9);
    } else {
        char text[32];
        put(out, text, cel_repr_double(value, text));
    }
    return result_of(out);
}

/* kombu.utils.json: text where the bytes are UTF-8, base64 otherwise. */
static void put_bytes(struct cel_buf *out, struct cel_slice bytes)
{
    if (cel_utf8_valid(bytes)) {
        PUT(out, "{\"__type__\": \"bytes\", \"__value__\": ");
        cel_json_write_string(out, bytes);
        PUT(out, "}");
        return;
    }
    PUT(out, "{\"__type__\": \"base64\", \"__value__\": \"");
    cel_base64_append(out, bytes.data, bytes.len);
    PUT(out, "\"}");
}

static void put_string(struct cel_buf *out, const struct cel_node *n)
{
    size_t size = n->size;
    if (!(n->flags & CEL_NODE_PLAIN)) {
        cel_json_write_string(out, cel_slice(n->text, size));
        return;
    }
    if (has_room(out, size + 2)) {
        char *at = out->data + out->len;
        at[0] = '"';
        memcpy(at + 1, n->text, size);
        at[size + 1] = '"';
        out->len += size + 2;
    }
}

static void put_node(struct cel_buf *out, const struct cel_node *n);

static void put_array(struct cel_buf *out, const struct cel_node *n)
{
    PUT(out, "[");
    for (const struct cel_node *child = n->first; child; child = child->next) {
        put_node(out, child);
        if (child->next) {
            PUT(out, ", ");
        }
    }
    PUT(out, "]");
}

static void put_object(struct cel_buf *out, const struct cel_node *n)
{
    PUT(out, "{");
    for (const struct cel_node *k = n->first; k; k = k->next->next) {
        put_string(out, k);
        PUT(out, ": ");
        put_node(out, k->next);
        if (k->next->next) {
            PUT(out, ", ");
        }
    }
    PUT(out, "}");
}

static void put_node(struct cel_buf *out, const struct cel_node *n)
{
    if (n->kind == CEL_KIND_RAW) {
        PUT(out, "[");
        put(out, n->text, n->size);
        PUT(out, "]");
        return;
    }
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
        PUT(out, "null");
        break;
    case CELERY_KIND_FALSE:
        PUT(out, "false");
        break;
    case CELERY_KIND_TRUE:
        PUT(out, "true");
        break;
    case CELERY_KIND_INT:
        put(out, n->text, n->size);
        break;
    case CELERY_KIND_FLOAT:
        cel_json_write_double(out, cel_node_double(n, 0));
        break;
    case CELERY_KIND_STRING:
        put_string(out, n);
        break;
    case CELERY_KIND_BYTES:
        put_bytes(out, cel_slice(n->text, n->size));
        break;
    case CELERY_KIND_ARRAY:
        put_array(out, n);
        break;
    case CELERY_KIND_OBJECT:
        put_object(out, n);
        break;
    }
}

celery_status cel_json_write(struct cel_buf *out, const struct cel_node *n)
{
    if (n) {
        put_node(out, n);
    } else {
        PUT(out, "null");
    }
    return result_of(out);
}
