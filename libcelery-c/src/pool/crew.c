/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include "pool/crew_hold.h"
#include "pool/run_task.h"
#include <signal.h>

#define TICK       0.005 /* seconds: a member without progress for so long is slow */
#define HELD_BYTES (256 * 1024) /* read-ahead ends at so many bytes of bodies */

static void on_soft(void *ctx, struct cel_limit *limit)
{
    struct cel_crew *c = ctx;
    struct cel_member *m = cel_container_of(limit, struct cel_member, limit);
    struct cel_job *job = cel_member_head(m);
    if (!job) {
        return;
    }
    uint32_t seq = m->first;
    cel_board_ask_stop(m->board, seq, CEL_STOP_SOFT);
    c->ops->nudge(m, seq);
    c->pool->events->soft_limit(c->pool->events_ctx, job);
}

static void on_hard(void *ctx, struct cel_limit *limit)
{
    struct cel_crew *c = ctx;
    struct cel_member *m = cel_container_of(limit, struct cel_member, limit);
    uint32_t seq = m->first;
    c->ops->harvest(m);
    struct cel_job *job = cel_member_head(m);
    if (!job || m->first != seq) {
        return; /* it ended at the last moment */
    }
    cel_hold_take_back(m, true);
    m->doomed = true;
    c->ops->overdue(m, job, seq);
    cel_crew_wake(c);
}

/* ---- handing out ---- */

static bool has_place(const struct cel_member *m)
{
    uint32_t passed = atomic_load_explicit(&m->board->passed, memory_order_acquire);
    return m->next - passed < CEL_BOARD_RING && !m->jobs[m->next % CEL_BOARD_RING];
}

static bool may_start(const struct cel_member *m)
{
    const struct cel_pool_options *o = &m->crew->pool->options;
    return m->up && !m->leaving && !m->doomed && has_place(m) &&
           cel_limits_jobs_left(o->max_tasks_per_child, m->given) != 0;
}

static bool may_take(const struct cel_member *m, const struct cel_job *job,
                     unsigned quota)
{
    if (!may_start(m)) {
        return false;
    }
    if (m->held == 0) {
        return true;
    }
    unsigned ahead = cel_pace_ahead(&m->crew->pace, job->task);
    return m->brief && m->held < ahead && m->held < quota &&
           m->held_bytes + job->body.len <= HELD_BYTES;
}

/* A job that cannot even be written down fails; there is nobody else to say so. */
static void fail_unsent(struct cel_crew *c, struct cel_job *job)
{
    struct cel_outcome outcome = {
        .kind = CEL_OUTCOME_FAILURE,
        .exc_type = CEL_SLICE("MemoryError"),
        .exc_module = CEL_SLICE("builtins"),
        .exc_args = CEL_SLICE("[\"no memory to hand the task to the pool\"]"),
    };
    if (!cel_seat_of(job)->accepted) {
        cel_seat_of(job)->accepted = true;
        c->pool->events->accepted(c->pool->events_ctx, job, 0, NULL);
    }
    c->pool->events->finished(c->pool->events_ctx, job, &outcome);
}

static void tick_soon(struct cel_crew *c)
{
    if (!c->ticking && !c->stopped) {
        c->ticking = true;
        cel_source_rearm(c->tick, cel_loop_now(c->pool->loop) + TICK);
    }
}

static void give(struct cel_member *m, struct cel_job *job)
{
    struct cel_crew *c = m->crew;
    uint32_t seq = m->next;
    bool brief = cel_pace_ahead(&c->pace, job->task) > 1;
    cel_hold_stop_waiting(c, job);
    if (cel_wire_write_job(&m->out, ++m->number_out, seq, brief, job) < 0) {
        fail_unsent(c, job);
        return;
    }
    struct cel_seat *seat = cel_seat_of(job);
    seat->member = m;
    seat->seq = seq;
    *cel_member_place(m, seq) = job;
    cel_board_give(m->board, seq);
    m->next++;
    m->given++;
    m->brief = m->held == 0 ? brief : m->brief && brief;
    m->held++;
    m->held_bytes += job->body.len;
    c->held++;
    if (m->held == 1) {
        m->first = seq;
        m->stalled = seq - 1;
        cel_hold_start_head(m);
    } else {
        tick_soon(c);
    }
}

static unsigned count_ready(const struct cel_crew *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->n_members; i++) {
        const struct cel_member *m = c->members[i];
        n += m->up && !m->leaving && !m->doomed;
    }
    return n;
}

/* It may have waited for long since it was submitted. */
static bool wanted(struct cel_crew *c, struct cel_job *job)
{
    const struct cel_pool_events *events = c->pool->events;

    return cel_seat_of(job)->accepted || !events->wanted ||
           events->wanted(c->pool->events_ctx, job);
}

/* Spreads evenly: a member is filled to its share, then it is the next one's turn. */
static void hand_out(struct cel_crew *c)
{
    unsigned ready = count_ready(c);
    if (ready == 0) {
        return;
    }
    unsigned quota = (c->held + c->n_waiting + ready - 1) / ready;
    unsigned refused = 0;
    while (!c->stopped && c->n_waiting > 0 && refused < c->n_members) {
        struct cel_member *m = c->members[c->cursor % c->n_members];
        struct cel_job *job = cel_seat_job(cel_list_first(&c->waiting));
        if ((m->held > 0 && m->held >= quota) || !may_take(m, job, quota)) {
            c->cursor = (c->cursor + 1) % c->n_members;
            refused++;
        } else if (wanted(c, job)) {
            give(m, job);
            refused = 0;
        }
    }
}

static void on_hook(void *ctx)
{
    struct cel_crew *c = ctx;
    hand_out(c);
    if (!c->stopped && c->room_news) {
        c->room_news = false;
        if (cel_crew_room(c) > 0) {
            c->pool->events->room(c->pool->events_ctx);
            if (!c->stopped) {
                hand_out(c);
            }
        }
    }
    for (unsigned i = 0; !c->stopped && i < c->n_members; i++) {
        struct cel_member *m = c->members[i];
        if (m->out.len > 0) {
            c->ops->send(m);
        }
        if (m->leaving && m->up && m->held == 0) {
            c->ops->dismiss(m);
        }
    }
}

/* No task waits behind a slow one: what its member has not started goes to others. */
static void relieve(struct cel_member *m)
{
    struct cel_crew *c = m->crew;
    c->ops->harvest(m);
    if (c->stopped || m->held < 2 || m->first != m->stalled) {
        return;
    }
    if (cel_board_claim_of(m->board, m->first) == CEL_CLAIM_RUNNING) {
        cel_pace_note(&c->pace, cel_member_head(m)->task, TICK);
        m->brief = false;
    }
    cel_hold_take_back(m, true);
    cel_crew_wake(c);
}

static void on_tick(void *ctx)
{
    struct cel_crew *c = ctx;
    bool again = false;
    c->ticking = false;
    for (unsigned i = 0; !c->stopped && i < c->n_members; i++) {
        struct cel_member *m = c->members[i];
        if (m->held > 1 && m->first == m->stalled) {
            relieve(m);
        }
        m->stalled = m->first;
        again = again || m->held > 1;
    }
    if (again) {
        tick_soon(c);
    }
    cel_crew_wake(c);
}

/* ---- members come and go ---- */

void cel_crew_reset_member(struct cel_member *m)
{
    cel_buf_clear(&m->out);
    m->up = false;
    m->leaving = false;
    m->brief = false;
    m->doomed = false;
    m->given = 0;
    m->number_in = 0;
    m->number_out = 0;
    m->first = m->next;
    cel_board_reset(m->board, m->next - 1);
}

void cel_crew_leave(struct cel_member *m)
{
    m->leaving = true;
    cel_hold_take_back(m, false);
    cel_crew_wake(m->crew);
}

static void lose(struct cel_member *m, uint32_t seq, int wait_status, bool timed_out)
{
    struct cel_crew *c = m->crew;
    struct cel_job *job = *cel_member_place(m, seq);
    cel_hold_accept(m, job);
    cel_hold_let_go(m, seq);
    c->pool->events->lost(c->pool->events_ctx, job, wait_status, timed_out);
}

celery_status cel_crew_abandon(struct cel_crew *c, struct cel_job *job)
{
    uint32_t seq = cel_seat_of(job)->seq;
    struct cel_member *m = cel_crew_single_out(c, job, SIGTERM);

    if (m) {
        lose(m, seq, SIGTERM, false);
    }
    return CELERY_OK;
}

void cel_crew_gone(struct cel_member *m, int wait_status, bool timed_out)
{
    struct cel_crew *c = m->crew;
    m->up = false;
    cel_limits_end(&c->limits, &m->limit);
    cel_hold_take_back(m, false);
    /* At most one is left: the one it ran. */
    while (!c->stopped && m->held > 0) {
        lose(m, m->first, wait_status, timed_out);
    }
    c->room_news = true;
    cel_crew_wake(c);
}

void cel_crew_give_up(struct cel_member *m, uint32_t seq)
{
    lose(m, seq, 0, true);
}

/* ---- slots of the pool ---- */

celery_status cel_crew_submit(struct cel_crew *c, struct cel_job *job)
{
    struct cel_seat *seat = cel_seat_of(job);
    *seat = (struct cel_seat){0};
    cel_list_append(&c->waiting, &seat->node);
    c->n_waiting++;
    cel_crew_wake(c);
    return CELERY_OK;
}

unsigned cel_crew_room(const struct cel_crew *c)
{
    unsigned used = c->held + c->n_waiting;
    unsigned all = c->seats * c->ahead;
    return used < all ? all - used : 0;
}

/* With at most one job for each, hand_out() gives only to who holds none. */
bool cel_crew_idle(const struct cel_crew *c)
{
    if (c->stopped || c->n_waiting > 0 || c->held >= count_ready(c)) {
        return false;
    }
    for (unsigned i = 0; i < c->n_members; i++) {
        const struct cel_member *m = c->members[i];

        if (m->held == 0 && may_start(m)) {
            return true;
        }
    }
    return false;
}

celery_status cel_crew_recall(struct cel_crew *c, struct cel_job *job)
{
    struct cel_seat *seat = cel_seat_of(job);
    if (seat->accepted) {
        return CELERY_NONE;
    }
    if (!seat->member) {
        cel_hold_stop_waiting(c, job);
    } else if (cel_board_take_back(seat->member->board, seat->seq)) {
        seat->member->given--;
        cel_hold_let_go(seat->member, seat->seq);
    } else {
        return CELERY_NONE;
    }
    c->room_news = true;
    cel_crew_wake(c);
    return CELERY_OK;
}

void cel_crew_interrupt(struct cel_crew *c, struct cel_job *job)
{
    struct cel_seat *seat = cel_seat_of(job);
    if (seat->member) {
        cel_board_ask_stop(seat->member->board, seat->seq, CEL_STOP_ASKED);
        c->ops->nudge(seat->member, seat->seq);
    }
}

struct cel_member *cel_crew_single_out(struct cel_crew *c, struct cel_job *job, int signo)
{
    struct cel_seat *seat = cel_seat_of(job);
    struct cel_member *m = seat->member;
    cel_crew_wake(c);
    if (m && !cel_board_take_back(m->board, seat->seq)) {
        m->doomed = true;
        cel_hold_take_back(m, true);
        return m;
    }
    if (m) {
        m->given--;
        cel_hold_let_go(m, seat->seq);
    } else {
        cel_hold_stop_waiting(c, job);
    }
    c->pool->events->lost(c->pool->events_ctx, job, signo, false);
    return NULL;
}

void cel_crew_wake(struct cel_crew *c)
{
    if (!c->stopped) {
        cel_source_schedule(c->hook);
    }
}

void cel_crew_again(struct cel_crew *c)
{
    tick_soon(c);
}

celery_status cel_crew_init(struct cel_crew *c, struct cel_pool *pool,
                            const struct cel_crew_ops *ops, celery_error *err)
{
    *c = (struct cel_crew){.pool = pool, .ops = ops, .ahead = 1};
    cel_list_init(&c->waiting);
    if (cel_pace_init(&c->pace, pool->options.app) < 0 ||
        cel_limits_init(&c->limits, pool->loop, on_soft, on_hard, c) < 0 ||
        cel_loop_add_hook(pool->loop, &c->hook, on_hook, c) < 0 ||
        cel_loop_add_timer(pool->loop, &c->tick, 0, on_tick, c) < 0) {
        cel_crew_fini(c);
        return cel_error_nomem(err);
    }
    cel_source_disarm(c->tick);
    return CELERY_OK;
}

void cel_crew_fini(struct cel_crew *c)
{
    c->stopped = true;
    c->hook = cel_source_free(c->hook);
    c->tick = cel_source_free(c->tick);
    cel_limits_fini(&c->limits);
    cel_pace_fini(&c->pace);
}
