/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames, memo and single objects, byte for byte as Modules/_pickle.c writes them. */
#include "codec/pickle_out.h"

#include "base/error.h"
#include "codec/pickle_number.h"
#include "codec/pickle_opcodes.h"

/* FRAME_SIZE_MIN, FRAME_SIZE_TARGET, FRAME_HEADER_SIZE */
enum { FRAME_MIN = 4, FRAME_FULL = 64 * 1024, FRAME_HEADER = 9 };

static void put_le(unsigned char *bytes, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
}

/* _Pickler_CloseFrame() */
static void close_frame(struct cel_pickle_out *o)
{
    if (o->frame == SIZE_MAX || !cel_buf_ok(o->buf)) {
        return;
    }
    char *header = o->buf->data + o->frame;
    size_t len = o->buf->len - o->frame - FRAME_HEADER;
    if (len >= FRAME_MIN) {
        header[0] = (char)CEL_PK_FRAME;
        put_le((unsigned char *)header + 1, len, 8);
    } else {
        memmove(header, header + FRAME_HEADER, len);
        o->buf->len -= FRAME_HEADER;
    }
    o->frame = SIZE_MAX;
}

void cel_pickle_bytes(struct cel_pickle_out *o, struct cel_slice bytes)
{
    if (o->framing && o->frame == SIZE_MAX) {
        static const char header[FRAME_HEADER] = {0};
        o->frame = o->buf->len;
        cel_buf_add(o->buf, header, sizeof header);
    }
    cel_buf_add_slice(o->buf, bytes);
}

void cel_pickle_op(struct cel_pickle_out *o, unsigned char opcode)
{
    char c = (char)opcode;
    cel_pickle_bytes(o, cel_slice(&c, 1));
}

/* An opcode and a little-endian number of n bytes. */
static void put_number(struct cel_pickle_out *o, unsigned char opcode, uint64_t value,
                       size_t n)
{
    unsigned char bytes[9] = {opcode};
    put_le(bytes + 1, value, n);
    cel_pickle_bytes(o, cel_slice((char *)bytes, n + 1));
}

void cel_pickle_begin(struct cel_pickle_out *o, struct cel_buf *buf)
{
    *o = (struct cel_pickle_out){.buf = buf, .frame = SIZE_MAX};
    put_number(o, CEL_PK_PROTO, 5, 1);
    o->framing = true;
}

celery_status cel_pickle_end(struct cel_pickle_out *o, celery_status status,
                             celery_error *err)
{
    cel_pickle_op(o, CEL_PK_STOP);
    close_frame(o);
    cel_map_fini(&o->seen);
    if (status < 0 || (cel_buf_ok(o->buf) && !o->failed)) {
        return status;
    }
    if (!o->failed && o->buf->max != 0) {
        return cel_error_set(err, CELERY_ELIMIT, "pickle of more than %zu bytes",
                             o->buf->max);
    }
    return cel_error_nomem(err);
}

void cel_pickle_boundary(struct cel_pickle_out *o)
{
    if (o->frame != SIZE_MAX && o->buf->len - o->frame - FRAME_HEADER >= FRAME_FULL) {
        close_frame(o);
    }
}

void cel_pickle_memoize(struct cel_pickle_out *o)
{
    o->memo++;
    cel_pickle_op(o, CEL_PK_MEMOIZE);
}

/* _Pickler_write_bytes(): what fills a frame alone is written between frames. */
static void put_large(struct cel_pickle_out *o, unsigned char short_op,
                      unsigned char long_op, struct cel_slice bytes)
{
    bool large = bytes.len >= FRAME_FULL;
    if (large) {
        close_frame(o);
        o->framing = false;
    }
    bool is_short = bytes.len < 256;
    put_number(o, is_short ? short_op : long_op, bytes.len, is_short ? 1 : 4);
    cel_pickle_bytes(o, bytes);
    o->framing = true;
    cel_pickle_memoize(o);
}

void cel_pickle_put_bytes(struct cel_pickle_out *o, struct cel_slice bytes)
{
    put_large(o, CEL_PK_SHORT_BINBYTES, CEL_PK_BINBYTES, bytes);
}

void cel_pickle_put_string(struct cel_pickle_out *o, struct cel_slice text)
{
    put_large(o, CEL_PK_SHORT_BINUNICODE, CEL_PK_BINUNICODE, text);
}

/* Refers to the object of this key; false: the next that is memoized becomes it. */
static bool put_seen(struct cel_pickle_out *o, struct cel_slice key)
{
    uintptr_t number = (uintptr_t)cel_map_get(&o->seen, key);
    if (number > 0) {
        number--;
        put_number(o, number < 256 ? CEL_PK_BINGET : CEL_PK_LONG_BINGET, number,
                   number < 256 ? 1 : 4);
        return true;
    }
    void *value = (void *)(uintptr_t)(o->memo + 1);
    o->failed |= cel_map_set(&o->seen, key, value, NULL) < 0;
    return false;
}

void cel_pickle_put_shared(struct cel_pickle_out *o, char kind, struct cel_slice text)
{
    char stack[128] = {kind};
    struct cel_slice key = cel_slice(stack, text.len + 1);
    if (text.len < sizeof stack) {
        memcpy(stack + 1, text.data ? text.data : "", text.len);
        if (!put_seen(o, key)) {
            cel_pickle_put_string(o, text);
        }
        return;
    }
    /* No name is that long, so a key as it stands cannot be taken for one of another kind. */
    if (!put_seen(o, text)) {
        cel_pickle_put_string(o, text);
    }
}

void cel_pickle_put_class(struct cel_pickle_out *o, const char *module, const char *name)
{
    char key[64] = "c";
    size_t at = strnlen(module, 30);
    size_t len = strnlen(name, 30);
    memcpy(key + 1, module, at);
    key[at + 1] = '.';
    memcpy(key + at + 2, name, len);
    struct cel_slice seen = cel_slice(key, at + len + 2);
    if (cel_map_get(&o->seen, seen)) {
        put_seen(o, seen);
        return;
    }
    cel_pickle_put_shared(o, 'm', cel_slice_of(module));
    cel_pickle_put_string(o, cel_slice_of(name));
    cel_pickle_op(o, CEL_PK_STACK_GLOBAL);
    put_seen(o, seen);
    cel_pickle_memoize(o);
}

void cel_pickle_end_tuple(struct cel_pickle_out *o, size_t n)
{
    if (n == 0) {
        cel_pickle_op(o, CEL_PK_EMPTY_TUPLE); /* there is only one: not in the memo */
        return;
    }
    cel_pickle_op(o, n <= 3 ? (unsigned char)(CEL_PK_TUPLE1 + n - 1) : CEL_PK_TUPLE);
    cel_pickle_memoize(o);
}

void cel_pickle_put_long(struct cel_pickle_out *o, const unsigned char *bytes, size_t len)
{
    while (len > 1 && bytes[len - 1] == 0 && bytes[len - 2] < 0x80) {
        len--;
    }
    put_number(o, len < 256 ? CEL_PK_LONG1 : CEL_PK_LONG4, len, len < 256 ? 1 : 4);
    cel_pickle_bytes(o, cel_slice((const char *)bytes, len));
}

static celery_status put_decimal(struct cel_pickle_out *o, struct cel_slice text,
                                 celery_error *err)
{
    if (text.len > CEL_PICKLE_DIGITS) {
        return cel_error_set(err, CELERY_ELIMIT, "pickle: integer of over %d digits",
                             CEL_PICKLE_DIGITS);
    }
    struct cel_buf bytes = {0};
    celery_status status = cel_pickle_from_decimal(&bytes, text);
    if (status == CELERY_OK) {
        cel_pickle_put_long(o, (const unsigned char *)bytes.data, bytes.len);
    }
    cel_buf_fini(&bytes);
    return status < 0 ? cel_error_nomem(err) : CELERY_OK;
}

celery_status cel_pickle_put_int(struct cel_pickle_out *o, struct cel_slice text,
                                 celery_error *err)
{
    int64_t value;
    if (!cel_slice_to_int(text, &value) || value > INT32_MAX || value < INT32_MIN) {
        return put_decimal(o, text, err);
    }
    if (value >= 0 && value < 0x100) {
        put_number(o, CEL_PK_BININT1, (uint64_t)value, 1);
    } else if (value >= 0 && value < 0x10000) {
        put_number(o, CEL_PK_BININT2, (uint64_t)value, 2);
    } else {
        put_number(o, CEL_PK_BININT, (uint64_t)value, 4);
    }
    return CELERY_OK;
}
