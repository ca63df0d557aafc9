/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_claim.h"
#include "base/alloc.h"
#include "base/error.h"
#include "transport/redis_deliver.h"
#include "transport/redis_score.h"
#include "transport/redis_settle.h"
#include "transport/redis_wait.h"

/*
 * Of one claim: messages, bytes after which it stops popping, and bytes it should bring.  More
 * of large messages at once would leave the server idle while they are read, or us.
 */
enum {
    MIN_BATCH = 8,
    MAX_BATCH = 256,
    MAX_BYTES = 8 << 20,
    GOOD_BYTES = 1 << 20,
};

/* The lease is set by a claim when it was not for so much of it. */
#define LEASE_FRESH (1 / 6.0)

size_t cel_redis_claim_room(const struct cel_redis_transport *r)
{
    const struct cel_redis_claiming *c = &r->claiming;
    size_t limit = c->n_held + c->requested;
    size_t prefetch = c->prefetch ? c->prefetch : CEL_REDIS_UNLIMITED;
    size_t room = limit < prefetch ? prefetch - limit : 0;
    size_t credit = c->credit > c->requested ? c->credit - c->requested : 0;

    return c->credited && credit < room ? credit : room;
}

/* ---- the order of queues ---- */

/* queue_order_strategy=sorted: by name. */
static void sort_in(struct cel_redis_transport *r, size_t i)
{
    struct cel_redis_queue **order = r->claiming.order;

    for (; i > 0 && strcmp(order[i - 1]->name, order[i]->name) > 0; i--) {
        struct cel_redis_queue *q = order[i];

        order[i] = order[i - 1];
        order[i - 1] = q;
    }
}

celery_status cel_redis_claim_add_queue(struct cel_redis_transport *r,
                                        struct cel_redis_queue *q)
{
    struct cel_redis_claiming *c = &r->claiming;

    if (c->n_order == c->cap_order) {
        size_t cap = c->cap_order ? c->cap_order * 2 : 4;
        struct cel_redis_queue **order = cel_realloc(c->order, cap, sizeof *order);

        if (!order) {
            return CELERY_ENOMEM;
        }
        c->order = order;
        c->cap_order = cap;
    }
    c->order[c->n_order++] = q;
    if (r->set.order == CEL_REDIS_SORTED) {
        sort_in(r, c->n_order - 1);
    }
    return CELERY_OK;
}

static void move_to_end(struct cel_redis_claiming *c, const struct cel_redis_queue *q)
{
    for (size_t i = 0; i < c->n_order; i++) {
        if (c->order[i] == q) {
            struct cel_redis_queue *moved = c->order[i];

            memmove(c->order + i, c->order + i + 1,
                    (c->n_order - i - 1) * sizeof *c->order);
            c->order[c->n_order - 1] = moved;
            return;
        }
    }
}

void cel_redis_claim_remove_queue(struct cel_redis_transport *r,
                                  struct cel_redis_queue *q)
{
    if (q->consuming) {
        move_to_end(&r->claiming, q);
        r->claiming.n_order--;
    }
}

/* ---- what came ---- */

/* How large messages are lately: asking for many large ones at once would flood both sides. */
static void note_size(struct cel_redis_claiming *c, const struct cel_resp *reply)
{
    const struct cel_resp *second = cel_resp_at(reply, 1);
    size_t len = cel_resp_text(second ? second : reply).len;

    if (cel_resp_kind(second) == CEL_RESP_INT) {
        len = (size_t)cel_resp_int(second);
    }

    c->largest = len > c->largest ? len : c->largest - (c->largest - len) / 64;
}

/* Gives out everything of an answer; answers how many messages came. */
static size_t deliver_all(struct cel_redis_transport *r, const struct cel_redis_claim *c,
                          const struct cel_resp *reply, struct cel_redis_score *score)
{
    struct cel_redis_arrival a = {r, score, NULL, 0};
    unsigned connects = r->connects;
    size_t got = 0;

    for (size_t i = 2; i < cel_resp_size(reply); i++) {
        const struct cel_resp *entry = cel_resp_at(reply, i);

        if (cel_resp_kind(entry) == CEL_RESP_INT) {
            size_t key = (size_t)cel_resp_int(entry);

            a.queue = c->queues[key % c->n_queues];
            a.step = key / c->n_queues % r->keys.n_steps;
            if (r->set.order == CEL_REDIS_ROUND_ROBIN) {
                move_to_end(&r->claiming, a.queue);
            }
            continue;
        }
        note_size(&r->claiming, entry);
        got++;
        if (!a.queue || cel_redis_deliver_reply(&a, entry) < 0) {
            cel_redis_abandon_text(r, CELERY_ENOMEM, "taking messages");
            break;
        }
        if (r->connects != connects) {
            break; /* closed by its owner */
        }
    }
    return got;
}

struct claim_ctx {
    struct cel_redis_transport *r;
    struct cel_redis_claim *claim;
};

static void on_claimed(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct claim_ctx x = *(struct claim_ctx *)ctx;
    struct cel_redis_transport *r = x.r;
    unsigned connects = r->connects;
    struct cel_redis_score *score = NULL;
    struct cel_slice text;
    celery_error why = {0};
    size_t got;

    cel_free(ctx);
    x.claim->in_flight = false;
    r->claiming.in_flight--;
    r->claiming.requested -= x.claim->max;
    if (cel_redis_check(r, reply, err, "claiming messages", &why) < 0) {
        if (!err) {
            cel_redis_abandon(r, &why);
        }
        return;
    }
    r->claiming.answered = cel_loop_now(r->base.loop);
    text = cel_resp_text(cel_resp_at(reply, 0));
    if (text.len > 0) {
        score = cel_redis_score_set(r, text);
        if (!score) {
            cel_redis_abandon_text(r, CELERY_ENOMEM, "taking messages");
            return;
        }
        if (x.claim->leased) {
            r->claiming.lease_at = cel_loop_now(r->base.loop);
        }
    }
    got = deliver_all(r, x.claim, reply, score);
    if (r->connects == connects) {
        if (got > 0) {
            /* What it brought is under way before the next answer is looked at. */
            cel_redis_rest(r->main);
        }
        cel_redis_wait_answered(r, x.claim, got,
                                cel_resp_int(cel_resp_at(reply, 1)) != 0);
        if (!cel_list_empty(&r->claiming.large)) {
            cel_redis_wait_not(r);
        }
    }
}

/* ---- asking ---- */

static bool copy_order(struct cel_redis_transport *r, struct cel_redis_claim *claim)
{
    size_t n = r->claiming.n_order;

    if (n > claim->cap_queues) {
        struct cel_redis_queue **queues = cel_realloc(claim->queues, n, sizeof *queues);

        if (!queues) {
            return false;
        }
        claim->queues = queues;
        claim->cap_queues = n;
    }
    memcpy(claim->queues, r->claiming.order, n * sizeof *claim->queues);
    claim->n_queues = n;
    return true;
}

const char *cel_redis_claim_score(const struct cel_redis_transport *r)
{
    double age = cel_loop_now(r->base.loop) - r->claiming.lease_at;

    return r->claiming.score && age < (double)cel_redis_lease(r) ? r->claiming.score->text
                                                                 : "";
}

bool cel_redis_claim_leases(const struct cel_redis_transport *r)
{
    double age = cel_loop_now(r->base.loop) - r->claiming.lease_at;

    return age > LEASE_FRESH * (double)cel_redis_lease(r);
}

static void claim_words(struct cel_redis_transport *r, struct cel_redis_claim *claim)
{
    size_t chunk = MAX_BYTES / (r->claiming.largest + 1);
    struct cel_redis_args *a = &r->args;

    claim->leased = cel_redis_claim_leases(r);
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->keys.unacked);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, r->keys.held);
    cel_redis_args_adds(a, r->lease_key);
    for (size_t i = 0; i < claim->n_queues; i++) {
        cel_redis_args_adds(a, claim->queues[i]->dead_key);
    }
    for (size_t s = 0; s < r->keys.n_steps; s++) {
        for (size_t i = 0; i < claim->n_queues; i++) {
            cel_redis_args_adds(a, claim->queues[i]->keys[s]);
        }
    }
    cel_redis_args_add_int(a, (int64_t)claim->max);
    cel_redis_args_add_int(a, chunk ? (int64_t)chunk : 1);
    cel_redis_args_add_int(a, MAX_BYTES);
    cel_redis_args_add_int(a, (int64_t)r->base.max_message);
    cel_redis_args_add_int(a, (int64_t)r->base.max_dead);
    cel_redis_args_adds(a, r->worker);
    cel_redis_args_add_int(a, claim->leased ? cel_redis_lease(r) : 0);
    cel_redis_args_add_int(a, (int64_t)claim->n_queues);
    cel_redis_args_adds(a, cel_redis_version(r->main) >= 60200 ? "1" : "0");
    cel_redis_args_adds(a, cel_redis_claim_score(r));
    for (size_t i = 0; i < claim->n_queues; i++) {
        cel_redis_args_adds(a, claim->queues[i]->name);
    }
}

static celery_status send_claim(struct cel_redis_transport *r,
                                struct cel_redis_claim *claim, size_t max)
{
    struct claim_ctx *ctx = cel_alloc(sizeof *ctx);
    celery_status status;

    if (!ctx || !copy_order(r, claim)) {
        cel_free(ctx);
        return CELERY_ENOMEM;
    }
    *ctx = (struct claim_ctx){r, claim};
    claim->max = max;
    claim->wakes = r->waiting.wakes;
    claim->armed = r->waiting.tracking == CEL_REDIS_TRACKING_ON;
    claim->by_wake = r->waiting.woken;
    claim_words(r, claim);
    status = cel_redis_send_script(r, &r->scripts.claim,
                                   4 + claim->n_queues * (1 + r->keys.n_steps),
                                   on_claimed, ctx);
    if (status < 0) {
        cel_free(ctx);
        return status;
    }
    r->waiting.woken = false;
    claim->in_flight = true;
    r->claiming.in_flight++;
    r->claiming.requested += max;
    return CELERY_OK;
}

/*
 * A window travels in halves: while one is worked on the other is on its way, and neither
 * side waits for the other.  Smaller parts cost the server more for each message.
 */
static size_t batch_size(const struct cel_redis_transport *r)
{
    size_t prefetch = r->claiming.prefetch ? r->claiming.prefetch : CEL_REDIS_UNLIMITED;
    size_t batch = prefetch / 2;
    size_t most = GOOD_BYTES / (r->claiming.largest + 1);

    batch = batch < MIN_BATCH ? MIN_BATCH : batch;
    batch = batch < MAX_BATCH ? batch : MAX_BATCH;
    most = most ? most : 1;
    return batch < most ? batch : most;
}

void cel_redis_claim_flush(struct cel_redis_transport *r)
{
    struct cel_redis_claiming *c = &r->claiming;
    size_t batch = batch_size(r);
    /* Of a narrow window a part is worth asking for. */
    size_t least = batch > MIN_BATCH ? batch - batch / 4 : batch / 2;

    /* While a renewal is on its way, releases wait for it and claims for them. */
    if (!r->connected || r->failure.status < 0 || c->n_order == 0 || r->waiting.waiting ||
        r->settling.renewing) {
        return;
    }
    for (size_t i = 0; i < CEL_REDIS_CLAIMS; i++) {
        size_t room = cel_redis_claim_room(r);

        if (c->claims[i].in_flight) {
            continue;
        }
        if (c->taking && !r->waiting.pushed) {
            return; /* its answer is as good as that of a claim */
        }
        if (room == 0 || (c->in_flight > c->taking && (!c->flowing || room < least))) {
            return;
        }
        if (c->in_flight == 0) {
            c->answered = cel_loop_now(r->base.loop);
        }
        if (send_claim(r, &c->claims[i], room < batch ? room : batch) < 0) {
            cel_redis_abandon_text(r, CELERY_ENOMEM, "claiming messages");
            return;
        }
    }
}

/* ---- the end ---- */

void cel_redis_claim_reset(struct cel_redis_transport *r)
{
    r->claiming.n_order = 0;
    r->claiming.flowing = false;
    r->claiming.take_known = false;
    r->claiming.lease_at = -1e9;
}

void cel_redis_claim_fini(struct cel_redis_transport *r)
{
    struct cel_redis_held *h;
    uint64_t tag;

    for (size_t i = 0; i < CEL_REDIS_CLAIMS; i++) {
        cel_free(r->claiming.claims[i].queues);
    }
    cel_free(r->claiming.order);
    for (size_t at = 0; (h = cel_hold_next(&r->hold, &at, &tag)) != NULL;) {
        cel_free(h->long_field);
    }
    cel_hold_fini(&r->hold);
}
