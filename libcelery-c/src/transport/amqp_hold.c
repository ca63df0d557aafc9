/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_hold.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/amqp_consume.h"
#include "transport/amqp_copy.h"
#include "transport/amqp_declare.h"
#include "transport/amqp_delay.h"
#include "transport/amqp_post.h"
#include "transport/amqp_settle.h"
#include "transport/amqp_share.h"
#include <stdio.h>

/*
 * Milliseconds that a copy may wait for us, and within which it is back after our end; and
 * until the empty queue goes.
 */
enum { NEST_TTL = 2000, NEST_EXPIRES = 600 * 1000 };

/* Seconds after which a confirmed copy that did not come is back in its queue for sure. */
#define ARRIVAL 10.0

/* What of the broker's time-out passes before a message is renewed. */
#define RENEW_AT 0.8

enum { LINES = 5 }; /* of warnings in one pass */

enum { LIMIT_OF_4 = 20 }; /* x-delivery-limit of RabbitMQ 4 where nothing is set */

/* A copy on its way. */
struct nesting {
    struct cel_list node; /* in holding.moves */
    struct cel_amqp_transport *a;
    struct cel_amqp_queue *queue;
    struct cel_envelope *copy;
    uint64_t tag;    /* what it is for */
    uint64_t number; /* in the copy's header */
    uint64_t broker_tag;
    bool sent;      /* with the publisher: on_posted() will come */
    bool posted;    /* confirmed */
    bool dead;      /* nobody waits for it any more; on_posted() frees it */
    bool counts;    /* a start; otherwise a renewal */
    int64_t starts; /* in the copy */
    double deadline;
    int64_t answer;
    struct cel_done done;
};

struct later {
    struct cel_list node; /* in holding.later */
    struct cel_amqp_later what;
    struct cel_done done;
    char text[];
};

/* ---- settlements that wait ---- */

void cel_amqp_later(struct cel_amqp_transport *a, const struct cel_amqp_later *what,
                    struct cel_done done)
{
    size_t len = what->header ? strlen(what->header) + 1 : 0;
    struct later *l = cel_alloc(sizeof *l + len);

    if (!l) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    l->what = *what;
    l->done = done;
    if (len > 0) {
        memcpy(l->text, what->header, len);
        l->what.header = l->text;
    }
    cel_list_append(&a->holding.later, &l->node);
}

static void settle(struct cel_transport *t, const struct cel_amqp_later *w,
                   struct cel_done done)
{
    switch (w->kind) {
    case CEL_AMQP_LATER_ACK:
        cel_amqp_ack(t, w->tag, done);
        break;
    case CEL_AMQP_LATER_REJECT:
        cel_amqp_reject(t, w->tag, w->requeue, w->front, w->header, w->value, done);
        break;
    case CEL_AMQP_LATER_DEFER:
        cel_amqp_defer(t, w->tag, w->until, done);
        break;
    case CEL_AMQP_LATER_PARK:
        cel_amqp_park(t, w->tag, w->header, done);
        break;
    }
}

/* The copy of this one has come or will not.  True: somebody had waited for it. */
static bool settle_later(struct cel_amqp_transport *a, uint64_t tag)
{
    struct cel_list *it, *tmp, mine;
    bool any = false;

    cel_list_init(&mine);
    cel_list_foreach(it, tmp, &a->holding.later) {
        if (cel_container_of(it, struct later, node)->what.tag == tag) {
            cel_list_remove(it);
            cel_list_append(&mine, it);
        }
    }
    while ((it = cel_list_first(&mine)) != NULL) {
        struct later *l = cel_container_of(it, struct later, node);

        any = true;
        cel_list_remove(it);
        settle(&a->base, &l->what, l->done);
        cel_free(l);
    }
    return any;
}

/* ---- the end of a copy's way ---- */

static void free_nesting(struct nesting *n)
{
    cel_list_remove(&n->node);
    cel_envelope_free(n->copy);
    cel_free(n);
}

/* Out of the list; a post that is still under way frees it later. */
static void finish(struct nesting *n, const celery_error *err, int64_t answer)
{
    struct cel_amqp_transport *a = n->a;
    struct cel_amqp_held *h = cel_hold_get(&a->hold, n->tag);
    celery_error copy = err ? *err : (celery_error){0};
    struct cel_done done = n->done;
    uint64_t tag = n->tag;

    if (h) {
        h->state = CEL_AMQP_HELD;
    }
    if (n->sent && !n->posted) {
        n->dead = true;
        cel_list_remove(&n->node);
    } else {
        free_nesting(n);
    }
    cel_done(done, err ? &copy : NULL, answer);
    settle_later(a, tag);
}

/* It is there and the broker has it: from now on it is the message. */
static void take_over(struct nesting *n)
{
    struct cel_amqp_held *h = cel_hold_get(&n->a->hold, n->tag);

    cel_amqp_tell_ack(n->a, h->broker_tag, false);
    if (n->counts) {
        cel_amqp_conn_flush(n->a->conn); /* what starts now may take us along */
    }
    cel_amqp_hold_retag(n->a, n->tag, n->broker_tag);
    cel_amqp_let_go(h); /* the broker fills its place: amqp_share.c counts it beside */
    cel_amqp_share_needed(n->a);
    h->nested = true;
    h->orphan = false;
    h->started = h->started || n->counts;
    h->counted = n->starts;
    finish(n, NULL, n->answer);
}

/* Confirmed and not come: it is in its queue again, for anyone. */
static void went_back(struct nesting *n)
{
    struct cel_amqp_transport *a = n->a;
    struct cel_amqp_held *h = cel_hold_get(&a->hold, n->tag);
    bool counts = n->counts;
    uint64_t tag = n->tag;

    cel_amqp_tell_ack(a, h->broker_tag, false);
    cel_amqp_hold_drop(a, tag);
    finish(n, NULL, -1);
    if (!counts && a->base.events->taken) {
        a->base.events->taken(a->base.events_ctx, tag);
    }
}

static void renewal_failed(struct nesting *n, const celery_error *err)
{
    struct cel_amqp_held *h = cel_hold_get(&n->a->hold, n->tag);

    if (h && !n->counts && err->status != CELERY_ECLOSED) {
        h->warned = true;
        cel_log(CELERY_LOG_ERROR,
                "A message of queue %s cannot be held beyond the broker's "
                "consumer_timeout: %s",
                n->queue->name, err->message);
    }
    finish(n, err, 0);
}

static void on_posted(void *ctx, const celery_error *err, int64_t answer)
{
    struct nesting *n = ctx;

    if (n->dead) {
        free_nesting(n);
        return;
    }
    n->posted = true;
    if (err) {
        if (n->broker_tag) { /* it came, and yet was refused: the original stays */
            cel_amqp_tell_ack(n->a, n->broker_tag, false);
        }
        if (err->status != CELERY_ECLOSED && err->status != CELERY_EUNCERTAIN) {
            n->queue->nest = CEL_AMQP_NEST_NONE; /* deleted: it is made again */
        }
        renewal_failed(n, err);
    } else if (n->broker_tag) {
        take_over(n);
    } else {
        n->deadline = cel_loop_now(n->a->base.loop) + ARRIVAL;
        cel_source_rearm(n->a->holding.tick, n->deadline);
    }
}

/* ---- the queue ---- */

static void nest_name(const struct cel_amqp_transport *a, const struct cel_amqp_queue *q,
                      char *text, size_t size)
{
    snprintf(text, size, "%s.celery-c.held.%s", q->name, a->holding.id);
}

static void send(struct nesting *n)
{
    char name[300];

    nest_name(n->a, n->queue, name, sizeof name);
    n->sent = true;
    cel_amqp_post_to(n->a, name, n->copy, (struct cel_done){on_posted, n});
}

void cel_amqp_nest_opened(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                          const celery_error *err)
{
    struct cel_list *it, *tmp, ready;

    q->nest = err ? CEL_AMQP_NEST_NONE : CEL_AMQP_NEST_OPEN;
    cel_list_init(&ready);
    cel_list_foreach(it, tmp, &a->holding.moves) {
        struct nesting *n = cel_container_of(it, struct nesting, node);

        if (n->queue == q && !n->sent) {
            cel_list_remove(it);
            cel_list_append(&ready, it);
        }
    }
    while ((it = cel_list_first(&ready)) != NULL) {
        struct nesting *n = cel_container_of(it, struct nesting, node);

        cel_list_remove(it);
        cel_list_append(&a->holding.moves, it);
        if (err) {
            renewal_failed(n, err);
        } else {
            send(n);
        }
    }
}

struct opening {
    struct cel_amqp_transport *a;
    struct cel_amqp_queue *queue;
};

static void on_nest_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct opening o = *(struct opening *)ctx;
    char name[300];

    cel_free(ctx);
    if (o.queue->nest != CEL_AMQP_NEST_OPENING) {
        return; /* the channel was lost meanwhile */
    }
    if (err) {
        cel_amqp_nest_opened(o.a, o.queue, err);
        return;
    }
    nest_name(o.a, o.queue, name, sizeof name);
    cel_amqp_consume_nest(o.a, o.queue, name);
}

static void open_nest(struct cel_amqp_transport *a, struct cel_amqp_queue *q)
{
    struct opening *o = cel_alloc(sizeof *o);
    struct cel_arena arena = {0};
    const struct cel_node *arguments =
        o ? cel_amqp_onward(&arena, q, NEST_TTL, NEST_EXPIRES) : NULL;
    celery_error err = {0};
    char name[300];

    q->nest = CEL_AMQP_NEST_OPENING;
    if (!arguments) {
        cel_free(o);
        cel_arena_fini(&arena);
        cel_error_nomem(&err);
        cel_amqp_nest_opened(a, q, &err);
        return;
    }
    *o = (struct opening){a, q};
    nest_name(a, q, name, sizeof name);
    cel_amqp_declare_own(a, name, arguments, (struct cel_done){on_nest_declared, o});
    cel_arena_fini(&arena);
}

static struct nesting *find_nesting(struct cel_amqp_transport *a, uint64_t number)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &a->holding.moves) {
        struct nesting *n = cel_container_of(it, struct nesting, node);

        if (n->number == number && n->sent && !n->broker_tag) {
            return n;
        }
    }
    return NULL;
}

void cel_amqp_nest_arrived(struct cel_amqp_transport *a, uint64_t broker_tag,
                           struct cel_envelope *give_envelope)
{
    int64_t number =
        cel_node_int(cel_envelope_header(give_envelope, CEL_SLICE(CEL_AMQP_COPY)), 0);
    struct nesting *n = find_nesting(a, (uint64_t)number);

    cel_envelope_free(give_envelope);
    if (!n) { /* of an earlier connection: on to its queue */
        cel_amqp_tell_reject(a, broker_tag, false);
        return;
    }
    n->broker_tag = broker_tag;
    if (n->posted) {
        take_over(n);
    }
}

/* ---- sending one ---- */

/* What the copy says when it comes back; from us it comes only with our end. */
static bool mark(struct nesting *n, const struct cel_amqp_held *h)
{
    return cel_amqp_copy_redelivered(n->copy) &&
           cel_amqp_copy_int(n->copy, CEL_AMQP_COPY, (int64_t)n->number) &&
           (n->starts == 0 || cel_amqp_copy_int(n->copy, CEL_AMQP_STARTS, n->starts)) &&
           cel_amqp_copy_deliveries(n->copy, h, 1);
}

/* With so many starts counted in the copy.  The record is HELD. */
static void nest(struct cel_amqp_transport *a, uint64_t tag, int64_t starts, bool counts,
                 struct cel_done done)
{
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);
    struct nesting *n = cel_calloc(1, sizeof *n);

    if (!n) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    cel_list_init(&n->node);
    n->a = a;
    n->queue = h->queue;
    n->tag = tag;
    n->number = ++a->holding.numbers;
    n->counts = counts;
    n->starts = starts;
    n->answer = h->starts;
    n->done = done;
    n->copy = cel_amqp_copy(h->envelope);
    if (!n->copy || !mark(n, h)) {
        free_nesting(n);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    h->state = CEL_AMQP_NESTING;
    cel_list_append(&a->holding.moves, &n->node);
    if (n->queue->nest == CEL_AMQP_NEST_OPEN) {
        send(n);
    } else if (n->queue->nest == CEL_AMQP_NEST_NONE) {
        open_nest(a, n->queue);
    }
}

/* x-delivery-limit of a quorum queue as far as we can know it; policies are the broker's. */
static int64_t delivery_limit(const struct cel_amqp_transport *a,
                              const struct cel_amqp_held *h)
{
    const struct cel_amqp_server *server = cel_amqp_conn_server(a->conn);
    int64_t limit =
        cel_node_int(cel_node_get(h->queue->def.arguments, CEL_SLICE("x-delivery-limit")),
                     server && server->major >= 4 ? LIMIT_OF_4 : -1);

    return limit < 0 ? INT64_MAX : limit;
}

/*
 * A quorum queue counts what comes back itself.  That has its limit and is no more than that
 * many starts, but what merely lay with a consumer that ended is counted, too.  So who has used
 * up its budget there is started once more, alone, and that start is in a copy: if it comes
 * back from that, it was this message.  Before, and where the broker's limit is no higher than
 * ours, there are no copies, because their count at the broker begins at zero.
 */
static void count_quorum(struct cel_amqp_transport *a, uint64_t tag, int64_t most,
                         struct cel_done done)
{
    struct cel_amqp_held *h = cel_hold_get(&a->hold, tag);
    int64_t budget = a->base.redelivery_budget > 0 ? a->base.redelivery_budget : most;
    int64_t limit = delivery_limit(a, h);
    int64_t carried =
        cel_node_int(cel_envelope_header(h->envelope, CEL_SLICE(CEL_AMQP_DELIVERIES)), 0);

    if (h->starts >= budget || (carried > 0 && h->deliveries > limit)) {
        cel_done(done, NULL, h->starts >= budget ? h->starts : h->deliveries);
    } else if (h->deliveries < budget) {
        cel_done(done, NULL, h->deliveries > 0 ? h->deliveries - 1 : 0);
    } else if (most < budget || h->started || h->cut || limit <= budget) {
        cel_done(done, NULL, budget - 1);
    } else {
        h->starts = budget - 1;
        nest(a, tag, budget, true, done);
    }
}

void cel_amqp_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                          struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    struct cel_amqp_held *h;

    if (cel_amqp_is_closed(a, done)) {
        return;
    }
    h = cel_hold_get(&a->hold, tag);
    if (!h || h->state != CEL_AMQP_HELD) {
        cel_done(done, NULL, -1);
    } else if (cel_queue_is_quorum(&h->queue->def)) {
        count_quorum(a, tag, most, done);
    } else if (h->started || h->starts >= most || h->cut) {
        cel_done(done, NULL, h->starts);
    } else {
        nest(a, tag, h->starts + 1, true, done);
    }
}

/* ---- the broker's consumer_timeout ---- */

static void warn(const struct cel_amqp_transport *a, const struct cel_amqp_held *h)
{
    const struct cel_envelope *env = h->envelope;

    cel_log(CELERY_LOG_WARNING,
            "Task %s[%s] of queue %s has been unacknowledged for %.0f seconds, and the "
            "broker's consumer_timeout is %.0f: it is held on by a copy.  If that is no "
            "surprise, raise consumer_timeout of RabbitMQ (or x-consumer-timeout in the "
            "queue_arguments) and in broker_transport_options (milliseconds)",
            cel_log_safe(cel_node_text(cel_envelope_header(env, CEL_SLICE("task")))),
            cel_log_safe(cel_node_text(cel_envelope_header(env, CEL_SLICE("id")))),
            h->queue->name, cel_loop_now(a->base.loop) - h->since,
            a->set.consumer_timeout);
}

/* The oldest are in front. */
static void renew(struct cel_amqp_transport *a)
{
    double old = cel_loop_now(a->base.loop) - a->set.consumer_timeout * RENEW_AT;
    uint64_t tag = a->settling.first;
    struct cel_amqp_held *h;
    size_t n = 0;

    while ((h = cel_hold_get(&a->hold, tag)) != NULL && h->since <= old) {
        uint64_t next = h->next;

        if (h->state == CEL_AMQP_HELD && !h->warned && !h->cut) {
            if (n++ < LINES) {
                warn(a, h);
            }
            nest(a, tag, h->started ? h->counted : h->starts, false,
                 (struct cel_done){0});
        }
        tag = next;
    }
    if (n > LINES) {
        cel_log(CELERY_LOG_WARNING, "... and %zu more", n - LINES);
    }
}

static bool check_arrivals(struct cel_amqp_transport *a)
{
    double now = cel_loop_now(a->base.loop);
    struct cel_list *it, *tmp;
    bool awaited = false;

    cel_list_foreach(it, tmp, &a->holding.moves) {
        struct nesting *n = cel_container_of(it, struct nesting, node);

        if (n->posted && n->deadline <= now) {
            went_back(n);
            return true; /* the list may have changed: once more, soon */
        }
        awaited = awaited || n->posted;
    }
    return awaited;
}

static void on_tick(void *ctx)
{
    struct cel_amqp_transport *a = ctx;
    double wait = a->set.consumer_timeout / 40;

    if (!a->connected) {
        return;
    }
    if (a->set.consumer_timeout > 0) {
        renew(a);
    }
    wait = wait > 30 || wait <= 0 ? 30 : wait < 0.2 ? 0.2 : wait;
    if (check_arrivals(a)) {
        wait = wait < 1 ? wait : 1;
    }
    cel_source_rearm(a->holding.tick, cel_loop_now(a->base.loop) + wait);
}

/* ---- life ---- */

celery_status cel_amqp_hold_start(struct cel_amqp_transport *a)
{
    celery_status status = CELERY_OK;

    if (!a->holding.tick) {
        status = cel_loop_add_timer(a->base.loop, &a->holding.tick, 0, on_tick, a);
    }
    if (status == 0) {
        cel_source_rearm(a->holding.tick, cel_loop_now(a->base.loop) + 0.2);
    }
    return status;
}

void cel_amqp_hold_void(struct cel_amqp_transport *a)
{
    celery_error closed = {CELERY_ECLOSED, 0, "the channel of the message was closed"};
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &a->queues) {
        cel_container_of(it, struct cel_amqp_queue, node)->nest = CEL_AMQP_NEST_NONE;
    }
    while ((it = cel_list_first(&a->holding.later)) != NULL) {
        struct later *l = cel_container_of(it, struct later, node);

        cel_amqp_hold_drop(a, l->what.tag);
        cel_list_remove(it);
        cel_done(l->done, &closed, 0);
        cel_free(l);
    }
    while ((it = cel_list_first(&a->holding.moves)) != NULL) {
        struct nesting *n = cel_container_of(it, struct nesting, node);

        if (n->counts) { /* it hears of it by its answer */
            cel_amqp_hold_drop(a, n->tag);
        }
        finish(n, NULL, -1);
    }
}
