/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one Redis transport, shared by the redis_*.c files.  Each part of it belongs to
 * the file it is named after; the others read it.
 */
#ifndef CEL_TRANSPORT_REDIS_STATE_H
#define CEL_TRANSPORT_REDIS_STATE_H

#include "base/list.h"
#include "base/uuid.h"
#include "net/redis_conn.h"
#include "transport/exchange.h"
#include "transport/hold.h"
#include "transport/redis_args.h"
#include "transport/redis_options.h"
#include "transport/redis_scripts.h"
#include "transport/transport.h"

enum {
    CEL_REDIS_UNLIMITED = 4096, /* deliveries at most when prefetch is lifted */
    CEL_REDIS_CLAIMS = 4,       /* claims on their way at once */
};

/* A queue by name; lives as long as the transport, because deliveries point to its name. */
struct cel_redis_queue {
    struct cel_list node;
    char *name;
    char *dead_key;
    char *keys[CEL_REDIS_MAX_STEPS];
    char *exchange;
    char *routing_key;
    enum cel_exchange_type type;
    bool consuming;
    bool no_ack; /* see struct cel_queue */
};

/*
 * A score under which we hold deliveries.  It lives until the server was told that nothing has
 * it any more; what the server has under our id and not under one of these came by an
 * answer that was lost.
 */
struct cel_redis_score {
    struct cel_list live; /* of all */
    struct cel_list node; /* of the finished ones, when count is 0 */
    size_t count;
    size_t sent;    /* of these: acknowledged, answer not there yet */
    size_t leaving; /* of these: not in the words of the command that is put together */
    bool told;      /* the server forgets it together with the last of them */
    bool
        lost; /* of a connection that is gone: claims it did not answer may have it too */
    char text[24]; /* "1795352533" */
};

enum cel_redis_hold_state {
    CEL_REDIS_HELD,
    CEL_REDIS_SETTLING, /* the owner has settled it, the server does not know yet */
    CEL_REDIS_SENT,     /* the server may know */
    CEL_REDIS_PARKED,   /* the claim parked it: nothing is left to settle */
};

/* The record of a delivery in the hold. */
struct cel_redis_held {
    struct cel_redis_score *score;
    struct cel_redis_queue *queue;
    size_t raw_len;
    uint8_t step;
    uint8_t state;
    bool redelivered; /* to us: it may have starts counted */
    bool started;     /* a start of this delivery was counted, or may have been */
    bool counted;     /* takes room of the prefetch */
    bool uncertain;   /* a settlement was sent and never answered */
    bool unsure;    /* the score may be another one of ours: a renewal was not answered */
    char field[40]; /* in unacked; */
    char *long_field; /* or here, if it is longer */
};

struct cel_redis_claim {
    bool in_flight;
    bool armed;   /* changes were being reported when it was sent */
    bool leased;  /* it set the lease */
    bool by_wake; /* sent because a change was reported */
    size_t max;
    unsigned wakes; /* changes reported until it was sent */
    size_t n_queues;
    size_t cap_queues;
    struct cel_redis_queue **queues; /* in the order they were asked */
};

struct cel_redis_claiming {
    struct cel_redis_claim claims[CEL_REDIS_CLAIMS];
    unsigned prefetch; /* 0: CEL_REDIS_UNLIMITED */
    bool credited;     /* set_credit() was called */
    unsigned credit;   /* what is left of it */
    unsigned in_flight;
    size_t requested;               /* messages these may bring */
    size_t n_held;                  /* deliveries the owner has not settled */
    struct cel_redis_queue **order; /* queues consumed from, as they are asked */
    size_t n_order;
    size_t cap_order;
    struct cel_list large;         /* claimed without their bytes: see redis_large.h */
    struct cel_redis_score *score; /* what claims use; or NULL */
    bool taking;                   /* one of in_flight is no claim: see redis_take.h */
    bool take_known;               /* this server has its script */
    bool take_forbidden;           /* no transactions for us */
    celery_error refused;          /* what the last one's value was */
    bool flowing;    /* the last claim was filled: more may be sent at once */
    size_t largest;  /* recent size of large messages: bounds what is asked for */
    double lease_at; /* when the lease was last set */
    double answered; /* when a claim was last answered, or first due */
};

enum cel_redis_tracking {
    CEL_REDIS_TRACKING_OFF,
    CEL_REDIS_TRACKING_ON,
    CEL_REDIS_TRACKING_REFUSED,
};

struct cel_redis_waiting {
    bool waiting; /* queues were empty: nothing to ask until a change or a timer */
    bool delayed; /* the delay timer decides when to ask again */
    bool woken;
    bool
        drained; /* the last answer left nothing, and nothing is known to have come since */
    bool echo;   /* one report to come is of what we popped: NOLOOP knows no scripts */
    bool pushed; /* this side has put something into a queue that it reads */
    bool ready;  /* the second connection gets reports */
    enum cel_redis_tracking tracking;
    unsigned wakes;
    unsigned empty_wakes; /* reports in a row that brought nothing */
    unsigned full_claims; /* claims in a row that filled all room */
    unsigned busy_ticks;
    double poll; /* next interval without reports */
    struct cel_source *tick;
    struct cel_source *delay;
};

struct cel_redis_settle_op;
struct cel_redis_settling {
    struct cel_redis_settle_op *ops; /* in the order they came, sent when the pass ends */
    size_t n_ops;
    size_t cap_ops;
    unsigned renewing;        /* answers awaited: scores are not known until then */
    struct cel_list scores;   /* all live ones */
    struct cel_list finished; /* to be forgotten */
    size_t n_finished;
    bool let_go; /* the lease, too */
};

struct cel_redis_starting {
    struct cel_list waiting; /* starts to be counted when the pass ends */
    struct cel_buf gone;     /* keys to be removed, each with its NUL */
};

struct cel_redis_leasing {
    struct cel_source *timer;
    bool sweeping;
    double sweep_at;
};

struct cel_redis_transport {
    struct cel_transport base;
    struct cel_redis_settings set;
    struct cel_redis_keys keys;
    struct cel_redis_scripts scripts;
    struct cel_url *const *urls;
    size_t n_urls;
    size_t url_index;

    struct cel_redis *main;
    struct cel_redis *sub; /* reports of changes, and broadcasts */
    bool connected;
    bool sub_open;
    unsigned connects; /* tells a callback that it was closed meanwhile */
    struct cel_done on_connected;
    char worker[CEL_UUID_SIZE];
    char *lease_key;
    double last_answer;

    struct cel_source *flush; /* end of a pass: settle, then claim */
    struct cel_source *fail;  /* tells of a failure from outside the owner's calls */
    celery_error failure;

    struct cel_list queues;
    struct cel_hold hold;
    struct cel_redis_args args;
    struct cel_redis_claiming claiming;
    struct cel_redis_waiting waiting;
    struct cel_redis_settling settling;
    struct cel_redis_starting starting;
    struct cel_redis_leasing leasing;
};

static inline struct cel_redis_transport *cel_redis_transport(struct cel_transport *t)
{
    return (struct cel_redis_transport *)t;
}

/* Seconds until a silent worker counts as dead, as EX takes them. */
static inline int64_t cel_redis_lease(const struct cel_redis_transport *r)
{
    int64_t whole = (int64_t)r->base.lease_seconds;

    return whole < 1 ? 1 : whole + (r->base.lease_seconds > (double)whole);
}

/* Seconds between renewals, and between looks for the dead, at most: ten of the usual thirty. */
static inline double cel_redis_renew_every(const struct cel_redis_transport *r)
{
    double third = (double)cel_redis_lease(r) / 3;

    return third < 10 ? third : 10;
}

/* ---- redis.c ---- */

/* Ends the connection soon; the owner hears lost(). */
void cel_redis_abandon(struct cel_redis_transport *r, const celery_error *why);
void cel_redis_abandon_text(struct cel_redis_transport *r, celery_status status,
                            const char *what);

/*
 * Notes an answer.  Status of a reply (or of its absence, with err), the text in ret_err.
 * what: "publishing", for the message.
 */
celery_status cel_redis_check(struct cel_redis_transport *r, const struct cel_resp *reply,
                              const celery_error *err, const char *what,
                              celery_error *ret_err);

/* Sends r->args as a command or to a script. */
celery_status cel_redis_send(struct cel_redis_transport *r, cel_redis_fn fn, void *ctx);
celery_status cel_redis_send_script(struct cel_redis_transport *r,
                                    struct cel_redis_script *script, size_t n_keys,
                                    cel_redis_fn fn, void *ctx);

/* Sentinels are asked together; other URLs one after the other, as the owner chooses. */
celery_status cel_redis_open_connection(struct cel_redis_transport *r,
                                        const struct cel_redis_events *events,
                                        struct cel_redis **ret, celery_error *err);

/* The event closed of both connections. */
void cel_redis_on_closed(void *ctx, const celery_error *why);

/* ---- redis_queue.c ---- */

/* The queue by name, made when it is not known yet.  NULL: out of memory. */
struct cel_redis_queue *cel_redis_find_queue(struct cel_redis_transport *r,
                                             const char *name);

void cel_redis_free_queue(struct cel_redis_queue *q);

/* The field of a delivery in unacked. */
static inline const char *cel_redis_field(const struct cel_redis_held *h)
{
    return h->long_field ? h->long_field : h->field;
}

#endif
