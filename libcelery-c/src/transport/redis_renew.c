/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A score is half of the proof that a delivery is ours.  While a renewal is on its way the
 * valid score is unknown, so nothing is settled until the answer is there: one round trip in
 * ten seconds.
 */
#include "transport/redis_renew.h"
#include "base/alloc.h"
#include "transport/redis_score.h"
#include "transport/redis_settle.h"

/* Deliveries of one call of the script. */
enum { MAX_BATCH = 1000 };

struct batch {
    struct cel_redis_transport *r;
    size_t n;
    uint64_t tags[MAX_BATCH];
};

static void taken(struct cel_redis_transport *r, uint64_t tag, struct cel_redis_held *h)
{
    bool uncertain = h->uncertain;

    if (h->state != CEL_REDIS_HELD) {
        return; /* being settled: the answer to that tells */
    }
    cel_redis_hold_drop(r, tag);
    /* Where a settlement was not answered it has been done, and is found so when repeated. */
    if (!uncertain && r->base.events->taken) {
        r->base.events->taken(r->base.events_ctx, tag);
    }
}

static void apply(struct batch *b, struct cel_redis_score *score, struct cel_slice answer)
{
    unsigned connects = b->r->connects;

    for (size_t i = 0; i < b->n && b->r->connects == connects; i++) {
        struct cel_redis_held *h = cel_hold_get(&b->r->hold, b->tags[i]);

        if (!h || !h->score) {
            continue;
        }
        h->unsure = false;
        if (i < answer.len && answer.data[i] == '1' && score) {
            cel_redis_score_release(b->r, h->score);
            h->score = score;
            score->count++;
        } else {
            taken(b->r, b->tags[i], h);
        }
    }
}

/* The server may have moved them, to a score it did not get to tell. */
static void mark_unsure(const struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct cel_redis_held *h = cel_hold_get(&b->r->hold, b->tags[i]);

        if (h) {
            h->unsure = true;
        }
    }
}

static void on_renewed(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct batch *b = ctx;
    struct cel_redis_transport *r = b->r;
    struct cel_slice text = cel_resp_text(cel_resp_at(reply, 0));
    struct cel_redis_score *score = NULL;
    celery_error why = {0};

    r->settling.renewing--;
    if (cel_redis_check(r, reply, err, "renewing messages", &why) < 0) {
        mark_unsure(b);
        if (!err) {
            cel_redis_abandon(r, &why);
        }
        cel_free(b);
        return;
    }
    if (text.len > 0) {
        score = cel_redis_score_set(r, text);
    }
    if (text.len > 0 && !score) {
        mark_unsure(b);
        cel_redis_abandon_text(r, CELERY_ENOMEM, "renewing messages");
        cel_free(b);
        return;
    }
    apply(b, score, cel_resp_text(cel_resp_at(reply, 1)));
    cel_free(b);
    if (r->flush) {
        cel_source_schedule(r->flush);
    }
}

static void send_batch(struct cel_redis_transport *r, struct batch *b)
{
    struct cel_redis_args *a = &r->args;

    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, r->keys.held);
    cel_redis_args_adds(a, r->lease_key);
    cel_redis_args_adds(a, r->worker);
    cel_redis_args_add_int(a, cel_redis_lease(r));
    for (size_t i = 0; i < b->n; i++) {
        struct cel_redis_held *h = cel_hold_get(&r->hold, b->tags[i]);

        cel_redis_args_adds(a, cel_redis_field(h));
        cel_redis_args_adds(a, h->unsure ? "?" : h->score->text);
    }
    if (cel_redis_send_script(r, &r->scripts.renew, 3, on_renewed, b) < 0) {
        cel_free(b);
        cel_redis_abandon_text(r, CELERY_ENOMEM, "renewing messages");
        return;
    }
    r->settling.renewing++;
    r->claiming.lease_at = cel_loop_now(r->base.loop);
}

void cel_redis_renew(struct cel_redis_transport *r)
{
    struct cel_redis_held *h;
    struct batch *b = NULL;
    size_t at = 0;
    uint64_t tag;

    if (r->settling.renewing) {
        return; /* the one before is not answered; the connection's deadline watches it */
    }
    cel_redis_settle_flush(r); /* with scores that are still valid */
    while ((h = cel_hold_next(&r->hold, &at, &tag)) != NULL) {
        if (!h->score || h->state == CEL_REDIS_SENT) {
            continue;
        }
        if (!b) {
            b = cel_alloc(sizeof *b);
            if (!b) {
                cel_redis_abandon_text(r, CELERY_ENOMEM, "renewing messages");
                return;
            }
            b->r = r;
            b->n = 0;
        }
        b->tags[b->n++] = tag;
        if (b->n == MAX_BATCH) {
            send_batch(r, b);
            b = NULL;
        }
    }
    if (b) {
        send_batch(r, b);
    }
}
