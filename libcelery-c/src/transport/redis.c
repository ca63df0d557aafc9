/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two connections: one for all commands, one that is told of changed queues and broadcasts
 * (only while something is consumed).  On any doubt about either both are dropped.
 */
#include "transport/redis.h"
#include "base/alloc.h"
#include "base/error.h"
#include "transport/redis_claim.h"
#include "transport/redis_large.h"
#include "transport/redis_lease.h"
#include "transport/redis_listen.h"
#include "transport/redis_publish.h"
#include "transport/redis_renew.h"
#include "transport/redis_score.h"
#include "transport/redis_settle.h"
#include "transport/redis_starts.h"
#include "transport/redis_state.h"
#include "transport/redis_take.h"
#include "transport/redis_wait.h"

/* An answer later than this is a dead peer, unless socket_timeout says otherwise. */
#define COMMAND_TIMEOUT 10.0

/* ---- what all parts use ---- */

celery_status cel_redis_check(struct cel_redis_transport *r, const struct cel_resp *reply,
                              const celery_error *err, const char *what,
                              celery_error *ret_err)
{
    struct cel_slice text;
    celery_status status = CELERY_EPROTO;

    if (err) {
        if (ret_err) {
            *ret_err = *err;
        }
        return cel_error_prefix(ret_err, err->status, "%s: ", what);
    }
    r->last_answer = cel_loop_now(r->base.loop);
    if (cel_resp_kind(reply) != CEL_RESP_ERROR) {
        return CELERY_OK;
    }
    text = cel_resp_text(reply);
    if (cel_redis_error_is_failover(reply)) {
        status = CELERY_ECLOSED;
    } else if (cel_redis_error_is_cluster(reply)) {
        /* A server whose INFO is forbidden has not said so at the log-in. */
        return cel_error_set(ret_err, CELERY_ENOTSUP,
                             "%s: %.*s (" CEL_REDIS_CLUSTER_TEXT ")", what,
                             (int)(text.len < 80 ? text.len : 80), text.data);
    } else if (cel_slice_starts(text, CEL_SLICE("NOAUTH")) ||
               cel_slice_starts(text, CEL_SLICE("NOPERM")) ||
               cel_slice_starts(text, CEL_SLICE("WRONGPASS"))) {
        status = CELERY_EAUTH;
    } else if (cel_slice_starts(text, CEL_SLICE("OOM"))) {
        status = CELERY_ESYSTEM;
    }
    return cel_error_set(ret_err, status, "%s: %.*s", what,
                         (int)(text.len < 160 ? text.len : 160), text.data);
}

celery_status cel_redis_send(struct cel_redis_transport *r, cel_redis_fn fn, void *ctx)
{
    if (r->args.failed) {
        return CELERY_ENOMEM;
    }
    return cel_redis_command(r->main, fn, ctx, r->args.n, r->args.words);
}

celery_status cel_redis_send_script(struct cel_redis_transport *r,
                                    struct cel_redis_script *script, size_t n_keys,
                                    cel_redis_fn fn, void *ctx)
{
    if (r->args.failed) {
        return CELERY_ENOMEM;
    }
    return cel_redis_eval(r->main, script, fn, ctx, n_keys, r->args.n, r->args.words);
}

/* ---- the end of a connection ---- */

/* Pending operations end in here.  What is held stays: it is ours as long as the lease. */
static void drop(struct cel_redis_transport *r)
{
    struct cel_redis *main = r->main, *sub = r->sub;
    struct cel_list *it, *tmp;

    r->connected = false;
    r->main = r->sub = NULL;
    r->connects++;
    cel_redis_lease_stop(r);
    cel_redis_wait_stop(r);
    cel_source_disarm(r->fail);
    cel_redis_free(main);
    cel_redis_free(sub);
    cel_redis_settle_reset(r);
    cel_redis_starts_reset(r);
    cel_redis_large_reset(r);
    cel_redis_claim_reset(r);
    cel_redis_score_reset(r);
    cel_list_foreach(it, tmp, &r->queues) {
        cel_container_of(it, struct cel_redis_queue, node)->consuming = false;
    }
}

static void connection_failed(struct cel_redis_transport *r, const celery_error *why)
{
    struct cel_done done = r->on_connected;
    bool was_connected = r->connected;
    celery_error copy = *why;

    r->on_connected = (struct cel_done){0};
    drop(r);
    if (was_connected) {
        r->base.events->lost(r->base.events_ctx, &copy);
    } else {
        cel_done(done, &copy, 0);
    }
}

static void on_fail(void *ctx)
{
    struct cel_redis_transport *r = ctx;

    if (r->main) {
        connection_failed(r, &r->failure);
    }
}

void cel_redis_abandon(struct cel_redis_transport *r, const celery_error *why)
{
    if (r->main && r->failure.status == CELERY_OK) {
        r->failure = *why;
        cel_source_rearm(r->fail, cel_loop_now(r->base.loop));
    }
}

void cel_redis_abandon_text(struct cel_redis_transport *r, celery_status status,
                            const char *what)
{
    celery_error why = {0};

    cel_error_set(&why, status, "%s: %s", what, celery_status_text(status));
    cel_redis_abandon(r, &why);
}

/* ---- connecting ---- */

void cel_redis_on_closed(void *ctx, const celery_error *why)
{
    connection_failed(ctx, why);
}

static void on_main_opened(void *ctx)
{
    struct cel_redis_transport *r = ctx;
    struct cel_done done = r->on_connected;

    r->connected = true;
    r->last_answer = cel_loop_now(r->base.loop);
    r->on_connected = (struct cel_done){0};
    if (r->hold.count > 0) { /* first of all, see whether it is still ours */
        cel_redis_renew(r);
        cel_redis_lease_start(r, NULL);
    }
    cel_done(done, NULL, 0);
}

static const struct cel_redis_events main_events = {
    .opened = on_main_opened,
    .closed = cel_redis_on_closed,
};

/* The worker's id and lease; the same over all connections of a transport. */
static celery_status new_identity(struct cel_redis_transport *r)
{
    cel_uuid4(r->worker);
    r->lease_key = cel_redis_lease_key(&r->keys, r->worker);
    return r->lease_key ? CELERY_OK : CELERY_ENOMEM;
}

celery_status cel_redis_open_connection(struct cel_redis_transport *r,
                                        const struct cel_redis_events *events,
                                        struct cel_redis **ret, celery_error *err)
{
    bool all = strcmp(r->urls[0]->scheme, "sentinel") == 0;

    return cel_redis_open(r->base.loop, all ? r->urls : r->urls + r->url_index,
                          all ? r->n_urls : 1, &r->set.net, events, r, ret, err);
}

static void on_flush(void *ctx)
{
    struct cel_redis_transport *r = ctx;

    cel_redis_settle_flush(r);
    cel_redis_starts_flush(r);
    cel_redis_claim_flush(r);
    cel_redis_large_flush(r);
}

static celery_status add_sources(struct cel_redis_transport *r)
{
    struct cel_loop *loop = r->base.loop;

    if (!r->flush && cel_loop_add_hook(loop, &r->flush, on_flush, r) < 0) {
        return CELERY_ENOMEM;
    }
    if (!r->fail) {
        if (cel_loop_add_timer(loop, &r->fail, cel_loop_now(loop), on_fail, r) < 0) {
            return CELERY_ENOMEM;
        }
        cel_source_disarm(r->fail);
    }
    return CELERY_OK;
}

static void redis_close(struct cel_transport *t);

static void redis_connect(struct cel_transport *t, size_t url_index, struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    celery_error err = {0};
    celery_status status;

    redis_close(t);
    r->url_index = r->n_urls ? url_index % r->n_urls : 0;
    r->failure = (celery_error){0};
    if (r->set.net.connect_timeout <= 0) {
        r->set.net.connect_timeout = t->connect_timeout;
    }
    /* A claim may bring one message of the largest size and what else fits its budget. */
    if (r->set.net.max_reply < t->max_message + ((size_t)1 << 20)) {
        r->set.net.max_reply = t->max_message + ((size_t)1 << 20);
    }
    status = add_sources(r);
    if (status < 0) {
        cel_error_nomem(&err);
    } else {
        status = cel_redis_open_connection(r, &main_events, &r->main, &err);
    }
    if (status < 0) {
        cel_done(done, &err, 0);
        return;
    }
    r->on_connected = done;
}

static void redis_close(struct cel_transport *t)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_done done = r->on_connected;
    celery_error err = {0};

    if (!r->main) {
        return;
    }
    r->on_connected = (struct cel_done){0};
    cel_redis_settle_farewell(r);
    drop(r);
    cel_error_set(&err, CELERY_ECLOSED, "connection closed");
    cel_done(done, &err, 0);
}

/* ---- how much ---- */

static celery_status redis_set_prefetch(struct cel_transport *t, unsigned count)
{
    struct cel_redis_transport *r = cel_redis_transport(t);

    r->claiming.prefetch = count;
    if (r->flush) {
        cel_source_schedule(r->flush);
    }
    return CELERY_OK;
}

static void redis_set_credit(struct cel_transport *t, unsigned count)
{
    struct cel_redis_transport *r = cel_redis_transport(t);

    r->claiming.credited = true;
    r->claiming.credit = count;
    if (r->flush) {
        cel_source_schedule(r->flush);
    }
}

static double redis_silence(const struct cel_transport *t)
{
    const struct cel_redis_transport *r = (const struct cel_redis_transport *)t;

    return cel_loop_now(t->loop) - r->last_answer;
}

/* ---- life ---- */

static celery_status redis_init(struct cel_transport *t, struct cel_url *const *urls,
                                size_t n, const struct cel_node *options,
                                celery_error *err)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    celery_status status;

    r->urls = urls;
    r->n_urls = n;
    cel_list_init(&r->queues);
    cel_list_init(&r->claiming.large);
    cel_list_init(&r->settling.scores);
    cel_list_init(&r->settling.finished);
    cel_list_init(&r->starting.waiting);
    cel_hold_init(&r->hold, sizeof(struct cel_redis_held));
    cel_redis_scripts_init(&r->scripts);
    cel_redis_wait_stop(r);
    cel_redis_claim_reset(r);
    status = cel_redis_options_read(options, cel_redis_url_db(urls[0]), &r->set, &r->keys,
                                    err);
    for (size_t i = 0; i < n && status == 0; i++) {
        status = cel_redis_check_url(urls[i], &r->set.net, err);
    }
    if (r->set.net.command_timeout <= 0) {
        r->set.net.command_timeout = COMMAND_TIMEOUT;
    }
    if (status == 0 && new_identity(r) < 0) {
        status = cel_error_nomem(err);
    }
    return status;
}

static void redis_fini(struct cel_transport *t)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_list *first;

    for (first = cel_list_first(&r->queues); first; first = cel_list_first(&r->queues)) {
        cel_list_remove(first);
        cel_redis_free_queue(cel_container_of(first, struct cel_redis_queue, node));
    }
    r->flush = cel_source_free(r->flush);
    r->fail = cel_source_free(r->fail);
    cel_redis_settle_fini(r);
    cel_redis_starts_fini(r);
    cel_redis_claim_fini(r);
    cel_redis_args_fini(&r->args);
    cel_redis_keys_fini(&r->keys);
    cel_redis_settings_fini(&r->set);
    cel_free(r->lease_key);
}

static const char *const redis_schemes[] = {"redis", "rediss", "redis+socket", "sentinel",
                                            NULL};

const struct cel_transport_ops cel_transport_redis = {
    .name = "redis",
    .schemes = redis_schemes,
    .flags = CEL_TRANSPORT_CONFIRMS | CEL_TRANSPORT_FANOUT | CEL_TRANSPORT_PRIORITIES |
             CEL_TRANSPORT_REDELIVERS | CEL_TRANSPORT_RESUMES,
    .size = sizeof(struct cel_redis_transport),
    .init = redis_init,
    .fini = redis_fini,
    .connect = redis_connect,
    .close = redis_close,
    .declare = cel_redis_declare,
    .publish = cel_redis_publish,
    .place = cel_redis_place,
    .quiet = cel_redis_quiet,
    .consume = cel_redis_consume,
    .cancel = cel_redis_cancel,
    .set_prefetch = redis_set_prefetch,
    .set_credit = redis_set_credit,
    .ack = cel_redis_ack,
    .reject = cel_redis_reject,
    .defer = cel_redis_defer,
    .park = cel_redis_park,
    .count_start = cel_redis_count_start,
    .bury = cel_redis_bury,
    .purge = cel_redis_purge,
    .delete_queue = cel_redis_delete_queue,
    .count = cel_redis_count,
    .bindings = cel_redis_bindings,
    .silence = redis_silence,
};
