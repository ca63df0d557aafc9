/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_share.h"
#include "transport/amqp_consume.h"

enum { PREFETCH_MAX = 65535, MAX_SLICES = 4 };

/* Seconds between two changes. */
#define CHANGE_EVERY 1.0

/* What is dealt out, counted when it is asked for. */
struct shares {
    unsigned total;
    unsigned queues; /* that are consumed from */
    unsigned busy;   /* of these: use all they have */
    unsigned spare;  /* what busy ones have to leave to the others */
    unsigned taken;  /* shares, and what is held beside them */
};

bool cel_amqp_has_share(const struct cel_amqp_consumer *c)
{
    return !c->no_ack && !c->nest && !c->cancelling && !c->silent;
}

static unsigned total(const struct cel_amqp_transport *a)
{
    unsigned n = a->consuming.prefetch;

    return n == 0 ? CEL_AMQP_UNLIMITED : n > PREFETCH_MAX ? PREFETCH_MAX : n;
}

static bool is_sharing(const struct cel_amqp_queue *q)
{
    return q->wanted && !q->def.no_ack;
}

/* ---- a queue ---- */

static void count_queue(const struct cel_amqp_transport *a, struct cel_amqp_queue *q)
{
    struct cel_list *it, *tmp;

    q->share = q->slices = q->held_in = 0;
    cel_list_foreach(it, tmp, &a->consuming.consumers) {
        struct cel_amqp_consumer *c =
            cel_container_of(it, struct cel_amqp_consumer, node);

        if (c->queue == q && cel_amqp_has_share(c)) {
            q->share += c->count;
            q->held_in += c->held;
            q->slices++;
        }
    }
}

static unsigned held_beside(const struct cel_amqp_queue *q)
{
    return q->held > q->held_in ? q->held - q->held_in : 0;
}

static bool is_busy(const struct cel_amqp_queue *q)
{
    return q->share > 0 && q->held_in >= q->share;
}

/* What one keeps that is not busy: half unused is too much while others want. */
static unsigned kept(const struct cel_amqp_queue *q)
{
    return q->held_in < (q->share + 1) / 2 ? 1 : q->share;
}

static struct shares count_all(struct cel_amqp_transport *a)
{
    struct shares s = {.total = total(a)};
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        count_queue(a, q);
        s.taken += q->share + held_beside(q);
        if (is_sharing(q)) {
            s.queues++;
            s.busy += is_busy(q);
            s.spare += is_busy(q) ? 0 : kept(q);
        }
    }
    return s;
}

static unsigned part(unsigned of, unsigned n)
{
    return n == 0 || of < n ? 1 : of / n;
}

unsigned cel_amqp_first_share(struct cel_amqp_transport *a,
                              const struct cel_amqp_queue *q)
{
    struct shares s = count_all(a);
    unsigned share = part(s.total, s.queues);
    unsigned left = s.total > s.taken ? s.total - s.taken : 0;

    return q->def.no_ack ? s.total : left < 1 ? 1 : share < left ? share : left;
}

/* ---- dealing out ---- */

static unsigned wanted(const struct shares *s, const struct cel_amqp_queue *q)
{
    unsigned even = part(s->total, s->queues);

    if (s->busy == 0) {
        return s->taken > s->total || q->share < even ? even : q->share;
    }
    return is_busy(q)       ? part(s->total > s->spare ? s->total - s->spare : 0, s->busy)
           : kept(q) < even ? kept(q)
                            : even;
}

/* Small steps are not worth a new consumer. */
static bool differs(unsigned now, unsigned then)
{
    unsigned difference = now > then ? now - then : then - now;

    return difference > 0 && (difference > now / 4 || now < 4);
}

/* The newest goes first: what it holds is counted until it is settled. */
static void shrink(struct cel_amqp_transport *a, struct cel_amqp_queue *q, unsigned to)
{
    for (struct cel_list *it = a->consuming.consumers.prev, *prev;
         it != &a->consuming.consumers && q->share > to; it = prev) {
        struct cel_amqp_consumer *c =
            cel_container_of(it, struct cel_amqp_consumer, node);

        prev = it->prev;
        if (c->queue == q && cel_amqp_has_share(c) && !c->starting) {
            q->share -= c->count;
            q->slices--;
            cel_amqp_end_consumer(a, c);
        }
    }
}

/* True: there is more to do when something was settled. */
static bool deal(struct cel_amqp_transport *a, struct shares *s, struct cel_amqp_queue *q)
{
    unsigned left = s->total > s->taken ? s->total - s->taken : 0;
    unsigned want = wanted(s, q), more = q->share < want ? want - q->share : 0;

    more = more < left ? more : left;
    if (q->share > want && differs(q->share, want)) {
        shrink(a, q, want);
    } else if (more > 0 && differs(q->share, q->share + more)) {
        if (q->slices >= MAX_SLICES) {
            shrink(a, q, q->share / 2);
        } else if (cel_amqp_start_consumer(a, q, more)) {
            s->taken += more;
            q->slices++;
        }
    }
    /* What the broker has sent to those that end is on its way: the rest follows. */
    if (q->slices == 0) {
        cel_amqp_start_consumer(a, q, left < 1 ? 1 : left < want ? left : want);
    }
    return q->share + more < want && differs(q->share + more, want);
}

void cel_amqp_share(void *ctx)
{
    struct cel_amqp_transport *a = ctx;
    struct cel_list *it, *tmp;
    struct shares s;
    bool again = false;

    if (!a->consuming.channel) {
        return;
    }
    a->consuming.awaiting_change = false;
    a->consuming.changed_at = cel_loop_now(a->base.loop);
    s = count_all(a);
    cel_list_foreach(it, tmp, &a->queues) {
        struct cel_amqp_queue *q = cel_container_of(it, struct cel_amqp_queue, node);

        if (is_sharing(q) && q->consumer) {
            again = deal(a, &s, q) || again;
        }
    }
    if (again) {
        cel_amqp_share_needed(a);
    }
}

void cel_amqp_share_later(struct cel_amqp_transport *a)
{
    if (a->connected && a->consuming.change) {
        cel_source_rearm(a->consuming.change, a->consuming.changed_at + CHANGE_EVERY);
    }
}

void cel_amqp_share_needed(struct cel_amqp_transport *a)
{
    if (!a->consuming.awaiting_change) {
        a->consuming.awaiting_change = true;
        cel_amqp_share_later(a);
    }
}
