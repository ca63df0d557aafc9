/* SPDX-License-Identifier: BSD-3-Clause */
/* A document to MessagePack: the bytes of msgpack.packb(use_bin_type=True). */
#include "codec/msgpack.h"

#include "base/error.h"
#include "base/utf8.h"
#include "codec/codec_list.h"

/* A first byte and a number of n bytes. */
static void put(struct cel_buf *out, unsigned first, uint64_t value, unsigned n)
{
    char bytes[9] = {(char)first};
    for (unsigned i = n; i > 0; i--) {
        bytes[i] = (char)(value & 255);
        value >>= 8;
    }
    cel_buf_add(out, bytes, n + 1);
}

/* log2 of the bytes that value needs: 0, 1, 2 or 3. */
static unsigned width(uint64_t value)
{
    return (value > 0xff) + (value > 0xffff) + (value > 0xffffffff);
}

static void put_unsigned(struct cel_buf *out, uint64_t value)
{
    if (value < 0x80) {
        put(out, (unsigned)value, 0, 0);
    } else {
        put(out, 0xcc + width(value), value, 1U << width(value));
    }
}

static void put_negative(struct cel_buf *out, int64_t value)
{
    if (value >= -32) {
        put(out, (unsigned)(value & 255), 0, 0);
        return;
    }
    /* -129 needs as many bytes as 128 without a sign needs bits of */
    unsigned w = width(((uint64_t)~value << 1) | 1);
    put(out, 0xd0 + w, (uint64_t)value, 1U << w);
}

/* Decimal digits to an unsigned 64-bit number. */
static bool to_unsigned(struct cel_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value)) {
            return false;
        }
    }
    *ret = value;
    return true;
}

static celery_status put_int(struct cel_buf *out, const struct cel_node *n,
                             celery_error *err)
{
    struct cel_slice text = cel_node_text(n);
    int64_t negative;
    uint64_t positive;
    if (text.data[0] != '-' && to_unsigned(text, &positive)) {
        put_unsigned(out, positive);
    } else if (text.data[0] == '-' && cel_slice_to_int(text, &negative)) {
        put_negative(out, negative);
    } else {
        return cel_error_set(err, CELERY_EMESSAGE, "msgpack: integer over 64 bits");
    }
    return CELERY_OK;
}

static void put_double(struct cel_buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(out, 0xcb, bits, 8);
}

static celery_status put_string(struct cel_buf *out, const struct cel_node *n,
                                celery_error *err)
{
    struct cel_slice text = cel_node_text(n);
    if (!(n->flags & CEL_NODE_PLAIN) && !cel_utf8_valid(text)) {
        return cel_error_set(err, CELERY_EMESSAGE,
                             "msgpack: string with a lone surrogate");
    }
    if (text.len < 32) {
        put(out, 0xa0 | (unsigned)text.len, 0, 0);
    } else {
        put(out, 0xd9 + width(text.len), text.len, 1U << width(text.len));
    }
    cel_buf_add_slice(out, text);
    return CELERY_OK;
}

static void put_bytes(struct cel_buf *out, struct cel_slice bytes)
{
    put(out, 0xc4 + width(bytes.len), bytes.len, 1U << width(bytes.len));
    cel_buf_add_slice(out, bytes);
}

static void put_size(struct cel_buf *out, uint32_t size, unsigned small, unsigned large)
{
    if (size < 16) {
        put(out, small | size, 0, 0);
    } else {
        put(out, large + (size > 0xffff), size, size > 0xffff ? 4 : 2);
    }
}

static celery_status put_node(struct cel_buf *out, const struct cel_node *n,
                              celery_error *err)
{
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
        put(out, 0xc0, 0, 0);
        return CELERY_OK;
    case CELERY_KIND_FALSE:
    case CELERY_KIND_TRUE:
        put(out, n->kind == CELERY_KIND_TRUE ? 0xc3 : 0xc2, 0, 0);
        return CELERY_OK;
    case CELERY_KIND_INT:
        return put_int(out, n, err);
    case CELERY_KIND_FLOAT:
        put_double(out, cel_node_double(n, 0));
        return CELERY_OK;
    case CELERY_KIND_STRING:
        return put_string(out, n, err);
    case CELERY_KIND_BYTES:
        put_bytes(out, cel_node_text(n));
        return CELERY_OK;
    case CELERY_KIND_ARRAY:
        put_size(out, n->size, 0x90, 0xdc);
        break;
    case CELERY_KIND_OBJECT:
        put_size(out, n->size, 0x80, 0xde);
        break;
    }
    celery_status status = CELERY_OK;
    for (const struct cel_node *child = n->first; child && status == CELERY_OK;
         child = child->next) {
        status = put_node(out, child, err);
    }
    return status;
}

celery_status cel_msgpack_write(struct cel_buf *out, const struct cel_node *n,
                                celery_error *err)
{
    static const struct cel_node none = {.kind = CELERY_KIND_NULL};
    celery_status status = put_node(out, n ? n : &none, err);
    if (status < 0 || cel_buf_ok(out)) {
        return status;
    }
    if (out->max != 0) {
        return cel_error_set(err, CELERY_ELIMIT, "msgpack of more than %zu bytes",
                             out->max);
    }
    return cel_error_nomem(err);
}

const struct cel_codec cel_codec_msgpack = {
    .name = "msgpack",
    .content_type = "application/x-msgpack",
    .encoding = "binary",
    .decode = cel_msgpack_read,
    .encode = cel_msgpack_write,
};
