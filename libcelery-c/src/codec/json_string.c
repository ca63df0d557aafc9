/* SPDX-License-Identifier: BSD-3-Clause */
/* Strings of JSON text, as Lib/json/decoder.py py_scanstring reads them (strict). */
#include "codec/json_string.h"

#include "base/utf8.h"

/* Finds the closing quote; says whether there are escapes and bytes over 0x7f. */
static const char *find_quote(const char **at, const char *end, bool *ret_escaped,
                              bool *ret_wide)
{
    const char *p = *at;
    for (;;) {
        p = cel_json_skip_plain(p, end);
        if (p == end) {
            return "unterminated string";
        }
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            *at = p;
            return NULL;
        }
        if (c < 0x20) {
            *at = p;
            return "control character in a string";
        }
        if (c == '\\') {
            *ret_escaped = true;
            p++; /* so that an escaped quote is passed over */
            if (p == end) {
                return "unterminated string";
            }
            if (*p != '"' && *p != '\\') {
                continue; /* whatever follows is looked at again */
            }
        } else if (c > 0x7f) {
            *ret_wide = true;
        }
        p++;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t read_hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0) {
            return -1;
        }
        code = code << 4 | digit;
    }
    return code;
}

/* \uXXXX, its digits at *at; a pair of surrogates becomes one code point. */
static const char *decode_unicode(const char **at, const char *end, char **out)
{
    int32_t code = read_hex4(*at, end);
    if (code < 0) {
        return "invalid \\uXXXX escape";
    }
    *at += 4;
    if (code >= 0xd800 && code <= 0xdbff && end - *at >= 6 && (*at)[0] == '\\' &&
        (*at)[1] == 'u') {
        int32_t low = read_hex4(*at + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            *at += 6;
        }
    }
    *out += cel_utf8_put((uint32_t)code, *out);
    return NULL;
}

/* The character that \c stands for, or 0. */
static char simple_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

/* Decodes the text between the quotes; it never grows.  *at tells where an error was. */
static const char *decode(const char **at, const char *end, char *text, size_t *ret_len)
{
    char *out = text;
    const char *p = *at;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((slash ? slash : end) - p);
        memcpy(out, p, run);
        out += run;
        p += run;
        if (!slash) {
            break;
        }
        *at = p++;
        if (*p == 'u') {
            p++;
            const char *why = decode_unicode(&p, end, &out);
            if (why) {
                return why;
            }
            continue;
        }
        char c = simple_escape(*p++);
        if (c == 0) {
            return "invalid \\escape";
        }
        *out++ = c;
    }
    *ret_len = (size_t)(out - text);
    return NULL;
}

const char *cel_json_read_odd_string(struct cel_arena *a, const char **at,
                                     const char *odd, const char *end, struct cel_node *n)
{
    const char *start = *at;
    bool escaped = false;
    bool wide = false;
    const char *why = find_quote(&odd, end, &escaped, &wide);
    if (why) {
        *at = odd;
        return why;
    }
    size_t len = (size_t)(odd - start);
    if (wide && !cel_utf8_valid(cel_slice(start, len))) {
        return "invalid UTF-8 in a string";
    }
    n->flags = 0;
    n->text = start;
    if (escaped) {
        char *text = cel_arena_alloc(a, len);
        if (!text) {
            return "";
        }
        why = decode(at, odd, text, &len);
        if (why) {
            return why;
        }
        n->text = text;
    }
    n->size = (uint32_t)len;
    *at = odd + 1;
    return NULL;
}
