/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, text and bytes of all protocols. */
#include "codec/pickle_in.h"

#include "base/utf8.h"
#include "codec/pickle_number.h"
#include "codec/pickle_opcodes.h"

/* ---- numbers ---- */

static struct cel_node *text_node(struct cel_pickle_in *r, celery_kind kind,
                                  struct cel_slice text)
{
    struct cel_node *n = cel_node_new(r->arena, kind);
    if (n) {
        n->text = text.len > 0 ? text.data : "";
        n->size = (uint32_t)text.len;
        if (kind == CELERY_KIND_STRING && cel_doc_plain(text.data, text.len)) {
            n->flags |= CEL_NODE_PLAIN;
        }
    }
    return n;
}

static bool push_long(struct cel_pickle_in *r, uint64_t len)
{
    struct cel_slice bytes;
    if (len > CEL_PICKLE_DIGITS / 2) {
        return cel_pickle_refuse(r, "has an integer of too many digits");
    }
    if (!cel_pickle_take(r, len, &bytes)) {
        return false;
    }
    char *text = cel_pickle_to_decimal(r->arena, bytes);
    return text ? cel_pickle_push(r, text_node(r, CELERY_KIND_INT, cel_slice_of(text)), 0)
                : cel_pickle_no_room(r);
}

static bool push_double(struct cel_pickle_in *r)
{
    struct cel_slice bytes;
    uint64_t bits = 0;
    double value;
    if (!cel_pickle_take(r, 8, &bytes)) {
        return false;
    }
    for (size_t i = 0; i < 8; i++) {
        bits = bits << 8 | (unsigned char)bytes.data[i];
    }
    memcpy(&value, &bits, sizeof value);
    return cel_pickle_push(r, cel_node_new_double(r->arena, value), 0);
}

bool cel_pickle_op_number(struct cel_pickle_in *r, unsigned char op)
{
    uint64_t value;
    size_t n = op == CEL_PK_BININT || op == CEL_PK_LONG4 ? 4 : 1;
    if (op == CEL_PK_BINFLOAT) {
        return push_double(r);
    }
    if (!cel_pickle_take_number(r, op == CEL_PK_BININT2 ? 2 : n, &value)) {
        return false;
    }
    if (op == CEL_PK_LONG1 || op == CEL_PK_LONG4) {
        return push_long(r, value);
    }
    int64_t number = op == CEL_PK_BININT ? (int32_t)(uint32_t)value : (int64_t)value;
    return cel_pickle_push(r, cel_node_new_int(r->arena, number), 0);
}

/* ---- protocol 0 ---- */

/* "-?[0-9]+", without what Python's int() also takes: pickles have repr() of a number. */
static bool push_decimal(struct cel_pickle_in *r, struct cel_slice text)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    struct cel_slice digits = cel_slice(text.data + negative, text.len - negative);
    while (digits.len > 1 && digits.data[0] == '0') {
        digits = cel_slice(digits.data + 1, digits.len - 1);
    }
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return cel_pickle_fail(r, "invalid integer");
        }
    }
    if (digits.len == 0) {
        return cel_pickle_fail(r, "invalid integer");
    }
    if (digits.len > CEL_PICKLE_DIGITS) {
        return cel_pickle_refuse(r, "has an integer of too many digits");
    }
    char *copy = cel_arena_alloc(r->arena, digits.len + 2);
    if (!copy) {
        return cel_pickle_no_room(r);
    }
    negative = negative && digits.data[0] != '0';
    copy[0] = '-';
    memcpy(copy + negative, digits.data, digits.len);
    struct cel_slice number = cel_slice(copy, digits.len + negative);
    return cel_pickle_push(r, text_node(r, CELERY_KIND_INT, number), 0);
}

static bool push_int(struct cel_pickle_in *r, struct cel_slice line)
{
    if (cel_slice_is(line, "00") || cel_slice_is(line, "01")) {
        return cel_pickle_push(r, cel_node_new_bool(r->arena, line.data[1] == '1'), 0);
    }
    return push_decimal(r, line);
}

static bool push_float(struct cel_pickle_in *r, struct cel_slice line)
{
    double value;
    if (cel_slice_is(line, "nan") || cel_slice_is(line, "inf") ||
        cel_slice_is(line, "-inf")) {
        bool nan = line.data[0] == 'n';
        value = nan ? __builtin_nan("") : __builtin_inf();
        value = line.data[0] == '-' ? -value : value;
    } else if (!cel_slice_to_double(line, &value)) {
        return cel_pickle_fail(r, "invalid float");
    }
    return cel_pickle_push(r, cel_node_new_double(r->arena, value), 0);
}

static int hex_of(struct cel_slice text)
{
    int value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        char lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            value = value * 16 + (c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            value = value * 16 + (lower - 'a' + 10);
        } else {
            return -1;
        }
        if (value > 0x10ffff) {
            return -1;
        }
    }
    return value;
}

/* Codec raw-unicode-escape: Latin-1 with \uNNNN and \UNNNNNNNN. */
static bool push_unicode(struct cel_pickle_in *r, struct cel_slice line)
{
    char *text = cel_arena_alloc(r->arena, line.len * 2 + 1);
    size_t len = 0;
    for (size_t i = 0; text && i < line.len; i++) {
        int code = (unsigned char)line.data[i];
        char next = i + 1 < line.len ? line.data[i + 1] : '\0';
        if (code == '\\' && (next == 'u' || next == 'U')) {
            size_t digits = next == 'u' ? 4 : 8;
            if (line.len - i < digits + 2) {
                return cel_pickle_fail(r, "cut escape");
            }
            code = hex_of(cel_slice(line.data + i + 2, digits));
            i += digits + 1;
        }
        if (code < 0) {
            return cel_pickle_fail(r, "invalid escape");
        }
        len += cel_utf8_put((uint32_t)code, text + len);
    }
    return text ? cel_pickle_push(
                      r, text_node(r, CELERY_KIND_STRING, cel_slice(text, len)), 0)
                : cel_pickle_no_room(r);
}

/* A str of Python 2 is text if it is ASCII, otherwise bytes. */
static bool push_old_string(struct cel_pickle_in *r, struct cel_slice bytes)
{
    bool ascii = true;
    for (size_t i = 0; i < bytes.len; i++) {
        ascii = ascii && (unsigned char)bytes.data[i] < 0x80;
    }
    return cel_pickle_push(
        r, text_node(r, ascii ? CELERY_KIND_STRING : CELERY_KIND_BYTES, bytes), 0);
}

/* Writes what an escape of Python's bytes literals stands for; how long it is, 0: not one. */
static size_t unescape(struct cel_slice at, char *ret)
{
    static const char from[] = "\\'\"abfnrtv";
    static const char to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = at.len > 1 ? at.data[1] : '\0';
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        *ret = to[found - from];
        return 2;
    }
    int value = c == 'x' && at.len > 3 ? hex_of(cel_slice(at.data + 2, 2)) : -1;
    *ret = (char)value;
    return value < 0 ? 0 : 4;
}

static bool push_quoted(struct cel_pickle_in *r, struct cel_slice line)
{
    char quote = line.len > 1 ? line.data[0] : '\0';
    if ((quote != '\'' && quote != '"') || line.data[line.len - 1] != quote) {
        return cel_pickle_fail(r, "string without quotes");
    }
    line = cel_slice(line.data + 1, line.len - 2);
    char *text = cel_arena_alloc(r->arena, line.len + 1);
    size_t len = 0;
    for (size_t i = 0; text && i < line.len;) {
        size_t n = 1;
        text[len] = line.data[i];
        if (line.data[i] == '\\') {
            n = unescape(cel_slice(line.data + i, line.len - i), text + len);
        }
        if (n == 0) {
            return cel_pickle_fail(r, "invalid escape");
        }
        i += n;
        len++;
    }
    return text ? push_old_string(r, cel_slice(text, len)) : cel_pickle_no_room(r);
}

bool cel_pickle_op_line(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_slice line;
    if (!cel_pickle_take_line(r, &line)) {
        return false;
    }
    switch (op) {
    case CEL_PK_INT:
        return push_int(r, line);
    case CEL_PK_LONG:
        line.len -= line.len > 0 && line.data[line.len - 1] == 'L';
        return push_decimal(r, line);
    case CEL_PK_FLOAT:
        return push_float(r, line);
    case CEL_PK_UNICODE:
        return push_unicode(r, line);
    default:
        return push_quoted(r, line);
    }
}

/* ---- text and bytes with their length ---- */

/* UTF-8 with the error handler surrogatepass. */
static bool push_text(struct cel_pickle_in *r, struct cel_slice text)
{
    bool plain = cel_utf8_valid(text);
    for (size_t at = 0; !plain && at < text.len;) {
        if (cel_utf8_next(text, &at) < 0) {
            return cel_pickle_fail(r, "invalid UTF-8 in a string");
        }
    }
    return cel_pickle_push(r, text_node(r, CELERY_KIND_STRING, text), 0);
}

static size_t length_bytes(unsigned char op)
{
    switch (op) {
    case CEL_PK_SHORT_BINSTRING:
    case CEL_PK_SHORT_BINUNICODE:
    case CEL_PK_SHORT_BINBYTES:
        return 1;
    case CEL_PK_BINSTRING:
    case CEL_PK_BINUNICODE:
    case CEL_PK_BINBYTES:
        return 4;
    default:
        return 8;
    }
}

bool cel_pickle_op_text(struct cel_pickle_in *r, unsigned char op)
{
    uint64_t len;
    struct cel_slice bytes;
    if (!cel_pickle_take_number(r, length_bytes(op), &len) ||
        !cel_pickle_take(r, len, &bytes)) {
        return false;
    }
    switch (op) {
    case CEL_PK_BINSTRING:
    case CEL_PK_SHORT_BINSTRING:
        return push_old_string(r, bytes);
    case CEL_PK_BINUNICODE:
    case CEL_PK_SHORT_BINUNICODE:
    case CEL_PK_BINUNICODE8:
        return push_text(r, bytes);
    default:
        return cel_pickle_push(r, text_node(r, CELERY_KIND_BYTES, bytes), 0);
    }
}
