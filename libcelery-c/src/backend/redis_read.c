/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and removing stored results. */
#include "backend/redis.h"
#include "base/alloc.h"
#include "base/error.h"

/* An MGET without a reply yet; the ids' bytes lie behind the slices. */
struct load {
    struct cel_redis_backend *b;
    struct cel_done done;
    bool watched_only;
    size_t n;
    struct cel_slice ids[];
};

celery_status cel_redis_report_text(struct cel_redis_backend *b, struct cel_slice task_id,
                                    struct cel_slice text, celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    celery_status status = b->base.codec->decode(&a, text, NULL, &doc, err);
    if (status == CELERY_OK && cel_meta_status(doc).len == 0) {
        status = cel_error_set(err, CELERY_EMESSAGE, "it has no status");
    }
    if (status == CELERY_OK) {
        b->base.events->meta(b->base.events_ctx, task_id, doc);
    } else {
        cel_error_prefix(err, status,
                         "result document (result_serializer %s): ", b->base.codec->name);
    }
    cel_arena_fini(&a);
    return status;
}

celery_status cel_redis_report(struct cel_redis_backend *b, struct cel_slice task_id,
                               const struct cel_resp *value, celery_error *err)
{
    if (cel_redis_backend_failed(value, err)) {
        return err->status;
    }
    if (cel_resp_kind(value) != CEL_RESP_STRING) {
        b->base.events->meta(b->base.events_ctx, task_id, NULL);
        return CELERY_NONE;
    }
    return cel_redis_report_text(b, task_id, cel_resp_text(value), err);
}

static int64_t report_all(struct load *l, const struct cel_resp *reply, celery_error *err)
{
    int64_t found = 0;
    for (size_t i = 0; i < l->n && l->b->state == CEL_RB_OPEN; i++) {
        if (l->watched_only && !cel_redis_watches(l->b, l->ids[i])) {
            continue;
        }
        found +=
            cel_redis_report(l->b, l->ids[i], cel_resp_at(reply, i), err) == CELERY_OK;
    }
    return found;
}

static void on_loaded(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct load *l = ctx;
    struct cel_done done = l->done;
    celery_error err = {0};
    int64_t found = 0;
    if (why) {
        err = *why;
    } else if (!cel_redis_backend_failed(reply, &err)) {
        found = report_all(l, reply, &err);
    }
    cel_free(l);
    cel_done(done, err.status < 0 ? &err : NULL, found);
}

static struct load *new_load(struct cel_redis_backend *b, const struct cel_slice *ids,
                             size_t n, struct cel_done done)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += ids[i].len;
    }
    struct load *l = cel_alloc(sizeof *l + n * sizeof l->ids[0] + bytes);
    if (l) {
        char *at = (char *)&l->ids[n];
        *l = (struct load){.b = b, .done = done, .n = n};
        for (size_t i = 0; i < n; i++) {
            if (ids[i].len > 0) {
                memcpy(at, ids[i].data, ids[i].len);
            }
            l->ids[i] = cel_slice(at, ids[i].len);
            at += ids[i].len;
        }
    }
    return l;
}

/* MGET or DEL of the keys of some tasks. */
static celery_status send_keys(struct cel_redis_backend *b, const char *command,
                               const struct cel_slice *ids, size_t n, cel_redis_fn fn,
                               void *ctx)
{
    struct cel_slice *words = cel_redis_backend_words(b, n + 1);
    if (!words) {
        return CELERY_ENOMEM;
    }
    cel_buf_clear(&b->keys);
    for (size_t i = 0; i < n; i++) {
        cel_redis_backend_key(b, &b->keys, ids[i]);
    }
    if (!cel_buf_ok(&b->keys)) {
        return CELERY_ENOMEM;
    }
    words[0] = cel_slice_of(command);
    const char *at = b->keys.data;
    for (size_t i = 0; i < n; i++) {
        words[i + 1] = cel_slice(at, b->prefix_len + ids[i].len);
        at += words[i + 1].len;
    }
    return cel_redis_command(b->redis, fn, ctx, n + 1, words);
}

static void refuse(struct cel_done done, celery_status status)
{
    celery_error err = {0};
    cel_error_set(&err, status, "result backend: %s",
                  status == CELERY_ECLOSED ? "not connected"
                                           : celery_status_text(status));
    cel_done(done, &err, 0);
}

static void start_load(struct cel_redis_backend *b, const struct cel_slice *ids, size_t n,
                       bool watched_only, struct cel_done done)
{
    if (b->state != CEL_RB_OPEN) {
        refuse(done, CELERY_ECLOSED);
        return;
    }
    if (n == 0) {
        cel_done(done, NULL, 0);
        return;
    }
    struct load *l = new_load(b, ids, n, done);
    celery_status status = CELERY_ENOMEM;
    if (l) {
        l->watched_only = watched_only;
        status = send_keys(b, "MGET", ids, n, on_loaded, l);
    }
    if (status < 0) {
        cel_free(l);
        refuse(done, status);
    }
}

void cel_redis_load(struct cel_backend *base, const struct cel_slice *task_ids, size_t n,
                    struct cel_done done)
{
    start_load((struct cel_redis_backend *)base, task_ids, n, false, done);
}

void cel_redis_load_watched(struct cel_redis_backend *b, struct cel_slice task_id)
{
    start_load(b, &task_id, 1, true, (struct cel_done){0});
}

struct removal {
    struct cel_done done;
};

static void on_removed(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct removal *removal = ctx;
    struct cel_done done = removal->done;
    celery_error err = {0};
    cel_free(removal);
    if (why) {
        cel_done(done, why, 0);
    } else if (cel_redis_backend_failed(reply, &err)) {
        cel_done(done, &err, 0);
    } else {
        cel_done(done, NULL, cel_resp_int(reply));
    }
}

void cel_redis_forget(struct cel_backend *base, struct cel_slice task_id,
                      struct cel_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    struct removal *removal = NULL;
    celery_status status = CELERY_ECLOSED;
    if (b->state == CEL_RB_OPEN) {
        removal = cel_alloc(sizeof *removal);
        status = CELERY_ENOMEM;
    }
    if (removal) {
        removal->done = done;
        status = send_keys(b, "DEL", &task_id, 1, on_removed, removal);
    }
    if (status < 0) {
        cel_free(removal);
        refuse(done, status);
    }
}
