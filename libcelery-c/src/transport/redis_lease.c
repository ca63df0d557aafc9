/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A round, every third of the lease or ten seconds at most: renew, then ask whose lease is gone
 * and put back what they held, and what is older than visibility_timeout and nobody's, as kombu's
 * QoS.restore_visible does for workers that renew nothing; messages are deferred that way.
 */
#include "transport/redis_lease.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/uuid.h"
#include "transport/redis_renew.h"
#include "transport/redis_restore.h"
#include "transport/redis_score.h"
#include <stdio.h>

/* Scores of one look, entries and bytes of one fetch, fetches of one sweep. */
enum { MAX_SCORES = 64, MAX_ENTRIES = 100, MAX_BYTES = 8 << 20, MAX_FETCHES = 1000 };

enum phase { PHASE_ORPHANS, PHASE_OLD };

struct cel_redis_sweep {
    struct cel_redis_transport *r;
    enum phase phase;
    bool all; /* the list of scores was not cut */
    size_t n_scores;
    char (*scores)[32];
    size_t pending; /* entries being put back */
    size_t moved;   /* of this fetch */
    bool gone_on;   /* something was moved since the scores were asked for */
    unsigned fetches;
    int64_t left; /* of unacked_restore_limit */
};

static void fetch(struct cel_redis_sweep *s);
static void start_old(struct cel_redis_sweep *s);
static void look_for_orphans(struct cel_redis_sweep *s);

static void end_sweep(struct cel_redis_sweep *s)
{
    s->r->leasing.sweeping = false;
    cel_free(s->scores);
    cel_free(s);
}

/* No answer, or a bad one: this sweep is over, the next round tries again. */
static bool is_over(struct cel_redis_sweep *s, const struct cel_resp *reply,
                    const celery_error *err)
{
    if (cel_redis_check(s->r, reply, err, "restoring messages", NULL) == 0) {
        return false;
    }
    end_sweep(s);
    return true;
}

static void next_phase(struct cel_redis_sweep *s)
{
    if (!s->r->connected) {
        end_sweep(s);
    } else if (s->phase == PHASE_ORPHANS && !s->all && s->gone_on) {
        look_for_orphans(s); /* there were more than one answer holds */
    } else if (s->phase == PHASE_ORPHANS) {
        start_old(s);
    } else {
        end_sweep(s);
    }
}

/* ---- putting back ---- */

static void on_restored(void *ctx, bool moved)
{
    struct cel_redis_sweep *s = ctx;

    s->moved += moved;
    s->gone_on = s->gone_on || moved;
    if (--s->pending > 0) {
        return;
    }
    if (!s->r->connected) {
        end_sweep(s);
    } else if (s->moved == 0 || ++s->fetches == MAX_FETCHES) {
        next_phase(s); /* nothing gives way: do not turn in circles */
    } else {
        fetch(s);
    }
}

static void on_entries(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_sweep *s = ctx;
    size_t n = cel_resp_size(reply) / 3;

    if (is_over(s, reply, err)) {
        return;
    }
    if (n == 0) {
        next_phase(s);
        return;
    }
    s->moved = 0;
    s->pending = n + 1; /* one for this loop */
    s->left -= (int64_t)n;
    for (size_t i = 0; i < 3 * n; i += 3) {
        cel_redis_restore(s->r, cel_resp_text(cel_resp_at(reply, i)),
                          cel_resp_text(cel_resp_at(reply, i + 1)),
                          cel_resp_text(cel_resp_at(reply, i + 2)), on_restored, s);
    }
    on_restored(s, false);
}

static void fetch(struct cel_redis_sweep *s)
{
    struct cel_redis_transport *r = s->r;
    struct cel_redis_args *a = &r->args;
    char seconds[32] = "";
    int64_t entries = MAX_ENTRIES;

    if (s->phase == PHASE_OLD) {
        snprintf(seconds, sizeof seconds, "%.6f", r->set.visibility_timeout);
        if (r->set.restore_limit && s->left < entries) {
            entries = s->left;
        }
        if (entries <= 0) {
            next_phase(s);
            return;
        }
    }
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->keys.unacked);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, r->keys.held);
    cel_redis_args_adds(a, r->keys.unacked_mutex);
    cel_redis_args_adds(a, seconds);
    cel_redis_args_add_int(a, entries);
    cel_redis_args_add_int(a, MAX_BYTES);
    cel_redis_args_adds(a, r->keys.leases);
    cel_redis_args_adds(a, r->worker);
    for (size_t i = 0; s->phase == PHASE_ORPHANS && i < s->n_scores; i++) {
        cel_redis_args_adds(a, s->scores[i]);
    }
    if (cel_redis_send_script(r, &r->scripts.fetch, 4, on_entries, s) < 0) {
        end_sweep(s);
    }
}

/* ---- what is too old ---- */

static void start_old(struct cel_redis_sweep *s)
{
    s->phase = PHASE_OLD;
    s->fetches = 0;
    s->left = s->r->set.restore_limit;
    fetch(s);
}

/* ---- whose lease is gone ---- */

static void add_score(struct cel_redis_sweep *s, struct cel_slice score)
{
    if (score.len < sizeof *s->scores) {
        memcpy(s->scores[s->n_scores], score.data, score.len);
        s->scores[s->n_scores++][score.len] = 0;
    }
}

/*
 * Scores of ours that we do not know came by a claim whose answer was lost with its
 * connection.  Those on their way now are answered before this is.
 */
static void add_scores(struct cel_redis_sweep *s, const struct cel_resp *dead,
                       const struct cel_resp *ours)
{
    for (size_t i = 0; i < cel_resp_size(dead); i++) {
        add_score(s, cel_resp_text(cel_resp_at(dead, i)));
    }
    s->all = cel_resp_size(dead) < MAX_SCORES;
    for (size_t i = 0; i < cel_resp_size(ours); i++) {
        struct cel_slice score = cel_resp_text(cel_resp_at(ours, i));

        if (!cel_redis_score_is_known(s->r, score)) {
            add_score(s, score);
        }
    }
}

static void on_orphans(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_sweep *s = ctx;
    const struct cel_resp *dead = cel_resp_at(reply, 0), *ours = cel_resp_at(reply, 1);
    char(*scores)[32];

    if (is_over(s, reply, err)) {
        return;
    }
    scores = cel_realloc(s->scores, cel_resp_size(dead) + cel_resp_size(ours) + 1,
                         sizeof *s->scores);
    if (!scores) {
        end_sweep(s);
        return;
    }
    s->scores = scores;
    add_scores(s, dead, ours);
    if (s->n_scores > 0) {
        fetch(s);
    } else {
        next_phase(s);
    }
}

static void look_for_orphans(struct cel_redis_sweep *s)
{
    struct cel_redis_transport *r = s->r;
    struct cel_redis_args *a = &r->args;

    s->phase = PHASE_ORPHANS;
    s->n_scores = 0;
    s->gone_on = false;
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->keys.held);
    cel_redis_args_adds(a, r->keys.leases);
    cel_redis_args_adds(a, r->worker);
    cel_redis_args_add_int(a, MAX_SCORES);
    if (cel_redis_send_script(r, &r->scripts.orphans, 1, on_orphans, s) < 0) {
        end_sweep(s);
    }
}

static void start_sweep(struct cel_redis_transport *r)
{
    struct cel_redis_sweep *s = cel_calloc(1, sizeof *s);

    if (s) {
        s->r = r;
        r->leasing.sweeping = true;
        look_for_orphans(s);
    }
}

/* ---- rounds ---- */

static double period(const struct cel_redis_transport *r)
{
    double quarter = r->set.visibility_timeout / 4;
    double every = cel_redis_renew_every(r);
    double most = quarter < every ? quarter : every;

    return most * (0.8 + 0.2 * cel_random_double());
}

static void on_round(void *ctx)
{
    struct cel_redis_transport *r = ctx;
    double now = cel_loop_now(r->base.loop);

    cel_source_rearm(r->leasing.timer, now + period(r));
    cel_redis_renew(r);
    if (!r->leasing.sweeping && now >= r->leasing.sweep_at) {
        /* Every round, unless rounds are short: a lease of 30 s is missed within 40 s. */
        r->leasing.sweep_at = now + cel_redis_renew_every(r) / 2;
        start_sweep(r);
    }
}

celery_status cel_redis_lease_start(struct cel_redis_transport *r, celery_error *err)
{
    if (r->leasing.timer) {
        return CELERY_OK;
    }
    r->leasing.sweep_at = 0;
    return cel_loop_add_timer(r->base.loop, &r->leasing.timer, cel_loop_now(r->base.loop),
                              on_round, r);
}

void cel_redis_lease_stop(struct cel_redis_transport *r)
{
    r->leasing.timer = cel_source_free(r->leasing.timer);
    r->leasing.sweeping = false;
}
