/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/buf.h"
#include "base/alloc.h"
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_SIZE = 64 };

void cel_buf_init(struct cel_buf *b, size_t max)
{
    *b = (struct cel_buf){.max = max};
}

void cel_buf_fini(struct cel_buf *b)
{
    cel_free(b->data);
    *b = (struct cel_buf){.max = b->max};
}

void cel_buf_clear(struct cel_buf *b)
{
    b->len = 0;
    b->failed = false;
}

static celery_status give_up(struct cel_buf *b, celery_status status, celery_error *err)
{
    b->failed = true;
    if (status == CELERY_ELIMIT) {
        return cel_error_set(err, status, "more than %zu bytes", b->max);
    }
    return cel_error_nomem(err);
}

/* One byte more than asked for is always there, for cel_buf_cstr(). */
celery_status cel_buf_reserve(struct cel_buf *b, size_t more, celery_error *err)
{
    if (b->failed) {
        return give_up(b, b->max ? CELERY_ELIMIT : CELERY_ENOMEM, err);
    }
    if (more < b->cap - b->len) {
        return CELERY_OK;
    }
    if (more > SIZE_MAX / 2 - b->len) {
        return give_up(b, CELERY_ENOMEM, err);
    }
    size_t need = b->len + more;
    if (b->max && need > b->max) {
        return give_up(b, CELERY_ELIMIT, err);
    }
    size_t cap = b->cap < FIRST_SIZE ? FIRST_SIZE : b->cap * 2;
    if (cap < need + 1) {
        cap = need + 1;
    }
    if (b->max && cap > b->max + 1) {
        cap = b->max + 1;
    }
    char *data = cel_realloc(b->data, cap, 1);
    if (!data) {
        return give_up(b, CELERY_ENOMEM, err);
    }
    b->data = data;
    b->cap = cap;
    return CELERY_OK;
}

celery_status cel_buf_add(struct cel_buf *b, const void *bytes, size_t len)
{
    celery_status status = cel_buf_reserve(b, len, NULL);
    if (status < 0) {
        return status;
    }
    if (len > 0) {
        memcpy(b->data + b->len, bytes, len);
        b->len += len;
    }
    return CELERY_OK;
}

celery_status cel_buf_addc(struct cel_buf *b, char c)
{
    celery_status status = cel_buf_reserve(b, 1, NULL);
    if (status == CELERY_OK) {
        b->data[b->len++] = c;
    }
    return status;
}

celery_status cel_buf_adds(struct cel_buf *b, const char *text)
{
    return cel_buf_add(b, text, strlen(text));
}

celery_status cel_buf_addf(struct cel_buf *b, const char *fmt, ...)
{
    celery_status status = cel_buf_reserve(b, FIRST_SIZE - 1, NULL);
    if (status == CELERY_ELIMIT && b->len <= b->max) {
        /* Near the ceiling a short text may still fit. */
        b->failed = false;
        status = cel_buf_reserve(b, b->max - b->len, NULL);
    }
    if (status < 0) {
        return status;
    }
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
    va_end(args);
    if (n < 0) {
        return give_up(b, CELERY_ENOMEM, NULL);
    }
    if ((size_t)n >= b->cap - b->len) {
        status = cel_buf_reserve(b, (size_t)n, NULL);
        if (status < 0) {
            return status;
        }
        va_start(args, fmt);
        vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
        va_end(args);
    }
    b->len += (size_t)n;
    return CELERY_OK;
}

celery_status cel_buf_add_int(struct cel_buf *b, int64_t value)
{
    char text[24];
    char *at = text + sizeof text;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    return cel_buf_add(b, at, (size_t)(text + sizeof text - at));
}

void cel_buf_drop(struct cel_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else if (n > 0) {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
}

const char *cel_buf_cstr(struct cel_buf *b)
{
    if (!b->data && cel_buf_reserve(b, 0, NULL) < 0) {
        return "";
    }
    b->data[b->len] = '\0';
    return b->data;
}

char *cel_buf_steal(struct cel_buf *b)
{
    if (b->failed || (!b->data && cel_buf_reserve(b, 0, NULL) < 0)) {
        return NULL;
    }
    char *data = b->data;
    data[b->len] = '\0';
    *b = (struct cel_buf){.max = b->max};
    return data;
}
