/* SPDX-License-Identifier: BSD-3-Clause */
/* What a claimed chord brings about, and its end. */
#include "base/alloc.h"
#include "base/log.h"
#include "worker/chord.h"
#include "worker/chord_push.h"

/* Seconds that a claim is kept for the messages of its body. */
#define KEEP_SECONDS 60

struct settling {
    struct cel_follow_claim *claim;
    struct cel_carry_done done;
};

/* The claim is settled, whether it could be or not; frees s. */
static void settled(struct settling *s, const celery_error *err)
{
    struct cel_carry_done done = s->done;

    cel_list_remove(&s->claim->node);
    cel_effects_fini(&s->claim->effects);
    cel_free(s);
    done.fn(done.ctx, err);
}

static void on_ended(void *ctx, const celery_error *err)
{
    settled(ctx, err);
}

static void start_end(struct cel_errand *e, struct cel_backend *backend)
{
    struct cel_follow_claim *c = cel_container_of(e, struct cel_follow_claim, errand);

    backend->ops->end_chord(backend, c->group_id, cel_slice_of(c->token), c->failed,
                            (struct cel_done){cel_errand_answer, e});
}

static void on_sent(void *ctx, const celery_error *err)
{
    struct settling *s = ctx;

    if (err) {
        settled(s, err);
        return;
    }
    s->claim->errand.start = start_end;
    s->claim->errand.done = on_ended;
    cel_results_run(s->claim->r->w->results, &s->claim->errand);
}

static void on_kept_answer(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_follow_claim *c = ctx;

    c->kept = answer == 1;
    cel_errand_answer(&c->errand, err, answer);
}

static void start_keep(struct cel_errand *e, struct cel_backend *backend)
{
    struct cel_follow_claim *c = cel_container_of(e, struct cel_follow_claim, errand);

    backend->ops->keep_chord(backend, c->group_id, cel_slice_of(c->token), KEEP_SECONDS,
                             (struct cel_done){on_kept_answer, c});
}

static void carry(struct settling *s)
{
    cel_carry_start(s->claim->r->w, cel_buf_slice(&s->claim->effects.bytes), NULL,
                    (struct cel_carry_done){on_sent, s});
}

/* A server that refuses the one step (permissions) may still take two. */
static void on_pushed(void *ctx, const celery_error *err)
{
    struct settling *s = ctx;

    if (err && (err->status == CELERY_EAUTH || err->status == CELERY_EPROTO)) {
        carry(s);
    } else {
        settled(s, err);
    }
}

static void on_kept(void *ctx, const celery_error *err)
{
    struct settling *s = ctx;

    if (!err && !s->claim->kept) {
        cel_log(
            CELERY_LOG_WARNING,
            "Chord callback for '%s' not published: dispatch claim is no longer owned "
            "by this worker",
            cel_log_safe(s->claim->group_id));
    }
    if (err || !s->claim->kept) {
        settled(s, err);
        return;
    }
    if (s->claim->effects.n == 0) {
        on_sent(s, NULL);
        return;
    }
    if (!s->claim->failed &&
        cel_chord_push(s->claim, (struct cel_carry_done){on_pushed, s})) {
        return;
    }
    carry(s);
}

void cel_chord_settle(struct cel_request *r, struct cel_carry_done done)
{
    struct cel_list *first = r->follow ? cel_list_first(&r->follow->claims) : NULL;
    struct settling *s = first ? cel_calloc(1, sizeof *s) : NULL;

    if (!s) {
        static const celery_error nomem = {CELERY_ENOMEM, 0, "out of memory"};

        done.fn(done.ctx, first ? &nomem : NULL);
        return;
    }
    s->claim = cel_container_of(first, struct cel_follow_claim, node);
    s->done = done;
    s->claim->errand.start = start_keep;
    s->claim->errand.done = on_kept;
    s->claim->errand.ctx = s;
    cel_results_run(r->w->results, &s->claim->errand);
}
