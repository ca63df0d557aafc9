/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of a Redis connection share.  Nobody else includes it. */
#ifndef CEL_NET_REDIS_PRIV_H
#define CEL_NET_REDIS_PRIV_H

#include "net/redis_conn.h"
#include "net/redis_target.h"

enum cel_redis_state {
    CEL_REDIS_LOOKING, /* asks the sentinels */
    CEL_REDIS_CONNECTING,
    CEL_REDIS_LOGIN,
    CEL_REDIS_OPEN,
    CEL_REDIS_OVER,
};

/* What the peer is expected to be. */
enum cel_redis_role { CEL_REDIS_ANY, CEL_REDIS_MASTER, CEL_REDIS_SENTINEL };

/* One command without a reply yet. */
struct cel_redis_pending {
    cel_redis_fn fn;
    void *ctx;
    double at;    /* loop time when it was queued */
    uint64_t end; /* where it ends in all that was ever queued, in bytes */
    struct cel_redis_script *script; /* EVALSHA that may have to be sent again */
    size_t kept;                     /* its bytes in the buffer of kept words */
    size_t kept_argc;
};

struct cel_redis {
    struct cel_loop *loop;
    const struct cel_redis_events *events;
    void *ctx;
    enum cel_redis_state state;
    enum cel_redis_role role;
    struct cel_redis_target target;
    struct cel_redis_sentinel *sentinel;
    struct cel_conn *conn;
    struct cel_resp_reader *reader;
    struct cel_source *timer;
    double due; /* when the timer fires */

    struct cel_redis_pending *ring;
    size_t ring_size; /* a power of two, or 0 */
    size_t head;
    size_t count;
    uint64_t queued; /* bytes, since it was opened */

    /* Words of EVALSHA commands without a reply, oldest first. */
    struct cel_buf kept;
    size_t kept_done;

    struct cel_buf scratch;  /* of cel_redis_commandf() */
    double suspect;          /* silence since then has been noticed once; 0: none */
    struct cel_source *rest; /* hook: replies that were put off */
    bool resting;
    bool subscriber;
    bool freed;
    unsigned inside;
    int64_t client_id;
    int version;
};

/*
 * Queues a command whatever the state; the words come between begin and end.  A failure
 * takes everything back.
 */
struct cel_redis_pending *cel_redis_begin(struct cel_redis *r, size_t argc);
celery_status cel_redis_end(struct cel_redis *r, struct cel_redis_pending *p,
                            celery_status status);
celery_status cel_redis_queue(struct cel_redis *r, cel_redis_fn fn, void *ctx,
                              size_t argc, const struct cel_slice *argv);

/* Seconds that a reply may take, now. */
double cel_redis_limit(const struct cel_redis *r);
void cel_redis_set_timer(struct cel_redis *r, double at);

/* Ends the connection from inside one of the loop's callbacks; closed() is told. */
void cel_redis_break(struct cel_redis *r, const celery_error *err);
void cel_redis_fail(struct cel_redis *r, celery_status status, const char *fmt, ...)
    CELERY_PRINTF(3, 4);

/* Connects to a target (taken over, even on failure) that plays the given role. */
celery_status cel_redis_open_target(struct cel_loop *loop,
                                    struct cel_redis_target *give_target,
                                    enum cel_redis_role role,
                                    const struct cel_redis_events *events, void *ctx,
                                    struct cel_redis **ret_redis, celery_error *err);
celery_status cel_redis_connect(struct cel_redis *r, celery_error *err);

/* redis_login.c: sends what comes first; ends in opened() or in a failure. */
void cel_redis_login(struct cel_redis *r);
void cel_redis_logged_in(struct cel_redis *r);

/* redis_script.c: true when the reply was NOSCRIPT and the script was sent instead. */
bool cel_redis_eval_again(struct cel_redis *r, const struct cel_redis_pending *p,
                          const struct cel_resp *reply);
void cel_redis_drop_kept(struct cel_redis *r, const struct cel_redis_pending *p);

/* redis_pubsub.c: true when the reply was a message. */
bool cel_redis_take_message(struct cel_redis *r, const struct cel_resp *reply);

/* redis_sentinel.c: asks one sentinel after the other, then connects r to the master. */
struct cel_redis_sentinel;
celery_status cel_redis_sentinel_start(struct cel_redis *r, struct cel_url *const *urls,
                                       size_t n, const struct cel_redis_options *options,
                                       celery_error *err);
struct cel_redis_sentinel *cel_redis_sentinel_free(struct cel_redis_sentinel *s);

bool cel_redis_error_is(const struct cel_resp *reply, const char *code);

#endif
