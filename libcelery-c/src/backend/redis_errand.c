/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/redis_errand.h"
#include "base/alloc.h"
#include "base/error.h"

static void fail(const struct cel_redis_errand *e, const celery_error *err)
{
    if (e->chord.fn) {
        e->chord.fn(e->chord.ctx, err, CEL_CHORD_OPEN, NULL);
    } else {
        cel_done(e->done, err, 0);
    }
}

bool cel_redis_answered(const struct cel_redis_errand *e, const struct cel_resp *reply,
                        const celery_error *why, celery_error *err)
{
    if (why) {
        *err = *why;
        return false;
    }
    return !cel_redis_backend_failed(reply, err);
}

void cel_redis_errand_failed(struct cel_redis_errand *e, const celery_error *err,
                             bool connected)
{
    struct cel_redis_backend *b = e->b;
    fail(e, err);
    cel_free(e);
    if (connected && err->status == CELERY_ECLOSED) {
        cel_redis_backend_drop(b, err);
    }
}

void cel_redis_on_number(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct cel_redis_errand *e = ctx;
    celery_error err = {0};
    if (!cel_redis_answered(e, reply, why, &err)) {
        cel_redis_errand_failed(e, &err, !why);
        return;
    }
    struct cel_done done = e->done;
    int64_t answer = cel_resp_int(reply);
    cel_free(e);
    cel_done(done, NULL, answer);
}

struct cel_redis_errand *cel_redis_errand_new(struct cel_redis_backend *b,
                                              struct cel_slice id, struct cel_done done)
{
    struct cel_redis_errand *e = cel_calloc(1, sizeof *e + id.len);
    if (e) {
        e->b = b;
        e->done = done;
        e->id_len = id.len;
        if (id.len > 0) {
            memcpy(e->id, id.data, id.len);
        }
    }
    return e;
}

celery_status cel_redis_refusal(const struct cel_redis_backend *b)
{
    return b->state == CEL_RB_OPEN ? CELERY_ENOMEM : CELERY_ECLOSED;
}

void cel_redis_refuse(struct cel_redis_errand *give_e,
                      const struct cel_redis_errand *unmade, celery_status status)
{
    celery_error err = {0};
    cel_error_set(&err, status, "result backend: %s",
                  status == CELERY_ECLOSED ? "not connected"
                                           : celery_status_text(status));
    fail(give_e ? give_e : unmade, &err);
    cel_free(give_e);
}

bool cel_redis_put_keys(struct cel_redis_backend *b, struct cel_slice group_id,
                        const char *const *endings, size_t n, struct cel_slice *words)
{
    size_t base = strlen(b->group_prefix) + group_id.len;
    cel_buf_clear(&b->keys);
    for (size_t i = 0; i < n; i++) {
        cel_buf_adds(&b->keys, b->group_prefix);
        cel_buf_add_slice(&b->keys, group_id);
        cel_buf_adds(&b->keys, endings[i]);
    }
    if (!cel_buf_ok(&b->keys)) {
        return false;
    }
    const char *at = b->keys.data;
    for (size_t i = 0; i < n; i++) {
        words[i] = cel_slice(at, base + strlen(endings[i]));
        at += words[i].len;
    }
    return true;
}

void cel_redis_ask(struct cel_redis_backend *b, struct cel_slice group_id,
                   struct cel_redis_script *script, const char *const *keys,
                   size_t n_keys, const struct cel_slice *args, size_t n_args,
                   struct cel_done done)
{
    const struct cel_redis_errand unmade = {.done = done};
    struct cel_slice words[12];
    struct cel_redis_errand *e =
        b->state == CEL_RB_OPEN ? cel_redis_errand_new(b, CEL_SLICE_NULL, done) : NULL;
    celery_status status = cel_redis_refusal(b);
    if (e && cel_redis_put_keys(b, group_id, keys, n_keys, words)) {
        for (size_t i = 0; i < n_args; i++) {
            words[n_keys + i] = args[i];
        }
        status = cel_redis_eval(b->redis, script, cel_redis_on_number, e, n_keys,
                                n_keys + n_args, words);
    }
    if (status < 0) {
        cel_redis_refuse(e, &unmade, status);
    }
}
