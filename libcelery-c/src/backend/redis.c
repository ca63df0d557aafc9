/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/backends/redis.py: keys, connections, and what ends them. */
#include "backend/redis.h"
#include "backend/builtin.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include <math.h>
#include <stdio.h>

#define KEY_PREFIX   "celery-task-meta-"
#define GROUP_PREFIX "celery-taskset-meta-"

static struct cel_redis_backend *self(struct cel_backend *base)
{
    return (struct cel_redis_backend *)base;
}

/* BaseKeyValueStoreBackend._add_global_keyprefix(). */
static celery_status make_prefix(struct cel_redis_backend *b,
                                 const struct cel_node *options, celery_error *err)
{
    struct cel_slice global =
        cel_node_text(cel_node_get(options, CEL_SLICE("global_keyprefix")));
    struct cel_buf text = {0};
    cel_buf_add_slice(&text, global);
    if (global.len > 0 && !memchr(":_-.", global.data[global.len - 1], 4)) {
        cel_buf_addc(&text, '_');
    }
    size_t global_len = text.len;
    cel_buf_adds(&text, KEY_PREFIX);
    b->prefix_len = text.len;
    b->prefix = cel_buf_steal(&text);
    cel_buf_fini(&text);
    if (b->prefix) {
        cel_buf_add(&text, b->prefix, global_len);
        cel_buf_adds(&text, GROUP_PREFIX);
        b->group_prefix = cel_buf_steal(&text);
        cel_buf_fini(&text);
    }
    return b->group_prefix ? CELERY_OK : cel_error_nomem(err);
}

static double explicit_seconds(const struct cel_config *c, const char *name)
{
    return cel_config_is_set(c, name) && cel_config_origin(c, name) != CEL_FROM_DEFAULT
               ? cel_config_double(c, name, 0)
               : 0;
}

/* A copy for the lifetime of the backend; NULL when absent or out of memory. */
static char *option_text(const struct cel_node *options, const char *name)
{
    struct cel_slice text = cel_node_text(cel_node_get(options, cel_slice_of(name)));
    return text.len > 0 ? cel_strndup(text.data, text.len) : NULL;
}

static void put_ttl(char text[24], double seconds)
{
    snprintf(text, 24, "%lld", seconds < 1e15 ? (long long)seconds : 0LL);
}

/*
 * RedisBackend.__init__, BaseKeyValueStoreBackend.chord_expires and _chord_result_expires (5.7):
 * what is unset lives as long as a result.
 */
static void read_ttls(struct cel_redis_backend *b, const struct cel_config *c)
{
    double all = c ? cel_config_double(c, "result_expires", 0) : 86400;
    double failure = c ? cel_config_double(c, "result_failure_expires", all) : all;
    double chord = c ? cel_config_double(c, "result_chord_expires", all) : all;

    put_ttl(b->ttl, all);
    put_ttl(b->failure_ttl, failure);
    put_ttl(b->chord_ttl, chord);
    put_ttl(b->group_ttl, all < 1 || chord < 1 ? 0 : fmax(all, chord));
}

/* Celery waits 120 s for the socket; unless that was asked for, ours is the shorter one. */
static void read_settings(struct cel_redis_backend *b, const struct cel_config *c,
                          const struct cel_node *options)
{
    struct cel_redis_options *o = &b->options;
    o->keepalive = true;
    o->require_ssl_cert_reqs = true;
    o->setting = "result_backend";
    o->sentinel_master = option_text(options, "master_name");
    o->sentinel_password =
        option_text(cel_node_get(options, CEL_SLICE("sentinel_kwargs")), "password");
    b->chord_ordered =
        cel_node_bool(cel_node_get(options, CEL_SLICE("result_chord_ordered")), true);
    if (c) {
        o->command_timeout = explicit_seconds(c, "redis_socket_timeout");
        o->connect_timeout = explicit_seconds(c, "redis_socket_connect_timeout");
        o->health_check_interval =
            explicit_seconds(c, "redis_backend_health_check_interval");
    }
    read_ttls(b, c);
}

static celery_status redis_init(struct cel_backend *base, struct cel_url *const *urls,
                                size_t n, const struct cel_config *c, celery_error *err)
{
    struct cel_redis_backend *b = self(base);
    const struct cel_node *options =
        c ? cel_config_doc(c, "result_backend_transport_options") : NULL;
    b->urls = urls;
    b->n_urls = n;
    read_settings(b, c, options);
    celery_status status = make_prefix(b, options, err);
    for (size_t i = 0; i < n && status == CELERY_OK; i++) {
        status = cel_redis_check_url(urls[i], &b->options, err);
    }
    if (status == CELERY_OK &&
        cel_loop_add_hook(base->loop, &b->hook, cel_redis_store_flush, b) < 0) {
        status = cel_error_nomem(err);
    }
    return status;
}

static void redis_fini(struct cel_backend *base)
{
    struct cel_redis_backend *b = self(base);
    b->hook = cel_source_free(b->hook);
    cel_free(b->prefix);
    cel_free(b->group_prefix);
    cel_free((char *)b->options.sentinel_master);
    cel_free((char *)b->options.sentinel_password);
    cel_free(b->batch.entries);
    cel_buf_fini(&b->batch.bytes);
    cel_free(b->words);
    cel_buf_fini(&b->keys);
    cel_map_fini(&b->watches);
}

/* ---- connection ---- */

/* Everything that waits is answered; callbacks may already ask for a new connection. */
static void shut(struct cel_redis_backend *b, const celery_error *why)
{
    struct cel_redis *redis = b->redis;
    struct cel_redis *subscriber = b->subscriber;
    b->state = CEL_RB_CLOSED;
    b->redis = NULL;
    b->subscriber = NULL;
    b->subscriber_open = false;
    cel_redis_watch_clear(b);
    cel_redis_free(subscriber);
    cel_redis_free(redis);
    cel_redis_store_fail(b, why);
}

void cel_redis_backend_drop(struct cel_redis_backend *b, const celery_error *why)
{
    enum cel_redis_backend_state state = b->state;
    celery_error err = *why;
    struct cel_done connected = b->connected;
    if (state == CEL_RB_CLOSED) {
        return;
    }
    b->connected = (struct cel_done){0};
    shut(b, &err);
    if (state == CEL_RB_CONNECTING) {
        cel_done(connected, &err, 0);
    } else if (b->base.events->lost) {
        b->base.events->lost(b->base.events_ctx, &err);
    }
}

static void on_opened(void *ctx)
{
    struct cel_redis_backend *b = ctx;
    struct cel_done connected = b->connected;
    b->connected = (struct cel_done){0};
    b->state = CEL_RB_OPEN;
    cel_done(connected, NULL, 0);
}

static void on_closed(void *ctx, const celery_error *why)
{
    cel_redis_backend_drop(ctx, why);
}

static const struct cel_redis_events events = {.opened = on_opened, .closed = on_closed};

static void redis_connect(struct cel_backend *base, size_t url_index,
                          struct cel_done done)
{
    struct cel_redis_backend *b = self(base);
    celery_error err = {0};
    if (b->state != CEL_RB_CLOSED) {
        cel_error_set(&err, CELERY_EINVAL, "the result backend is connected already");
        cel_done(done, &err, 0);
        return;
    }
    b->url_index = url_index < b->n_urls ? url_index : 0;
    b->state = CEL_RB_CONNECTING;
    b->connected = done;
    celery_status status =
        cel_redis_open(base->loop, b->urls + b->url_index, b->n_urls - b->url_index,
                       &b->options, &events, b, &b->redis, &err);
    if (status < 0) {
        cel_redis_backend_drop(b, &err);
    }
}

static void redis_close(struct cel_backend *base)
{
    struct cel_redis_backend *b = self(base);
    celery_error err = {0};
    struct cel_done connected = b->connected;
    b->connected = (struct cel_done){0};
    cel_error_set(&err, CELERY_ECLOSED, "result backend closed");
    shut(b, &err);
    cel_done(connected, &err, 0);
}

/* ---- for the other files ---- */

celery_status cel_redis_backend_key(struct cel_redis_backend *b, struct cel_buf *out,
                                    struct cel_slice task_id)
{
    cel_buf_add(out, b->prefix, b->prefix_len);
    return cel_buf_add_slice(out, task_id);
}

struct cel_slice *cel_redis_backend_words(struct cel_redis_backend *b, size_t n)
{
    if (n > b->words_cap) {
        struct cel_slice *words = cel_realloc(b->words, n, sizeof *words);
        if (!words) {
            return NULL;
        }
        b->words = words;
        b->words_cap = n;
    }
    return b->words;
}

/* What an operator can mend passes; a key of another kind does not. */
static celery_status status_of(struct cel_slice text, const struct cel_resp *reply)
{
    static const struct {
        const char *code;
        celery_status status;
    } rows[] = {
        {"OOM", CELERY_ESYSTEM},        {"MISCONF", CELERY_ESYSTEM},
        {"NOREPLICAS", CELERY_ESYSTEM}, {"BUSY", CELERY_ESYSTEM},
        {"NOPERM", CELERY_EAUTH},       {"NOAUTH", CELERY_EAUTH},
    };
    if (cel_redis_error_is_failover(reply)) {
        return CELERY_ECLOSED;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cel_slice_starts(text, cel_slice_of(rows[i].code))) {
            return rows[i].status;
        }
    }
    return CELERY_EPROTO;
}

bool cel_redis_backend_failed(const struct cel_resp *reply, celery_error *err)
{
    if (cel_resp_kind(reply) != CEL_RESP_ERROR) {
        return false;
    }
    struct cel_slice text = cel_resp_text(reply);
    cel_error_set(err, status_of(text, reply), "result backend: %s%s", cel_log_safe(text),
                  cel_redis_error_is_cluster(reply) ? " (" CEL_REDIS_CLUSTER_TEXT ")"
                                                    : "");
    return true;
}

static const char *const schemes[] = {"redis", "rediss", "redis+socket", "sentinel",
                                      NULL};

const struct cel_backend_ops cel_backend_redis = {
    .name = "redis",
    .schemes = schemes,
    .flags = CEL_BACKEND_PUSHES | CEL_BACKEND_SHARED | CEL_BACKEND_COUNTS |
             CEL_BACKEND_FAILURE_EXPIRES,
    .size = sizeof(struct cel_redis_backend),
    .init = redis_init,
    .fini = redis_fini,
    .connect = redis_connect,
    .close = redis_close,
    .store = cel_redis_store,
    .load = cel_redis_load,
    .watch = cel_redis_watch,
    .unwatch = cel_redis_unwatch,
    .forget = cel_redis_forget,
    .note = cel_redis_note,
    .load_group = cel_redis_load_group,
    .forget_group = cel_redis_forget_group,
    .add_chord_part = cel_redis_add_chord_part,
    .keep_chord = cel_redis_keep_chord,
    .end_chord = cel_redis_end_chord,
    .end_chord_with = cel_redis_end_chord_with,
};
