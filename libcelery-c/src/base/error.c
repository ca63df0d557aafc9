/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Copies text, cutting at the border of a UTF-8 sequence. */
static void set_message(celery_error *err, const char *text)
{
    size_t len = strlen(text);
    size_t room = sizeof err->message - 1;
    if (len > room) {
        len = room;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    memcpy(err->message, text, len);
    err->message[len] = '\0';
}

celery_status cel_error_set(celery_error *err, celery_status status, const char *fmt, ...)
{
    if (err) {
        char text[sizeof err->message + 8];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        err->status = status;
        err->code = 0;
        set_message(err, text);
    }
    return status;
}

celery_status cel_error_sys(celery_error *err, celery_status status, int errnum,
                            const char *fmt, ...)
{
    if (err) {
        char text[sizeof err->message + 8];
        char reason[96];
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof text) {
            snprintf(text + n, sizeof text - (size_t)n, ": %s",
                     strerror_r(errnum, reason, sizeof reason));
        }
        err->status = status;
        err->code = errnum;
        set_message(err, text);
    }
    return status;
}

celery_status cel_error_prefix(celery_error *err, celery_status status, const char *fmt,
                               ...)
{
    if (err) {
        char text[2 * sizeof err->message];
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(text, sizeof err->message, fmt, args);
        va_end(args);
        size_t len = n < 0 ? 0 : strlen(text);
        memcpy(text + len, err->message, strlen(err->message) + 1);
        err->status = status;
        set_message(err, text);
    }
    return status;
}

celery_status cel_error_vlead(celery_error *err, celery_status status, const char *lead,
                              const char *fmt, va_list args)
{
    char text[sizeof err->message];

    vsnprintf(text, sizeof text, fmt, args);
    return cel_error_set(err, status, "%s: %s", lead, text);
}

celery_status cel_error_nomem(celery_error *err)
{
    return cel_error_set(err, CELERY_ENOMEM, "out of memory");
}

enum retry { NOW, LATER, NEVER };

static const struct status_row {
    celery_status status;
    enum retry retry;
    const char *name;
    const char *text;
} rows[] = {
#define X(name, value, retry, text) {name, retry, #name, text},
    CELERY_STATUS_MAP(X)
#undef X
};

static const struct status_row *find_row(celery_status status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *celery_status_name(celery_status status)
{
    const struct status_row *row = find_row(status);
    return row ? row->name : "CELERY_UNKNOWN";
}

const char *celery_status_text(celery_status status)
{
    const struct status_row *row = find_row(status);
    return row ? row->text : "unknown status";
}

bool celery_error_retriable(const celery_error *err)
{
    const struct status_row *row = err ? find_row(err->status) : NULL;
    return row && row->retry != NEVER;
}
