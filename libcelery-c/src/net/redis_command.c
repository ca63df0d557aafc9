/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands into the buffer, and the ring of those without a reply. */
#include "net/redis_priv.h"

#include "base/alloc.h"

#include <stdarg.h>

#define FIRST_RING   64
#define LARGEST_RING ((size_t)1 << 20) /* commands that wait for a reply */
#define MOST_WORDS   32

static bool grow_ring(struct cel_redis *r)
{
    size_t size = r->ring_size ? r->ring_size * 2 : FIRST_RING;
    struct cel_redis_pending *ring =
        size > LARGEST_RING ? NULL : cel_realloc(NULL, size, sizeof *ring);

    if (!ring) {
        return false;
    }
    for (size_t i = 0; i < r->count; i++) {
        ring[i] = r->ring[(r->head + i) & (r->ring_size - 1)];
    }
    cel_free(r->ring);
    r->ring = ring;
    r->ring_size = size;
    r->head = 0;
    return true;
}

struct cel_redis_pending *cel_redis_begin(struct cel_redis *r, size_t argc)
{
    struct cel_buf *out = cel_conn_out(r->conn);

    if (r->count == r->ring_size && !grow_ring(r)) {
        return NULL;
    }
    struct cel_redis_pending *p = &r->ring[(r->head + r->count) & (r->ring_size - 1)];
    *p = (struct cel_redis_pending){.at = cel_loop_now(r->loop), .end = out->len};
    if (cel_resp_begin(out, argc) < 0) {
        out->failed = false;
        return NULL;
    }
    return p;
}

celery_status cel_redis_end(struct cel_redis *r, struct cel_redis_pending *p,
                            celery_status status)
{
    struct cel_buf *out = cel_conn_out(r->conn);
    size_t before = (size_t)p->end;

    if (status < 0) {
        out->len = before;
        out->failed = false;
        return status;
    }
    r->queued += out->len - before;
    p->end = r->queued;
    r->count++;
    if (r->count == 1 && (r->due == 0 || r->due > p->at + cel_redis_limit(r))) {
        cel_redis_set_timer(r, p->at + cel_redis_limit(r));
    }
    cel_conn_flush_later(r->conn);
    return CELERY_OK;
}

celery_status cel_redis_queue(struct cel_redis *r, cel_redis_fn fn, void *ctx,
                              size_t argc, const struct cel_slice *argv)
{
    struct cel_redis_pending *p = cel_redis_begin(r, argc);
    celery_status status = CELERY_OK;

    if (!p) {
        return CELERY_ELIMIT;
    }
    p->fn = fn;
    p->ctx = ctx;
    for (size_t i = 0; i < argc && status == CELERY_OK; i++) {
        status = cel_resp_word(cel_conn_out(r->conn), argv[i]);
    }
    return cel_redis_end(r, p, status);
}

celery_status cel_redis_command(struct cel_redis *r, cel_redis_fn fn, void *ctx,
                                size_t argc, const struct cel_slice *argv)
{
    if (r->state != CEL_REDIS_OPEN) {
        return CELERY_ECLOSED;
    }
    return argc == 0 ? CELERY_EINVAL : cel_redis_queue(r, fn, ctx, argc, argv);
}

struct words {
    struct cel_slice argv[MOST_WORDS];
    bool in_scratch[MOST_WORDS]; /* argv[i].data is an offset into scratch so far */
    size_t argc;
};

static bool put_argument(struct cel_buf *to, const char **fmt, va_list *args)
{
    const struct cel_slice *slice;
    const char *f = *fmt;

    if (strncmp(f, "%lld", 4) == 0) {
        *fmt += 4;
        return cel_buf_add_int(to, va_arg(*args, long long)) == CELERY_OK;
    }
    *fmt += 2;
    switch (f[1]) {
    case 's':
        return cel_buf_adds(to, va_arg(*args, const char *)) == CELERY_OK;
    case 'b':
        slice = va_arg(*args, const struct cel_slice *);
        return cel_buf_add_slice(to, *slice) == CELERY_OK;
    case 'd':
        return cel_buf_add_int(to, va_arg(*args, int)) == CELERY_OK;
    case '%':
        return cel_buf_addc(to, '%') == CELERY_OK;
    default:
        return false;
    }
}

/* One word: as it stands in the format, or put together in scratch. */
static bool put_word(struct cel_buf *scratch, const char **fmt, va_list *args,
                     struct cel_slice *ret_word, bool *ret_in_scratch)
{
    const char *f = *fmt;
    size_t plain = strcspn(f, " %");

    if (f[plain] != '%') {
        *ret_word = cel_slice(f, plain);
        *ret_in_scratch = false;
        *fmt = f + plain;
        return true;
    }
    size_t from = scratch->len;
    while (**fmt && **fmt != ' ') {
        size_t n = strcspn(*fmt, " %");
        cel_buf_add(scratch, *fmt, n);
        *fmt += n;
        if (**fmt == '%' && !put_argument(scratch, fmt, args)) {
            return false;
        }
    }
    *ret_word = cel_slice(NULL, scratch->len - from);
    *ret_in_scratch = true;
    return cel_buf_ok(scratch);
}

static bool put_words(struct cel_buf *scratch, struct words *w, const char *fmt,
                      va_list *args)
{
    while (*fmt) {
        if (*fmt == ' ') {
            fmt++;
            continue;
        }
        if (w->argc == MOST_WORDS ||
            !put_word(scratch, &fmt, args, &w->argv[w->argc], &w->in_scratch[w->argc])) {
            return false;
        }
        w->argc++;
    }
    const char *at = scratch->data;
    for (size_t i = 0; i < w->argc; i++) {
        if (w->in_scratch[i]) {
            w->argv[i].data = at;
            at += w->argv[i].len;
        }
    }
    return w->argc > 0;
}

celery_status cel_redis_commandf(struct cel_redis *r, cel_redis_fn fn, void *ctx,
                                 const char *fmt, ...)
{
    struct words w = {.argc = 0};
    va_list args;

    cel_buf_clear(&r->scratch);
    va_start(args, fmt);
    bool ok = put_words(&r->scratch, &w, fmt, &args);
    va_end(args);
    if (!ok) {
        return cel_buf_ok(&r->scratch) ? CELERY_EINVAL : CELERY_ENOMEM;
    }
    return cel_redis_command(r, fn, ctx, w.argc, w.argv);
}
