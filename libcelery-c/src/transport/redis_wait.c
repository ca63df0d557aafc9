/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A claim that came back short while reports were on means: wait.  When reports are off they
 * are switched on first, and one more claim follows, so that nothing falls between.  Reports
 * go off again while queues are never empty, because then they only cost.
 */
#include "transport/redis_wait.h"
#include "base/uuid.h"
#include "transport/redis_claim.h"
#include "transport/redis_score.h"

/* Seconds, and how often something must happen. */
#define TICK     1.0
#define POLL_MIN 0.005
#define POLL_MAX 0.25
#define HERD_MIN 0.00025
#define HERD_MAX 0.02
enum { HERD_AFTER = 2, BUSY_CLAIMS = 32, BUSY_TICKS = 4 };

static void ask_again(struct cel_redis_transport *r)
{
    r->waiting.waiting = false;
    r->waiting.delayed = false;
    if (r->waiting.delay) {
        cel_source_disarm(r->waiting.delay);
    }
    cel_source_schedule(r->flush);
}

static void ask_later(struct cel_redis_transport *r, double seconds)
{
    r->waiting.delayed = true;
    cel_source_rearm(r->waiting.delay, cel_loop_now(r->base.loop) + seconds);
}

static void on_delay(void *ctx)
{
    ask_again(ctx);
}

static void tracking_off(struct cel_redis_transport *r)
{
    if (r->waiting.tracking == CEL_REDIS_TRACKING_ON) {
        r->waiting.tracking = CEL_REDIS_TRACKING_OFF;
        cel_redis_commandf(r->main, NULL, NULL, "CLIENT TRACKING OFF");
    }
}

/* Claims are due and none is answered: the connection is of no use, whatever it looks like. */
static void watch_progress(struct cel_redis_transport *r)
{
    double limit = r->set.net.command_timeout;

    if (limit <= 0) {
        limit = 10 * TICK;
    }
    if (r->claiming.n_order == 0 || cel_redis_claim_room(r) == 0) {
        r->claiming.answered = cel_loop_now(r->base.loop);
    } else if (cel_loop_now(r->base.loop) - r->claiming.answered > limit) {
        cel_redis_abandon_text(r, CELERY_ETIMEOUT, "no answer to a claim for messages");
    }
}

static void on_tick(void *ctx)
{
    struct cel_redis_transport *r = ctx;

    cel_source_rearm(r->waiting.tick, cel_loop_now(r->base.loop) + TICK);
    watch_progress(r);
    if (r->waiting.waiting) {
        r->waiting.busy_ticks = 0;
        cel_redis_score_let_go(r);
        ask_again(r);
    } else if (++r->waiting.busy_ticks >= BUSY_TICKS) {
        tracking_off(r);
    }
}

celery_status cel_redis_wait_start(struct cel_redis_transport *r, celery_error *err)
{
    double now = cel_loop_now(r->base.loop);
    celery_status status = CELERY_OK;

    if (!r->waiting.tick) {
        status =
            cel_loop_add_timer(r->base.loop, &r->waiting.tick, now + TICK, on_tick, r);
    }
    if (status == 0 && !r->waiting.delay) {
        status = cel_loop_add_timer(r->base.loop, &r->waiting.delay, now, on_delay, r);
    }
    if (r->claiming.n_order == 1) {
        r->claiming.answered = now;
    }
    return status;
}

void cel_redis_wait_stop(struct cel_redis_transport *r)
{
    struct cel_source *tick = r->waiting.tick, *delay = r->waiting.delay;

    r->waiting = (struct cel_redis_waiting){.poll = POLL_MIN};
    cel_source_free(tick);
    cel_source_free(delay);
}

/* ---- reports of changed keys ---- */

static void on_tracking(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_transport *r = ctx;

    /* An old server, an ACL or a proxy does not allow it: poll. */
    if (!err && cel_resp_kind(reply) == CEL_RESP_ERROR) {
        r->waiting.tracking = CEL_REDIS_TRACKING_REFUSED;
        ask_again(r);
    }
}

/*
 * Prefixes of one connection may not overlap, and the priority keys of a queue start with its
 * name: one prefix is enough for them and for every queue whose name starts with it.
 */
static bool is_covered(const struct cel_redis_transport *r, size_t i)
{
    struct cel_slice key = cel_slice_of(r->claiming.order[i]->keys[0]);

    for (size_t j = 0; j < r->claiming.n_order; j++) {
        struct cel_slice other = cel_slice_of(r->claiming.order[j]->keys[0]);

        if (j != i && cel_slice_starts(key, other) && (other.len < key.len || j < i)) {
            return true;
        }
    }
    return false;
}

static bool tracking_on(struct cel_redis_transport *r)
{
    struct cel_redis_args *a = &r->args;

    if (!r->waiting.ready || r->waiting.tracking == CEL_REDIS_TRACKING_REFUSED) {
        return false;
    }
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, "CLIENT");
    cel_redis_args_adds(a, "TRACKING");
    cel_redis_args_adds(a, "ON");
    cel_redis_args_adds(a, "REDIRECT");
    cel_redis_args_add_int(a, cel_redis_client_id(r->sub));
    cel_redis_args_adds(a, "BCAST");
    cel_redis_args_adds(a, "NOLOOP");
    for (size_t i = 0; i < r->claiming.n_order; i++) {
        if (!is_covered(r, i)) {
            cel_redis_args_adds(a, "PREFIX");
            cel_redis_args_adds(a, r->claiming.order[i]->keys[0]);
        }
    }
    if (cel_redis_send(r, on_tracking, r) < 0) {
        return false;
    }
    r->waiting.tracking = CEL_REDIS_TRACKING_ON;
    return true;
}

void cel_redis_wait_ready(struct cel_redis_transport *r)
{
    r->waiting.ready = true;
    ask_again(r);
}

void cel_redis_wait_not(struct cel_redis_transport *r)
{
    ask_again(r);
}

void cel_redis_wait_changed(struct cel_redis_transport *r)
{
    tracking_off(r);
    ask_again(r);
}

static bool is_ours(const struct cel_redis_transport *r, struct cel_slice key)
{
    for (size_t i = 0; i < r->claiming.n_order; i++) {
        for (size_t s = 0; s < r->keys.n_steps; s++) {
            if (cel_slice_is(key, r->claiming.order[i]->keys[s])) {
                return true;
            }
        }
    }
    return false;
}

/* Every idle worker hears of one message: those that come late now and then step back. */
static double herd_delay(unsigned empty_wakes)
{
    double most = HERD_MIN;

    for (unsigned i = HERD_AFTER; i < empty_wakes && most < HERD_MAX; i++) {
        most *= 2;
    }
    return cel_random_double() * (most < HERD_MAX ? most : HERD_MAX);
}

void cel_redis_wait_report(struct cel_redis_transport *r, const struct cel_resp *keys)
{
    bool ours = cel_resp_kind(keys) != CEL_RESP_ARRAY;

    for (size_t i = 0; !ours && i < cel_resp_size(keys); i++) {
        ours = is_ours(r, cel_resp_text(cel_resp_at(keys, i)));
    }
    if (!ours) {
        return;
    }
    r->waiting.wakes++;
    r->waiting.drained = r->waiting.drained && r->waiting.echo;
    r->waiting.echo = false;
    if (!r->waiting.waiting || r->waiting.delayed) {
        return;
    }
    r->waiting.woken = true;
    if (r->waiting.empty_wakes >= HERD_AFTER) {
        ask_later(r, herd_delay(r->waiting.empty_wakes));
    } else {
        ask_again(r);
    }
}

/* NOLOOP spares us reports of our own claims, and with them those of what we send. */
void cel_redis_wait_own(struct cel_redis_transport *r)
{
    r->waiting.wakes++;
    r->waiting.drained = false;
    r->waiting.pushed = true;
    if (r->waiting.waiting && !r->waiting.delayed) {
        ask_again(r);
    }
}

/* ---- what follows a claim ---- */

static void came_short(struct cel_redis_transport *r, const struct cel_redis_claim *c)
{
    if (r->waiting.wakes != c->wakes) { /* something changed since it was sent */
        r->waiting.waiting = true;
        r->waiting.woken = true;
        ask_later(r, r->waiting.empty_wakes < HERD_AFTER
                         ? 0
                         : herd_delay(r->waiting.empty_wakes));
    } else if (c->armed && r->waiting.tracking == CEL_REDIS_TRACKING_ON) {
        r->waiting.waiting = true;
    } else if (r->waiting.tracking != CEL_REDIS_TRACKING_ON && !tracking_on(r)) {
        r->waiting.waiting = true;
        ask_later(r, r->waiting.poll);
        r->waiting.poll *= 2;
        if (r->waiting.poll > POLL_MAX) {
            r->waiting.poll = POLL_MAX;
        }
    }
}

void cel_redis_wait_answered(struct cel_redis_transport *r,
                             const struct cel_redis_claim *c, size_t got, bool more)
{
    if (got > 0) {
        r->waiting.poll = POLL_MIN;
        r->waiting.empty_wakes = 0;
    } else if (c->by_wake) {
        r->waiting.empty_wakes++;
    }
    r->claiming.flowing = got >= c->max || more;
    r->waiting.drained = !r->claiming.flowing;
    r->waiting.echo = got > 0;
    if (!r->claiming.flowing) {
        r->waiting.full_claims = 0;
        came_short(r, c);
    } else {
        r->waiting.waiting = false;
        if (++r->waiting.full_claims >= BUSY_CLAIMS) {
            tracking_off(r);
        }
    }
    cel_source_schedule(r->flush);
}
