/* SPDX-License-Identifier: BSD-3-Clause */
/* Which queues have dead letters: the keys of the database are looked through. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "client/dead.h"

#define SUFFIX      ".celery-c.dead"
#define SCAN_COUNT  "1000"
#define MAX_CURSORS 1000000 /* SCAN ends by itself; this is for a server that does not */

struct scan {
    char cursor[24];
    struct cel_slice prefix;
    struct cel_map names; /* of the queues, to nothing */
};

/* What MATCH takes for a pattern stands for itself. */
static void add_quoted(struct cel_buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[]\\^", *text)) {
            cel_buf_addc(out, '\\');
        }
        cel_buf_addc(out, *text);
    }
}

static celery_status keep_names(void *ctx, const struct cel_resp *reply)
{
    struct scan *s = ctx;
    struct cel_slice cursor = cel_resp_text(cel_resp_at(reply, 0));
    const struct cel_resp *keys = cel_resp_at(reply, 1);
    size_t suffix = strlen(SUFFIX);

    if (cursor.len == 0 || cursor.len >= sizeof s->cursor) {
        return CELERY_EPROTO;
    }
    memcpy(s->cursor, cursor.data, cursor.len);
    s->cursor[cursor.len] = 0;
    for (size_t i = 0; i < cel_resp_size(keys); i++) {
        struct cel_slice key = cel_resp_text(cel_resp_at(keys, i));

        if (cel_slice_starts(key, s->prefix) && cel_slice_ends(key, CEL_SLICE(SUFFIX)) &&
            key.len >= s->prefix.len + suffix) {
            struct cel_slice name =
                cel_slice(key.data + s->prefix.len, key.len - s->prefix.len - suffix);

            /* A key may come twice. */
            if (cel_map_set(&s->names, name, s, NULL) < 0) {
                return CELERY_ENOMEM;
            }
        }
    }
    return CELERY_OK;
}

static celery_status scan(celery_dead *d, struct scan *s, celery_error *err)
{
    struct cel_buf pattern = {0};
    celery_status status = CELERY_OK;

    add_quoted(&pattern, d->keys.prefix);
    cel_buf_adds(&pattern, "*" SUFFIX);
    if (!cel_buf_ok(&pattern)) {
        status = cel_error_nomem(err);
    }
    memcpy(s->cursor, "0", 2);
    for (size_t i = 0; status == CELERY_OK && i < MAX_CURSORS; i++) {
        struct cel_slice words[] = {CEL_SLICE("SCAN"),  cel_slice_of(s->cursor),
                                    CEL_SLICE("MATCH"), cel_buf_slice(&pattern),
                                    CEL_SLICE("COUNT"), CEL_SLICE(SCAN_COUNT)};

        status = cel_dead_call(d, NULL, 0, 6, words, keep_names, s, err);
        if (strcmp(s->cursor, "0") == 0) {
            break;
        }
    }
    cel_buf_fini(&pattern);
    return status;
}

static celery_status keep_count(void *ctx, const struct cel_resp *reply)
{
    *(int64_t *)ctx = cel_resp_int(reply);
    return CELERY_OK;
}

static celery_status tell_one(celery_dead *d, struct cel_slice name,
                              celery_dead_queue_fn fn, void *ctx, celery_error *err)
{
    char *key = cel_redis_dead_key(&d->keys, name);
    struct cel_slice words[] = {CEL_SLICE("LLEN"), cel_slice_of(key)};
    celery_status status = CELERY_ENOMEM;
    int64_t n = 0;

    if (key) {
        words[1].len = strlen(d->keys.prefix) + name.len + strlen(SUFFIX);
        status = cel_dead_call(d, NULL, 0, 2, words, keep_count, &n, err);
    } else {
        cel_error_nomem(err);
    }
    if (status == CELERY_OK && n > 0) {
        fn(ctx, cel_log_safe(name), (size_t)n);
    }
    cel_free(key);
    return status;
}

celery_status celery_dead_queues(celery_dead *dead, celery_dead_queue_fn fn, void *ctx,
                                 celery_error *err)
{
    struct scan s = {{0}, {NULL, 0}, {0}};
    struct cel_slice name;
    celery_status status;
    void *value;
    size_t at = 0;

    if (!dead) {
        return CELERY_EINVAL;
    }
    if (dead->held) {
        return cel_dead_held_queues(dead->held, fn, ctx, err);
    }
    s.prefix = cel_slice_of(dead->keys.prefix);
    status = scan(dead, &s, err);
    while (status == CELERY_OK && cel_map_next(&s.names, &at, &name, &value)) {
        status = tell_one(dead, name, fn, ctx, err);
    }
    cel_map_fini(&s.names);
    return status;
}
