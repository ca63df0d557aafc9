/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for results: SUBSCRIBE to the channel that is named like the key, and read the key
 * once the subscription is known to stand, so that no change in between is missed.
 */
#include "backend/redis.h"
#include "base/alloc.h"
#include "base/error.h"

struct cel_redis_watch {
    size_t len;
    char id[];
};

static struct cel_redis_watch *find(const struct cel_redis_backend *b,
                                    struct cel_slice key)
{
    return cel_map_get(&b->watches, key);
}

static struct cel_slice key_of(struct cel_redis_backend *b, struct cel_slice task_id)
{
    cel_buf_clear(&b->keys);
    return cel_redis_backend_key(b, &b->keys, task_id) < 0 ? CEL_SLICE_NULL
                                                           : cel_buf_slice(&b->keys);
}

bool cel_redis_watches(const struct cel_redis_backend *b, struct cel_slice task_id)
{
    struct cel_slice key = key_of((struct cel_redis_backend *)b, task_id);
    return key.data && find(b, key);
}

/* The answer to the PING behind a SUBSCRIBE, with the key: ["pong", key]. */
static void on_subscribed(void *ctx, const struct cel_resp *reply,
                          const celery_error *err)
{
    struct cel_redis_backend *b = ctx;
    if (err || b->state != CEL_RB_OPEN) {
        return;
    }
    struct cel_slice key = cel_resp_kind(reply) == CEL_RESP_ARRAY
                               ? cel_resp_text(cel_resp_at(reply, 1))
                               : cel_resp_text(reply);
    struct cel_redis_watch *watch = find(b, key);
    if (watch) {
        cel_redis_load_watched(b, cel_slice(watch->id, watch->len));
    }
}

static celery_status subscribe(struct cel_redis_backend *b, struct cel_slice key)
{
    const struct cel_slice ping[] = {CEL_SLICE("PING"), key};
    celery_status status = cel_redis_subscribe(b->subscriber, key, false);
    if (status == CELERY_OK) {
        status = cel_redis_command(b->subscriber, on_subscribed, b, 2, ping);
    }
    return status;
}

static void on_message(void *ctx, struct cel_slice channel, struct cel_slice payload)
{
    struct cel_redis_backend *b = ctx;
    struct cel_redis_watch *watch = find(b, channel);
    celery_error err = {0};
    if (watch) {
        /* What cannot be read is not reported; a load() says what is wrong with it. */
        cel_redis_report_text(b, cel_slice(watch->id, watch->len), payload, &err);
    }
}

static void on_opened(void *ctx)
{
    struct cel_redis_backend *b = ctx;
    struct cel_slice key;
    size_t at = 0;
    celery_status status = CELERY_OK;
    b->subscriber_open = true;
    while (status == CELERY_OK && cel_map_next(&b->watches, &at, &key, NULL)) {
        status = subscribe(b, key);
    }
    if (status < 0) {
        celery_error err = {0};
        cel_error_set(&err, status, "result backend: cannot subscribe");
        cel_redis_backend_drop(b, &err);
    }
}

static void on_closed(void *ctx, const celery_error *why)
{
    cel_redis_backend_drop(ctx, why);
}

static const struct cel_redis_events events = {
    .opened = on_opened, .closed = on_closed, .message = on_message};

static celery_status open_subscriber(struct cel_redis_backend *b)
{
    return cel_redis_open(b->base.loop, b->urls + b->url_index, b->n_urls - b->url_index,
                          &b->options, &events, b, &b->subscriber, NULL);
}

static struct cel_redis_watch *new_watch(struct cel_slice task_id)
{
    struct cel_redis_watch *watch = cel_alloc(sizeof *watch + task_id.len);
    if (watch) {
        watch->len = task_id.len;
        if (task_id.len > 0) {
            memcpy(watch->id, task_id.data, task_id.len);
        }
    }
    return watch;
}

celery_status cel_redis_watch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    if (b->state != CEL_RB_OPEN) {
        return CELERY_ECLOSED;
    }
    struct cel_slice key = key_of(b, task_id);
    if (!key.data) {
        return CELERY_ENOMEM;
    }
    if (!find(b, key)) {
        struct cel_redis_watch *watch = new_watch(task_id);
        if (!watch || cel_map_set(&b->watches, key, watch, NULL) < 0) {
            cel_free(watch);
            return CELERY_ENOMEM;
        }
    }
    celery_status status = CELERY_OK;
    if (b->subscriber_open) {
        status = subscribe(b, key);
    } else if (!b->subscriber) {
        status = open_subscriber(b);
    }
    if (status < 0) {
        cel_free(cel_map_del(&b->watches, key_of(b, task_id)));
    }
    return status;
}

void cel_redis_unwatch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    struct cel_slice key = key_of(b, task_id);
    struct cel_redis_watch *watch = key.data ? cel_map_del(&b->watches, key) : NULL;
    if (watch && b->subscriber_open) {
        cel_redis_unsubscribe(b->subscriber, key, false);
    }
    cel_free(watch);
}

void cel_redis_watch_clear(struct cel_redis_backend *b)
{
    size_t at = 0;
    void *watch;
    while (cel_map_next(&b->watches, &at, NULL, &watch)) {
        cel_free(watch);
    }
    cel_map_fini(&b->watches);
}
