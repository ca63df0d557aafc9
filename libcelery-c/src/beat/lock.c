/* SPDX-License-Identifier: BSD-3-Clause */
#include "beat/lock.h"
#include "backend/backend.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/url.h"
#include "transport/transport.h"

static bool is_redis(const char *scheme)
{
    return strncmp(scheme, "redis", 5) == 0 || strcmp(scheme, "sentinel") == 0;
}

/* The scheme of the first broker, "" when there is none. */
static void broker_scheme(const struct cel_config *config, char *text, size_t size)
{
    struct cel_url **urls = NULL;
    size_t n = 0;

    *text = '\0';
    if (cel_transport_urls(config, "broker_write_url", &urls, &n, NULL) == CELERY_OK &&
        n > 0 && strlen(urls[0]->scheme) < size) {
        memcpy(text, urls[0]->scheme, strlen(urls[0]->scheme) + 1);
    }
    cel_url_free_list(urls, n);
}

static const struct cel_beat_lock_ops *choose(const struct cel_config *config)
{
    const char *kind = cel_config_text(config, "beat_c_lock");
    const struct cel_backend_ops *backend = cel_backend_of(config);
    char scheme[32];

    if (kind && strcmp(kind, "redis") == 0) {
        return &cel_beat_lock_redis;
    }
#if CEL_AMQP
    if (kind && strcmp(kind, "amqp") == 0) {
        return &cel_beat_lock_amqp;
    }
#endif
    if (kind && strcmp(kind, "file") == 0) {
        return &cel_beat_lock_file;
    }
    broker_scheme(config, scheme, sizeof scheme);
    if (is_redis(scheme)) {
        return &cel_beat_lock_redis;
    }
#if CEL_AMQP
    if (strncmp(scheme, "amqp", 4) == 0 || strcmp(scheme, "pyamqp") == 0) {
        return &cel_beat_lock_amqp;
    }
#endif
    return backend && strcmp(backend->name, "redis") == 0 ? &cel_beat_lock_redis
                                                          : &cel_beat_lock_file;
}

celery_status cel_beat_lock_new(struct cel_loop *loop, const struct cel_config *config,
                                const char *path,
                                const struct cel_beat_lock_events *events, void *ctx,
                                struct cel_beat_lock **ret_lock, celery_error *err)
{
    const struct cel_beat_lock_ops *ops = choose(config);
    const char *name = cel_config_text(config, "beat_c_lock_name");
    struct cel_beat_lock *lock = cel_calloc(1, ops->size);

    if (!lock) {
        return cel_error_nomem(err);
    }
    lock->ops = ops;
    lock->loop = loop;
    lock->config = config;
    lock->path = path;
    lock->name = name && *name ? name : "default";
    lock->ttl = cel_config_double(config, "beat_c_lock_ttl", 15);
    lock->events = events;
    lock->ctx = ctx;
    celery_status status = ops->init(lock, err);

    *ret_lock = status < 0 ? cel_beat_lock_free(lock) : lock;
    return status;
}

struct cel_beat_lock *cel_beat_lock_free(struct cel_beat_lock *lock)
{
    if (lock) {
        lock->ops->fini(lock);
        cel_free(lock);
    }
    return NULL;
}

void cel_beat_lock_gain(struct cel_beat_lock *lock, struct cel_slice state)
{
    lock->held = true;
    lock->events->gained(lock->ctx, state);
}

void cel_beat_lock_lose(struct cel_beat_lock *lock, const celery_error *why)
{
    if (lock->held) {
        lock->held = false;
        lock->events->lost(lock->ctx, why);
    }
}

void cel_beat_lock_wait(struct cel_beat_lock *lock, const char *why)
{
    lock->events->waiting(lock->ctx, why);
}
