/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A logged-in Redis connection: pipelined commands, scripts, pub/sub, liveness.
 * Crash-only: when it breaks, every pending command fails once, closed() is told, and the
 * owner frees it and makes a new one.
 */
#ifndef CEL_NET_REDIS_CONN_H
#define CEL_NET_REDIS_CONN_H

#include "base/url.h"
#include "net/conn.h"
#include "net/resp.h"

struct cel_redis;

/* Options that are not in the URL, from *_transport_options and redis_* settings. */
struct cel_redis_options {
    double connect_timeout;       /* seconds; 0: 4 */
    double command_timeout;       /* a reply later than this is a dead peer; 0: 20 */
    double health_check_interval; /* PING after that much silence; 0: 10; < 0: never */
    bool keepalive;
    size_t max_reply;            /* bytes of one bulk; 0: 64 MiB */
    const char *client_name;     /* CLIENT SETNAME; may be NULL */
    const char *sentinel_master; /* master_name; NULL: not through Sentinel */
    const char *sentinel_password;
    bool require_ssl_cert_reqs; /* result backend: rediss:// must name ssl_cert_reqs */
    const char *setting;        /* static, for messages; NULL: "broker_url" */
};

struct cel_redis_events {
    void (*opened)(void *ctx); /* logged in, database selected, scripts loaded */
    void (*closed)(void *ctx, const celery_error *why); /* last event */
    /* A pub/sub message: channel it came on, and payload.  NULL if never subscribed. */
    void (*message)(void *ctx, struct cel_slice channel, struct cel_slice payload);
    /*
     * Payload of __redis__:invalidate: keys that changed; names[n].  NULL if unused.
     */
    void (*invalidated)(void *ctx, const struct cel_resp *keys);
    /* A cel_redis_subscribe() has taken effect.  NULL if unused. */
    void (*subscribed)(void *ctx, struct cel_slice channel);
};

/*
 * Checks the URL alone (schemes redis, rediss, redis+socket, sentinel; db number; ssl_* and
 * virtual_host options): CELERY_ECONFIG with a line saying what to change.
 */
celery_status cel_redis_check_url(const struct cel_url *url,
                                  const struct cel_redis_options *options,
                                  celery_error *err);
int cel_redis_url_db(const struct cel_url *url);

/* Connects to one URL; for sentinel:// give all of the list, they name the sentinels. */
celery_status cel_redis_open(struct cel_loop *loop, struct cel_url *const *urls, size_t n,
                             const struct cel_redis_options *options,
                             const struct cel_redis_events *events, void *ctx,
                             struct cel_redis **ret_redis, celery_error *err);

/* Pending commands end with CELERY_ECLOSED before it returns; no event.  Returns NULL. */
struct cel_redis *cel_redis_free(struct cel_redis *r);

/*
 * reply is borrowed for the call; NULL with err when the connection broke: CELERY_ECLOSED if
 * the command was surely not sent, CELERY_EUNCERTAIN if the server may have acted.  An error
 * reply of the server comes as a CEL_RESP_ERROR reply with err NULL.
 */
typedef void (*cel_redis_fn)(void *ctx, const struct cel_resp *reply,
                             const celery_error *err);

/*
 * Queues a command; it is written at the end of this pass of the loop (or by
 * cel_redis_flush()), in order.  fn may be NULL.  Fails only without calling fn.
 */
celery_status cel_redis_command(struct cel_redis *r, cel_redis_fn fn, void *ctx,
                                size_t argc, const struct cel_slice *argv);

/* The same for words without blanks: cel_redis_commandf(r, fn, ctx, "LLEN %s", key) splits at
 * blanks of the format; %s takes const char *, %b takes struct cel_slice *, %d int,
 * %lld long long. */
celery_status cel_redis_commandf(struct cel_redis *r, cel_redis_fn fn, void *ctx,
                                 const char *fmt, ...);

/*
 * A script known to the connection by its text.  Register statics before opening with
 * cel_redis_eval(): EVALSHA, and EVAL once more when the server has forgotten it.
 */
struct cel_redis_script {
    const char *text;
    char sha[41]; /* filled on first use */
};
celery_status cel_redis_eval(struct cel_redis *r, struct cel_redis_script *script,
                             cel_redis_fn fn, void *ctx, size_t n_keys, size_t argc,
                             const struct cel_slice *argv);

/* Puts this connection into pub/sub mode (use one connection for that alone). */
celery_status cel_redis_subscribe(struct cel_redis *r, struct cel_slice channel,
                                  bool pattern);
celery_status cel_redis_unsubscribe(struct cel_redis *r, struct cel_slice channel,
                                    bool pattern);

/*
 * From inside a reply's callback: the replies behind it wait until the hooks that are older
 * than the connection have run once more, and the connection has sent what they wrote.  So
 * the server has something to do while the next reply is worked on.
 */
void cel_redis_rest(struct cel_redis *r);

celery_status cel_redis_flush(struct cel_redis *r);
size_t cel_redis_pending(const struct cel_redis *r);    /* commands without a reply */
int64_t cel_redis_client_id(const struct cel_redis *r); /* CLIENT ID, asked at log-in */
int cel_redis_version(const struct cel_redis *r);       /* 70015 for 7.0.15; 0 unknown */

/* True for replies that mean "reconnect elsewhere": READONLY, LOADING, MASTERDOWN ... */
bool cel_redis_error_is_failover(const struct cel_resp *reply);

/*
 * True for what only a server in cluster mode answers: MOVED, ASK, CROSSSLOT, CLUSTERDOWN.  Neither
 * kombu nor we can use one: the keys of a broker are in different slots.
 */
bool cel_redis_error_is_cluster(const struct cel_resp *reply);

#define CEL_REDIS_CLUSTER_TEXT \
    "this is a Redis Cluster, which Celery's Redis transport cannot use"

#endif
