/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

void text_clear(struct text *t)
{
    t->len = 0;
    t->failed = false;
}

bool text_reserve(struct text *t, size_t more)
{
    if (t->failed || more > SIZE_MAX / 4 - t->len) {
        t->failed = true;
        return false;
    }
    if (t->len + more < t->cap) {
        return true;
    }
    size_t cap = t->cap * 2 > t->len + more + 1 ? t->cap * 2 : t->len + more + 1;
    char *data = realloc(t->data, cap);

    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->cap = cap;
    return true;
}

void text_add(struct text *t, const char *bytes, size_t len)
{
    if (!text_reserve(t, len)) {
        return;
    }
    if (len > 0) {
        memcpy(t->data + t->len, bytes, len);
        t->len += len;
    }
    t->data[t->len] = '\0';
}

void text_adds(struct text *t, const char *string)
{
    text_add(t, string, strlen(string));
}

void text_addf(struct text *t, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line) {
        t->failed = true;
        return;
    }
    text_add(t, line, (size_t)n);
}

unsigned text_next(const char *wtf8, size_t len, size_t *at)
{
    static const unsigned lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)wtf8 + *at;
    size_t left = len - *at;
    size_t size = p[0] < 0x80   ? 1
                  : p[0] < 0xc2 ? 0
                  : p[0] < 0xe0 ? 2
                  : p[0] < 0xf0 ? 3
                                : 4;
    unsigned code = size == 1 ? p[0] : size > 0 ? p[0] & (0xffu >> (size + 1)) : 0;

    if (size == 0 || size > left) {
        *at += 1;
        return 0xfffd;
    }
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *at += 1;
            return 0xfffd;
        }
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < lowest[size] || code > 0x10ffff) {
        *at += 1;
        return 0xfffd;
    }
    *at += size;
    return code;
}

static void add_json_code(struct text *t, unsigned code)
{
    static const char short_forms[] = "\"\"\\\\\nn\rr\tt\bb\ff";

    for (const char *s = short_forms; *s; s += 2) {
        if (code == (unsigned char)s[0]) {
            text_addf(t, "\\%c", s[1]);
            return;
        }
    }
    if (code >= 0x20 && code < 0x7f) {
        text_addf(t, "%c", (int)code);
    } else if (code < 0x10000) {
        text_addf(t, "\\u%04x", code);
    } else {
        code -= 0x10000;
        text_addf(t, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
    }
}

void text_add_json(struct text *t, const char *wtf8, size_t len)
{
    text_add(t, "\"", 1);
    for (size_t at = 0; at < len;) {
        add_json_code(t, text_next(wtf8, len, &at));
    }
    text_add(t, "\"", 1);
}
