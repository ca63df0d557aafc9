/* SPDX-License-Identifier: BSD-3-Clause */
/* Acknowledgements, many at once. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/redis_op.h"
#include "transport/redis_score.h"
#include "transport/redis_settle.h"
#include "transport/redis_starts.h"

/* Acknowledgements on their way. */
struct batch {
    struct cel_redis_transport *r;
    size_t n;
    struct ack {
        uint64_t tag;
        struct cel_done done;
    } acks[];
};

static struct cel_redis_score *score_of(const struct cel_redis_transport *r,
                                        const struct batch *b, size_t i)
{
    const struct cel_redis_held *h = cel_hold_get(&r->hold, b->acks[i].tag);

    return h->score;
}

static void on_settled(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct batch *b = ctx;
    struct cel_slice answer = cel_resp_text(reply);
    celery_error why = {0};
    celery_status status = cel_redis_check(b->r, reply, err, "settling messages", &why);

    if (status < 0 && !err) {
        cel_redis_abandon(b->r, &why);
    }
    for (size_t i = 0; i < b->n; i++) {
        struct cel_redis_held *h = cel_hold_get(&b->r->hold, b->acks[i].tag);

        if (h) {
            h->score->sent--;
            h->score->told = h->score->told && status == 0;
        }
        if (status == 0) {
            cel_redis_hold_drop(b->r, b->acks[i].tag);
            cel_done(b->acks[i].done, NULL, i < answer.len && answer.data[i] == '1');
        } else {
            cel_redis_hold_again(b->r, b->acks[i].tag);
            cel_done(b->acks[i].done, &why, 0);
        }
    }
    cel_free(b);
}

/*
 * How many the server has by this score when it comes to this batch: those of its own, and of
 * claims before it as many as were asked for.  0: not known.
 */
static size_t expected(const struct cel_redis_transport *r,
                       const struct cel_redis_score *score)
{
    size_t known = score->count - score->sent + score->leaving;

    if (score->lost || r->claiming.taking) {
        return 0;
    }
    return score == r->claiming.score ? known - 1 + r->claiming.requested : known;
}

/* Brings deliveries with the score of the one at `from` behind it; the end of these. */
static size_t gather(struct cel_redis_transport *r, struct batch *b, size_t from)
{
    const struct cel_redis_score *score = score_of(r, b, from);
    size_t end = from + 1;

    for (size_t i = end; i < b->n; i++) {
        if (score_of(r, b, i) == score) {
            struct ack other = b->acks[end];

            b->acks[end++] = b->acks[i];
            b->acks[i] = other;
        }
    }
    return end;
}

/* Of each score: it, how many, how many the server should have, the fields. */
static void add_runs(struct cel_redis_transport *r, struct batch *b)
{
    struct cel_redis_args *a = &r->args;
    size_t end;

    for (size_t i = 0; i < b->n; i = end) {
        struct cel_redis_score *score = score_of(r, b, i);

        end = gather(r, b, i);
        cel_redis_args_adds(a, score->text);
        cel_redis_args_add_int(a, (int64_t)(end - i));
        cel_redis_args_add_int(a, (int64_t)expected(r, score));
        score->leaving -= end - i;
        for (size_t j = i; j < end; j++) {
            const struct cel_redis_held *h = cel_hold_get(&r->hold, b->acks[j].tag);

            cel_redis_args_adds(a, cel_redis_field(h));
        }
    }
}

/* Scores that these are the last of: the script forgets them after it has released. */
static void add_scores(struct cel_redis_transport *r, const struct batch *b)
{
    struct cel_redis_args *a = &r->args;
    struct cel_list *it, *tmp;

    for (size_t i = 0; i < b->n; i++) {
        struct cel_redis_held *h = cel_hold_get(&r->hold, b->acks[i].tag);

        if (h->score->sent == h->score->count && !h->score->told && !h->score->lost) {
            h->score->told = true;
            cel_redis_args_adds(a, h->score->text);
        }
    }
    cel_list_foreach(it, tmp, &r->settling.finished) {
        cel_redis_args_adds(a, cel_container_of(it, struct cel_redis_score, node)->text);
    }
}

static void settle_words(struct cel_redis_transport *r, struct batch *b)
{
    struct cel_redis_args *a = &r->args;

    for (size_t i = 0; i < b->n; i++) {
        struct cel_redis_held *h = cel_hold_get(&r->hold, b->acks[i].tag);

        h->state = CEL_REDIS_SENT;
        h->score->sent++;
        h->score->leaving++;
        cel_redis_starts_forget(r, h, false);
    }
    if (r->claiming.n_order == 0) {
        cel_redis_score_let_go(r);
    }
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->keys.unacked);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, r->keys.held);
    cel_redis_args_adds(a, r->lease_key);
    cel_redis_args_adds(a, cel_redis_version(r->main) >= 60200 ? "1" : "0");
    cel_redis_args_adds(a, r->worker);
    cel_redis_args_adds(a, r->settling.let_go ? "1" : "0");
    cel_redis_args_add_int(a, (int64_t)b->n);
    add_runs(r, b);
    add_scores(r, b);
    r->settling.let_go = false;
}

void cel_redis_send_acks(struct cel_redis_transport *r,
                         const struct cel_redis_settle_op *ops, size_t n)
{
    struct batch *b = cel_alloc(sizeof *b + n * sizeof b->acks[0]);
    celery_error err = {0};

    if (b) {
        *b = (struct batch){r, n};
        for (size_t i = 0; i < n; i++) {
            b->acks[i].tag = ops[i].tag;
            b->acks[i].done = ops[i].done;
        }
        settle_words(r, b);
        if (cel_redis_send_script(r, &r->scripts.settle, 4, on_settled, b) == 0) {
            cel_redis_score_free_finished(r);
            return;
        }
    }
    cel_error_nomem(&err);
    if (b) {
        on_settled(b, NULL, &err);
    } else {
        for (size_t i = 0; i < n; i++) {
            cel_redis_hold_again(r, ops[i].tag);
            cel_done(ops[i].done, &err, 0);
        }
    }
    cel_redis_abandon(r, &err);
}
