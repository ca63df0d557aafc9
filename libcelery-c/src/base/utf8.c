/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/utf8.h"
#include <stdio.h>

/* Continuation bytes wanted after a first byte; -1: cannot be first. */
static int continuation(unsigned char first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first < 0xc2 || first > 0xf4) {
        return -1;
    }
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

int32_t cel_utf8_next(struct cel_slice text, size_t *at)
{
    const unsigned char *s = (const unsigned char *)text.data + *at;
    size_t left = text.len - *at;
    (*at)++;
    int more = continuation(s[0]);
    if (more <= 0) {
        return more < 0 ? -1 : s[0];
    }
    if (left <= (size_t)more) {
        return -1;
    }
    static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
    uint32_t code = s[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return -1;
        }
        code = code << 6 | (s[i] & 0x3fu);
    }
    if (code < lowest[more] || code > 0x10ffff) {
        return -1;
    }
    *at += (size_t)more;
    return (int32_t)code;
}

static bool is_surrogate(int32_t code)
{
    return code >= 0xd800 && code <= 0xdfff;
}

/* Length of the ASCII run at the beginning, a word at a time. */
static size_t ascii_run(const char *s, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, s + i, 8);
        if (word & 0x8080808080808080u) {
            break;
        }
    }
    while (i < len && (unsigned char)s[i] < 0x80) {
        i++;
    }
    return i;
}

bool cel_utf8_valid(struct cel_slice text)
{
    size_t at = 0;
    while (at < text.len) {
        at += ascii_run(text.data + at, text.len - at);
        if (at < text.len) {
            int32_t code = cel_utf8_next(text, &at);
            if (code < 0 || is_surrogate(code)) {
                return false;
            }
        }
    }
    return true;
}

size_t cel_utf8_put(uint32_t code, char ret_bytes[4])
{
    if (code < 0x80) {
        ret_bytes[0] = (char)code;
        return 1;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char mark[] = {0, 0xc0, 0xe0, 0xf0};
    for (int i = more; i > 0; i--) {
        ret_bytes[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    ret_bytes[0] = (char)(mark[more] | code);
    return (size_t)more + 1;
}

/* Characters that can forge or hide log text: controls, line ends, bidi marks. */
static bool is_dangerous(int32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || is_surrogate(code) ||
           code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff;
}

/* One character as it shall appear; returns its bytes. */
static size_t escape_one(struct cel_slice text, size_t *at, char out[8])
{
    size_t start = *at;
    int32_t code = cel_utf8_next(text, at);
    if (code < 0) {
        return (size_t)snprintf(out, 8, "\\x%02x", (unsigned char)text.data[start]);
    }
    if (is_dangerous(code)) {
        return (size_t)snprintf(out, 8, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
    }
    memcpy(out, text.data + start, *at - start);
    return *at - start;
}

/* Length of a run that needs no look: printable ASCII. */
static size_t plain_run(struct cel_slice text, size_t at)
{
    size_t start = at;
    while (at < text.len && text.data[at] >= 0x20 && text.data[at] < 0x7f) {
        at++;
    }
    return at - start;
}

celery_status cel_utf8_escape(struct cel_buf *out, struct cel_slice text, size_t max)
{
    size_t begin = out->len;
    size_t mark = begin; /* where "..." still fits */
    size_t keep = max > 3 ? max - 3 : 0;
    for (size_t at = 0; at < text.len;) {
        size_t used = out->len - begin;
        size_t n = plain_run(text, at);
        if (n > 0) {
            size_t take = n < max - used ? n : max - used;
            if (used <= keep) {
                mark = begin + (used + take < keep ? used + take : keep);
            }
            cel_buf_add(out, text.data + at, take);
            at += take;
            if (take < n) {
                goto cut;
            }
            continue;
        }
        char piece[8];
        n = escape_one(text, &at, piece);
        if (used <= keep) {
            mark = out->len;
        }
        if (n > max - used) {
            goto cut;
        }
        cel_buf_add(out, piece, n);
    }
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
cut:
    if (!cel_buf_ok(out)) {
        return CELERY_ENOMEM;
    }
    out->len = mark;
    return cel_buf_add(out, "...", max < 3 ? max : 3);
}
