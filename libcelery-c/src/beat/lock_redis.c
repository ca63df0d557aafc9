/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lock and state in Redis: "<prefix>celery-c.beat.<name>.lock" holds the leader's token and
 * expires, "....state" what it knows.  Each step is one script that looks at the token first, so
 * a beat that was away longer than it knows can neither renew nor write nor delete.
 */
#include "backend/backend.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/uuid.h"
#include "beat/lock.h"
#include "client/uplink.h"
#include "net/redis_conn.h"
#include "transport/redis_options.h"
#include "transport/transport.h"

#include <math.h>
#include <stdio.h>

/* A leader stops before others may begin: its clock and the server's differ by some travel. */
#define MARGIN 0.1

struct redis_lock {
    struct cel_beat_lock base;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_redis_settings set;
    struct cel_redis_keys keys; /* of the broker; else only its prefix */
    struct cel_uplink link;
    struct cel_redis *redis;
    struct cel_done on_connected;
    struct cel_source *timer;
    char token[CEL_UUID_SIZE];
    char ttl_ms[24];
    char *keys_of[2]; /* lock, state */
    double ends;      /* loop time at which our lease is over, as far as we know */
    double asked;     /* loop time of the question that is on its way */
    bool asking;
    bool released;
    struct cel_done saved;
    double save_asked;
};

static struct cel_redis_script acquire = {
    .text = "local t = redis.call('get', KEYS[1])\n"
            "if t and t ~= ARGV[1] then return {0, t} end\n"
            "redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])\n"
            "return {1, redis.call('get', KEYS[2]) or ''}"};

static struct cel_redis_script renew = {
    .text = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end\n"
            "return redis.call('pexpire', KEYS[1], ARGV[2])"};

static struct cel_redis_script save = {
    .text = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end\n"
            "redis.call('set', KEYS[2], ARGV[3])\n"
            "return redis.call('pexpire', KEYS[1], ARGV[2])"};

static struct cel_redis_script release = {
    .text = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end\n"
            "return redis.call('del', KEYS[1])"};

static struct redis_lock *self(struct cel_beat_lock *base)
{
    return (struct redis_lock *)base;
}

static double now(const struct redis_lock *r)
{
    return cel_loop_now(r->base.loop);
}

static celery_status run(struct redis_lock *r, struct cel_redis_script *script,
                         cel_redis_fn fn, struct cel_slice text)
{
    struct cel_slice argv[] = {cel_slice_of(r->keys_of[0]), cel_slice_of(r->keys_of[1]),
                               cel_slice_of(r->token), cel_slice_of(r->ttl_ms), text};

    return r->redis ? cel_redis_eval(r->redis, script, fn, r, 2, text.data ? 5 : 4, argv)
                    : CELERY_ECLOSED;
}

/* ---- asking for the lock, and renewing it ---- */

static void lose(struct redis_lock *r, const char *why)
{
    celery_error err = {0};

    cel_error_set(&err, CELERY_ECLOSED, "%s", why);
    cel_beat_lock_lose(&r->base, &err);
}

static void look_in(struct redis_lock *r)
{
    double wait = r->base.ttl / 3;

    wait = r->base.held || wait < 1 ? wait : 1;
    if (r->base.held && r->ends - now(r) < wait) {
        wait = r->ends > now(r) ? r->ends - now(r) : 0;
    }
    cel_source_rearm(r->timer, now(r) + wait);
}

static void extend(struct redis_lock *r, double asked)
{
    r->ends = asked + r->base.ttl * (1 - MARGIN);
}

static bool refused(struct redis_lock *r, const struct cel_resp *reply,
                    const celery_error *err)
{
    char text[200];

    if (!err && cel_resp_kind(reply) != CEL_RESP_ERROR) {
        return false;
    }
    struct cel_slice why = cel_resp_text(reply);

    snprintf(text, sizeof text, "%.*s", err ? 190 : (int)(why.len < 190 ? why.len : 190),
             err ? err->message : why.data);
    cel_beat_lock_wait(&r->base, text);
    return true;
}

static void on_acquired(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct redis_lock *r = ctx;

    r->asking = false;
    if (r->released) {
        return;
    }
    if (!refused(r, reply, err)) {
        if (cel_resp_int(cel_resp_at(reply, 0)) == 1) {
            extend(r, r->asked);
            cel_beat_lock_gain(&r->base, cel_resp_text(cel_resp_at(reply, 1)));
        } else {
            cel_beat_lock_wait(&r->base, "another beat has it");
        }
    }
    look_in(r);
}

static void on_renewed(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct redis_lock *r = ctx;

    r->asking = false;
    if (r->released || !r->base.held) {
        return;
    }
    if (!refused(r, reply, err)) {
        if (cel_resp_int(reply) == 1) {
            extend(r, r->asked);
        } else {
            lose(r, "another beat has the lock, or it is gone");
        }
    }
    look_in(r);
}

static void look(void *ctx)
{
    struct redis_lock *r = ctx;

    if (r->base.held && now(r) >= r->ends) {
        lose(r, "it could not be renewed in time");
    }
    if (r->redis && r->link.state == CEL_UPLINK_UP && !r->asking) {
        r->asked = now(r);
        r->asking = run(r, r->base.held ? &renew : &acquire,
                        r->base.held ? on_renewed : on_acquired,
                        (struct cel_slice){0}) == CELERY_OK;
    }
    look_in(r);
}

/* ---- connection ---- */

static void on_opened(void *ctx)
{
    struct redis_lock *r = ctx;
    struct cel_done done = r->on_connected;

    r->on_connected = (struct cel_done){0};
    cel_done(done, NULL, 0);
    cel_source_rearm(r->timer, now(r));
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct redis_lock *r = ctx;
    struct cel_done done = r->on_connected;

    r->on_connected = (struct cel_done){0};
    r->redis = cel_redis_free(r->redis);
    if (done.fn) {
        cel_done(done, why, 0);
    } else {
        cel_uplink_lost(&r->link, why);
    }
}

static const struct cel_redis_events events = {.opened = on_opened, .closed = on_closed};

static void connect_to(void *ctx, size_t index, struct cel_done done)
{
    struct redis_lock *r = ctx;
    bool sentinel = strcmp(r->urls[index]->scheme, "sentinel") == 0;
    celery_error err = {0};

    r->on_connected = done;
    if (cel_redis_open(r->base.loop, sentinel ? r->urls : &r->urls[index],
                       sentinel ? r->n_urls : 1, &r->set.net, &events, r, &r->redis,
                       &err) < 0) {
        r->on_connected = (struct cel_done){0};
        r->redis = NULL;
        cel_done(done, &err, 0);
    }
}

static void on_failed(void *ctx)
{
    struct redis_lock *r = ctx;

    if (!r->base.held) {
        cel_beat_lock_wait(&r->base, r->link.last.message);
    }
}

/* ---- state ---- */

static void on_saved(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct redis_lock *r = ctx;
    struct cel_done done = r->saved;
    celery_error why = {0};

    r->saved = (struct cel_done){0};
    if (err) {
        cel_done(done, err, 0);
    } else if (cel_resp_kind(reply) == CEL_RESP_ERROR) {
        struct cel_slice text = cel_resp_text(reply);

        cel_error_set(&why, CELERY_ENOTSUP, "%.*s",
                      (int)(text.len < 200 ? text.len : 200), text.data);
        cel_done(done, &why, 0);
    } else if (cel_resp_int(reply) == 1) {
        extend(r, r->save_asked);
        cel_done(done, NULL, 0);
    } else {
        cel_error_set(&why, CELERY_ECLOSED, "another beat has the lock, or it is gone");
        cel_done(done, &why, 0);
        cel_beat_lock_lose(&r->base, &why);
    }
}

static void redis_save(struct cel_beat_lock *base, struct cel_slice text,
                       struct cel_done done)
{
    struct redis_lock *r = self(base);
    celery_error err = {0};

    r->saved = done;
    r->save_asked = now(r);
    if (!base->held || now(r) >= r->ends || run(r, &save, on_saved, text) < 0) {
        r->saved = (struct cel_done){0};
        cel_error_set(&err, CELERY_ECLOSED, "not connected");
        cel_done(done, &err, 0);
    }
}

static void redis_set_aside(struct cel_beat_lock *base, char *text, size_t size)
{
    struct redis_lock *r = self(base);
    struct cel_buf to = {0};

    cel_buf_addf(&to, "%s.damaged", r->keys_of[1]);
    struct cel_slice argv[] = {CEL_SLICE("RENAME"), cel_slice_of(r->keys_of[1]),
                               cel_buf_slice(&to)};

    if (cel_buf_ok(&to) && r->redis) {
        cel_redis_command(r->redis, NULL, NULL, 3, argv);
    }
    snprintf(text, size, "%s", cel_buf_cstr(&to));
    cel_buf_fini(&to);
}

/* ---- life ---- */

/* The broker if it is Redis, otherwise the result backend. */
static celery_status read_urls(struct redis_lock *r, celery_error *err)
{
    const struct cel_config *c = r->base.config;
    celery_status status =
        cel_transport_urls(c, "broker_write_url", &r->urls, &r->n_urls, err);

    if (status == CELERY_OK && r->n_urls > 0 &&
        cel_redis_check_url(r->urls[0], &r->set.net, NULL) == CELERY_OK) {
        return cel_redis_options_read(cel_config_doc(c, "broker_transport_options"),
                                      cel_redis_url_db(r->urls[0]), &r->set, &r->keys,
                                      err);
    }
    cel_url_free_list(r->urls, r->n_urls);
    r->urls = NULL;
    r->n_urls = 0;
    if (status == CELERY_OK) {
        status = cel_backend_urls(c, &r->urls, &r->n_urls, err);
    }
    if (status == CELERY_OK) {
        status =
            cel_redis_options_read(cel_config_doc(c, "result_backend_transport_options"),
                                   0, &r->set, &r->keys, err);
        r->set.net.setting = "result_backend";
        r->set.net.require_ssl_cert_reqs = true;
    }
    if (status == CELERY_OK && r->n_urls == 0) {
        status = cel_error_set(err, CELERY_ECONFIG,
                               "beat_c_lock is redis, but neither broker_url nor "
                               "result_backend is");
    }
    return status;
}

static celery_status make_names(struct redis_lock *r, celery_error *err)
{
    static const char *const ends[] = {"lock", "state"};
    char text[128];

    for (int i = 0; i < 2; i++) {
        struct cel_buf b = {0};

        cel_buf_addf(&b, "%scelery-c.beat.%s.%s", r->keys.prefix ? r->keys.prefix : "",
                     r->base.name, ends[i]);
        r->keys_of[i] = cel_buf_steal(&b);
        cel_buf_fini(&b);
        if (!r->keys_of[i]) {
            return cel_error_nomem(err);
        }
    }
    cel_url_text(r->urls[0], text, sizeof text);
    snprintf(r->base.where, sizeof r->base.where, "%.90s key %.60s", text, r->keys_of[0]);
    snprintf(r->ttl_ms, sizeof r->ttl_ms, "%lld", (long long)ceil(r->base.ttl * 1000));
    cel_uuid4(r->token);
    return CELERY_OK;
}

static celery_status redis_init(struct cel_beat_lock *base, celery_error *err)
{
    struct redis_lock *r = self(base);
    celery_status status = read_urls(r, err);

    for (size_t i = 0; i < r->n_urls && status == CELERY_OK; i++) {
        status = cel_redis_check_url(r->urls[i], &r->set.net, err);
    }
    /* A peer that is silent for longer than the lease is as good as gone. */
    if (r->set.net.command_timeout <= 0 || r->set.net.command_timeout > base->ttl) {
        r->set.net.command_timeout = base->ttl;
    }
    return status == CELERY_OK ? make_names(r, err) : status;
}

static celery_status redis_start(struct cel_beat_lock *base, celery_error *err)
{
    struct redis_lock *r = self(base);

    if (cel_loop_add_timer(base->loop, &r->timer, now(r) + base->ttl / 3, look, r) < 0) {
        return cel_error_nomem(err);
    }
    r->link = (struct cel_uplink){
        .loop = base->loop,
        .n_urls = strcmp(r->urls[0]->scheme, "sentinel") == 0 ? 1 : r->n_urls,
        .connect = connect_to,
        .failed = on_failed,
        .ctx = r,
    };
    return cel_uplink_start(&r->link, err);
}

static void on_released(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct redis_lock *r = ctx;

    r->asking = false;
}

static void redis_fini(struct cel_beat_lock *base)
{
    struct redis_lock *r = self(base);

    r->released = true;
    r->saved = (struct cel_done){0};
    if (base->held && run(r, &release, on_released, (struct cel_slice){0}) == CELERY_OK) {
        double until = now(r) + 1;

        for (r->asking = true; r->asking && r->redis && now(r) < until;) {
            cel_loop_pass(base->loop, 0.1);
        }
    }
    if (r->link.loop) {
        cel_uplink_stop(&r->link);
    }
    cel_source_free(r->timer);
    cel_redis_free(r->redis);
    cel_redis_settings_fini(&r->set);
    cel_redis_keys_fini(&r->keys);
    cel_url_free_list(r->urls, r->n_urls);
    cel_free(r->keys_of[0]);
    cel_free(r->keys_of[1]);
}

const struct cel_beat_lock_ops cel_beat_lock_redis = {
    .name = "redis",
    .size = sizeof(struct redis_lock),
    .init = redis_init,
    .start = redis_start,
    .save = redis_save,
    .set_aside = redis_set_aside,
    .fini = redis_fini,
};
