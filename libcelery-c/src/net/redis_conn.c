/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/redis_priv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define FEED_AT_ONCE (16u * 1024)
#define FIRST_RING   64
#define GRACE        0.5 /* seconds between noticing a silence and acting on it */
#define OUT_MAX      (256u * 1024 * 1024)

static void destroy(struct cel_redis *r)
{
    cel_resp_reader_free(r->reader);
    cel_redis_target_fini(&r->target);
    cel_buf_fini(&r->kept);
    cel_buf_fini(&r->scratch);
    cel_free(r->ring);
    cel_free(r);
}

static void enter(struct cel_redis *r)
{
    r->inside++;
}

/* r may be gone afterwards. */
static void leave(struct cel_redis *r)
{
    r->inside--;
    if (r->inside == 0 && r->freed) {
        destroy(r);
    }
}

static void release(struct cel_redis *r)
{
    r->state = CEL_REDIS_OVER;
    r->timer = cel_source_free(r->timer);
    r->rest = cel_source_free(r->rest);
    r->sentinel = cel_redis_sentinel_free(r->sentinel);
    r->conn = cel_conn_free(r->conn);
}

static struct cel_redis_pending *oldest(struct cel_redis *r)
{
    return &r->ring[r->head];
}

static struct cel_redis_pending pop(struct cel_redis *r)
{
    struct cel_redis_pending p = *oldest(r);

    r->head = (r->head + 1) & (r->ring_size - 1);
    r->count--;
    return p;
}

/* Each waiting command hears of it once; those that were surely not sent as ECLOSED. */
static void fail_pending(struct cel_redis *r, uint64_t sent, const celery_error *why)
{
    while (r->count > 0) {
        struct cel_redis_pending p = pop(r);
        celery_error err = *why;
        err.status = p.end > sent ? CELERY_ECLOSED : CELERY_EUNCERTAIN;
        if (p.fn) {
            p.fn(p.ctx, NULL, &err);
        }
    }
}

void cel_redis_break(struct cel_redis *r, const celery_error *why)
{
    if (r->state == CEL_REDIS_OVER) {
        return;
    }
    celery_error err = *why;
    uint64_t sent = r->conn ? cel_conn_sent(r->conn) : 0;
    enter(r);
    release(r);
    fail_pending(r, sent, &err);
    if (!r->freed) {
        r->events->closed(r->ctx, &err);
    }
    leave(r);
}

void cel_redis_fail(struct cel_redis *r, celery_status status, const char *fmt, ...)
{
    celery_error err = {0};
    va_list args;

    va_start(args, fmt);
    cel_error_vlead(&err, status, r->target.text, fmt, args);
    va_end(args);
    cel_redis_break(r, &err);
}

double cel_redis_limit(const struct cel_redis *r)
{
    return r->state == CEL_REDIS_OPEN ? r->target.command_timeout
                                      : r->target.connect_timeout;
}

/* When the silence of the peer began that matters to the oldest command. */
static double silent_since(struct cel_redis *r)
{
    double heard = cel_conn_last_read(r->conn);
    return oldest(r)->at > heard ? oldest(r)->at : heard;
}

void cel_redis_set_timer(struct cel_redis *r, double at)
{
    r->due = at;
    cel_source_rearm(r->timer, at);
}

/*
 * After the limit there is a period of grace: when it was us who did not run, the answer
 * is in the socket by now and is read before the timer fires again.
 */
static void check_deadline(struct cel_redis *r, double now)
{
    double since = silent_since(r);

    if (now - since < cel_redis_limit(r)) {
        cel_redis_set_timer(r, since + cel_redis_limit(r));
    } else if (r->suspect != since) {
        r->suspect = since;
        cel_redis_set_timer(r, now + GRACE);
    } else {
        cel_redis_fail(
            r, CELERY_ETIMEOUT,
            "no answer within %g s: the server hangs or the connection is dead",
            cel_redis_limit(r));
    }
}

static void on_timer(void *ctx)
{
    struct cel_redis *r = ctx;
    const struct cel_slice ping[] = {CEL_SLICE("PING")};
    double now = cel_loop_now(r->loop);

    enter(r);
    r->due = 0;
    if (r->state == CEL_REDIS_OPEN && r->count == 0 &&
        r->target.health_check_interval > 0) {
        double next = cel_conn_last_read(r->conn) + r->target.health_check_interval;
        if (now < next) {
            cel_redis_set_timer(r, next);
        } else {
            cel_redis_queue(r, NULL, NULL, 1, ping);
        }
    }
    if (r->state != CEL_REDIS_OVER && r->count > 0) {
        check_deadline(r, now);
    }
    leave(r);
}

static void dispatch(struct cel_redis *r, const struct cel_resp *reply)
{
    if (r->subscriber && cel_redis_take_message(r, reply)) {
        return;
    }
    if (r->count == 0) {
        /* "-ERR max number of clients reached" comes unasked */
        cel_redis_fail(r, CELERY_EPROTO, "an answer to no question: %s",
                       cel_log_safe(cel_resp_text(reply)));
        return;
    }
    struct cel_redis_pending p = pop(r);
    if (p.script && cel_redis_eval_again(r, &p, reply)) {
        return;
    }
    cel_redis_drop_kept(r, &p);
    if (p.fn) {
        p.fn(p.ctx, reply, NULL);
    }
}

/* All replies that are complete, or as many as are not put off. */
static void take_replies(struct cel_redis *r)
{
    while (r->state != CEL_REDIS_OVER && !r->resting) {
        celery_error err = {0};
        struct cel_resp *reply = NULL;
        celery_status status = cel_resp_next(r->reader, &reply, &err);
        if (status == CELERY_NONE) {
            return;
        }
        if (status < 0) {
            cel_redis_fail(r, status, "%s", err.message);
            return;
        }
        dispatch(r, reply);
        cel_resp_free(reply);
    }
}

static void take_bytes(struct cel_redis *r, struct cel_buf *in)
{
    size_t done = 0;

    while (r->state != CEL_REDIS_OVER && !r->resting && done < in->len) {
        celery_error err = {0};
        size_t n = in->len - done < FEED_AT_ONCE ? in->len - done : FEED_AT_ONCE;
        celery_status status =
            cel_resp_feed(r->reader, cel_slice(in->data + done, n), &err);
        if (status < 0) {
            cel_redis_fail(r, status, "%s", err.message);
            break;
        }
        done += n;
        take_replies(r);
    }
    if (r->state == CEL_REDIS_OVER) {
        return; /* the buffer may be gone with the connection */
    }
    if (done == in->len) {
        cel_buf_clear(in);
    } else {
        cel_buf_drop(in, done);
    }
}

static void on_readable(void *ctx, struct cel_buf *in)
{
    struct cel_redis *r = ctx;

    enter(r);
    take_bytes(r, in);
    leave(r);
}

static void go_on(struct cel_redis *r)
{
    r->resting = false;
    take_replies(r);
    if (r->state != CEL_REDIS_OVER) {
        take_bytes(r, cel_conn_in(r->conn));
    }
}

static void on_rest(void *ctx)
{
    struct cel_redis *r = ctx;

    enter(r);
    go_on(r);
    leave(r);
}

static void on_opened(void *ctx)
{
    struct cel_redis *r = ctx;

    enter(r);
    r->state = CEL_REDIS_LOGIN;
    cel_redis_login(r);
    leave(r);
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct cel_redis *r = ctx;
    celery_error err = *why;

    enter(r);
    while (r->resting && r->state != CEL_REDIS_OVER) {
        go_on(r);
    }
    cel_error_prefix(&err, why->status, "%s: ", r->target.text);
    err.code = why->code;
    cel_redis_break(r, &err);
    leave(r);
}

void cel_redis_logged_in(struct cel_redis *r)
{
    r->state = CEL_REDIS_OPEN;
    if (r->target.health_check_interval > 0) {
        cel_redis_set_timer(r, cel_loop_now(r->loop) + r->target.health_check_interval);
    }
    r->events->opened(r->ctx);
}

static const struct cel_conn_events conn_events = {
    .opened = on_opened, .readable = on_readable, .closed = on_closed};

celery_status cel_redis_connect(struct cel_redis *r, celery_error *err)
{
    struct cel_endpoint endpoint = {
        .host = r->target.host,
        .port = r->target.port,
        .unix_path = r->target.unix_path,
        .tls = r->target.tls,
        .connect_timeout = r->target.connect_timeout,
        .keepalive = r->target.keepalive,
        .out_max = OUT_MAX,
    };
    r->state = CEL_REDIS_CONNECTING;
    celery_status status =
        cel_conn_open(r->loop, &endpoint, &conn_events, r, &r->conn, err);
    /* Behind the connection's own hook, which sends. */
    if (status == CELERY_OK && !r->rest &&
        cel_loop_add_hook(r->loop, &r->rest, on_rest, r) < 0) {
        return cel_error_nomem(err);
    }
    return status < 0 ? cel_error_prefix(err, status, "%s: ", r->target.text) : status;
}

/* Without anything that connects. */
static celery_status redis_new(struct cel_loop *loop,
                               const struct cel_redis_events *events, void *ctx,
                               struct cel_redis **ret_redis, celery_error *err)
{
    struct cel_redis *r = cel_calloc(1, sizeof *r);

    if (!r) {
        return cel_error_nomem(err);
    }
    r->loop = loop;
    r->events = events;
    r->ctx = ctx;
    if (cel_loop_add_timer(loop, &r->timer, 0, on_timer, r) < 0) {
        cel_free(r);
        return cel_error_nomem(err);
    }
    cel_source_disarm(r->timer);
    *ret_redis = r;
    return CELERY_OK;
}

static celery_status give_up(struct cel_redis *r, celery_status status)
{
    cel_redis_free(r);
    return status;
}

celery_status cel_redis_open_target(struct cel_loop *loop,
                                    struct cel_redis_target *give_target,
                                    enum cel_redis_role role,
                                    const struct cel_redis_events *events, void *ctx,
                                    struct cel_redis **ret_redis, celery_error *err)
{
    struct cel_redis *r = NULL;
    celery_status status = redis_new(loop, events, ctx, &r, err);

    if (status < 0) {
        cel_redis_target_fini(give_target);
        return status;
    }
    r->target = *give_target;
    r->role = role;
    r->reader = cel_resp_reader_new(r->target.max_reply);
    status = r->reader ? cel_redis_connect(r, err) : cel_error_nomem(err);
    if (status < 0) {
        return give_up(r, status);
    }
    *ret_redis = r;
    return CELERY_OK;
}

celery_status cel_redis_open(struct cel_loop *loop, struct cel_url *const *urls, size_t n,
                             const struct cel_redis_options *options,
                             const struct cel_redis_events *events, void *ctx,
                             struct cel_redis **ret_redis, celery_error *err)
{
    struct cel_redis_target target;
    celery_status status = cel_redis_target_init(&target, urls[0], options, err);

    if (status < 0) {
        cel_redis_target_fini(&target);
        return status;
    }
    if (strcmp(urls[0]->scheme, "sentinel") != 0) {
        return cel_redis_open_target(loop, &target, CEL_REDIS_ANY, events, ctx, ret_redis,
                                     err);
    }
    struct cel_redis *r = NULL;
    status = redis_new(loop, events, ctx, &r, err);
    if (status < 0) {
        cel_redis_target_fini(&target);
        return status;
    }
    r->target = target;
    r->role = CEL_REDIS_MASTER;
    r->reader = cel_resp_reader_new(target.max_reply);
    status = r->reader ? cel_redis_sentinel_start(r, urls, n, options, err)
                       : cel_error_nomem(err);
    if (status < 0) {
        return give_up(r, status);
    }
    *ret_redis = r;
    return CELERY_OK;
}

struct cel_redis *cel_redis_free(struct cel_redis *r)
{
    if (!r || r->freed) {
        return NULL;
    }
    celery_error err = {0};
    cel_error_set(&err, CELERY_ECLOSED, "%s: connection given up", r->target.text);
    r->freed = true;
    enter(r);
    release(r);
    fail_pending(r, 0, &err);
    leave(r);
    return NULL;
}

celery_status cel_redis_flush(struct cel_redis *r)
{
    return r->conn ? cel_conn_flush(r->conn) : CELERY_ECLOSED;
}

void cel_redis_rest(struct cel_redis *r)
{
    if (r->rest) {
        r->resting = true;
        cel_source_schedule(r->rest);
    }
}

size_t cel_redis_pending(const struct cel_redis *r)
{
    return r->count;
}

int64_t cel_redis_client_id(const struct cel_redis *r)
{
    return r->client_id;
}

int cel_redis_version(const struct cel_redis *r)
{
    return r->version;
}
