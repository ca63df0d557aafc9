/* SPDX-License-Identifier: BSD-3-Clause */
/* Levels, finished lines and where they go; log_sink.c writes them out. */
#include "base/log.h"
#include "base/log_sink.h"
#include "base/utf8.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

enum { MESSAGE_MAX = 4096, SAFE_SIZE = 257, SAFE_COUNT = 8 };

static atomic_int lowest_level = CELERY_LOG_WARNING;
static celery_log_fn own_fn;
static void *own_ctx;

/* Recursive: a program's own function may log again. */
static pthread_mutex_t own_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static const struct {
    celery_log_level level;
    const char *name;
} names[] = {
    {CELERY_LOG_DEBUG, "DEBUG"},       {CELERY_LOG_INFO, "INFO"},
    {CELERY_LOG_WARNING, "WARNING"},   {CELERY_LOG_ERROR, "ERROR"},
    {CELERY_LOG_CRITICAL, "CRITICAL"}, {CELERY_LOG_WARNING, "WARN"},
    {CELERY_LOG_CRITICAL, "FATAL"},
};

bool cel_log_on(celery_log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed) &&
           level < CELERY_LOG_OFF;
}

void celery_log_set(celery_log_fn fn, void *ctx, celery_log_level lowest)
{
    pthread_mutex_lock(&own_lock);
    own_fn = fn;
    own_ctx = ctx;
    pthread_mutex_unlock(&own_lock);
    celery_log_set_level(lowest);
}

void celery_log_set_level(celery_log_level lowest)
{
    atomic_store(&lowest_level, (int)lowest);
}

/* A program's own function gets line after line, each terminated and within the limit. */
static void pass_lines(celery_log_level level, struct cel_slice text)
{
    char line[MESSAGE_MAX + 1];
    struct cel_slice part;
    while (cel_slice_split(&text, '\n', &part)) {
        size_t n = part.len < MESSAGE_MAX ? part.len : MESSAGE_MAX;
        if (n > 0) {
            memcpy(line, part.data, n);
            line[n] = '\0';
            own_fn(own_ctx, level, line);
        }
    }
}

void cel_log_text(celery_log_level level, struct cel_slice text)
{
    if (!cel_log_on(level)) {
        return;
    }
    if (!own_fn) {
        cel_log_sink_write(level, text);
        return;
    }
    pthread_mutex_lock(&own_lock);
    if (own_fn) {
        pass_lines(level, text);
    }
    pthread_mutex_unlock(&own_lock);
}

void cel_log_task_text(celery_log_level level, struct cel_slice text)
{
    cel_log_sink_of_task(true);
    cel_log_text(level, text);
    cel_log_sink_of_task(false);
}

void cel_logv(celery_log_level level, const char *fmt, va_list args)
{
    if (!cel_log_on(level)) {
        return;
    }
    char text[MESSAGE_MAX + 1];
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n < 0) {
        return;
    }
    size_t len = (size_t)n;
    if (len > MESSAGE_MAX) {
        len = MESSAGE_MAX;
        memcpy(text + len - 3, "...", 3);
    }
    cel_log_text(level, cel_slice(text, len));
}

void cel_log(celery_log_level level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    cel_logv(level, fmt, args);
    va_end(args);
}

/* The program's own text: it cannot be told what of it is untrusted, so all is escaped. */
void celery_log(celery_log_level level, const char *fmt, ...)
{
    if (!cel_log_on(level)) {
        return;
    }
    char text[MESSAGE_MAX + 1];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct cel_buf out = {0};
    if (n >= 0 && cel_utf8_escape(&out, cel_slice_of(text), MESSAGE_MAX) == CELERY_OK) {
        cel_log_text(level, cel_buf_slice(&out));
    }
    cel_buf_fini(&out);
}

const char *cel_log_safe(struct cel_slice text)
{
    static _Thread_local char ring[SAFE_COUNT][SAFE_SIZE];
    static _Thread_local unsigned next;
    char *slot = ring[next++ % SAFE_COUNT];
    size_t plain = 0;
    while (plain < text.len && text.data[plain] >= 0x20 && text.data[plain] < 0x7f) {
        plain++;
    }
    if (plain == text.len && plain < SAFE_SIZE) {
        if (plain > 0) {
            memcpy(slot, text.data, plain);
        }
        slot[plain] = '\0';
        return slot;
    }
    struct cel_buf out = {0};
    if (cel_utf8_escape(&out, text, SAFE_SIZE - 1) < 0) {
        cel_buf_fini(&out);
        return "?";
    }
    memcpy(slot, cel_buf_cstr(&out), out.len + 1);
    cel_buf_fini(&out);
    return slot;
}

const char *cel_log_level_name(celery_log_level level)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].level == level) {
            return names[i].name;
        }
    }
    return "NOTSET";
}

bool cel_log_level_parse(const char *text, celery_log_level *ret)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(text, names[i].name) == 0) {
            *ret = names[i].level;
            return true;
        }
    }
    return false;
}
