/* SPDX-License-Identifier: BSD-3-Clause */
/* What members tell. */
#include "pool/crew_hold.h"

static void check_service(struct cel_member *m, const struct cel_outcome *outcome)
{
    const struct cel_pool_options *o = &m->crew->pool->options;
    bool fat =
        o->max_memory_per_child > 0 && outcome->max_rss_kib > o->max_memory_per_child;
    bool old =
        m->held == 0 && cel_limits_jobs_left(o->max_tasks_per_child, m->given) == 0;
    if (fat || old) {
        cel_crew_leave(m);
    }
}

static void done(struct cel_member *m, uint32_t seq, const struct cel_outcome *outcome)
{
    struct cel_crew *c = m->crew;
    struct cel_job *job = *cel_member_place(m, seq);
    if (!job || cel_seat_of(job)->seq != seq) {
        m->doomed = false; /* a thread came back that was given up */
        cel_crew_wake(c);
        return;
    }
    cel_hold_accept(m, job);
    cel_hold_let_go(m, seq);
    m->doomed = false;
    cel_pace_note(&c->pace, job->task, outcome->runtime);
    c->ahead = cel_pace_ahead(&c->pace, job->task);
    check_service(m, outcome);
    c->room_news = true;
    cel_crew_wake(c);
    c->pool->events->finished(c->pool->events_ctx, job, outcome);
    if (!c->stopped) {
        cel_hold_start_head(m);
    }
}

static void tell_state(struct cel_member *m, const struct cel_wire_state *state)
{
    struct cel_crew *c = m->crew;
    struct cel_job *job = *cel_member_place(m, state->seq);
    if (job && cel_seat_of(job)->seq == state->seq) {
        cel_hold_accept(m, job);
        c->pool->events->state(c->pool->events_ctx, job, state->state, state->meta_json);
    }
}

static void tell_effects(struct cel_member *m, uint32_t seq, struct cel_slice effects)
{
    struct cel_crew *c = m->crew;
    struct cel_job *job = *cel_member_place(m, seq);
    if (job && cel_seat_of(job)->seq == seq) {
        cel_hold_accept(m, job);
        c->pool->events->effects(c->pool->events_ctx, job, effects);
    }
}

static bool handle(struct cel_member *m, const struct cel_frame *frame)
{
    struct cel_wire_state state;
    struct cel_outcome outcome;
    struct cel_slice effects;
    uint32_t seq;
    switch (frame->type) {
    case CEL_FRAME_UP:
        m->up = true;
        m->crew->room_news = true;
        cel_crew_wake(m->crew);
        return true;
    case CEL_FRAME_STATE:
        if (!cel_wire_read_state(frame->payload, &state)) {
            return false;
        }
        tell_state(m, &state);
        return true;
    case CEL_FRAME_EFFECTS:
        if (!cel_wire_read_effects(frame->payload, &seq, &effects)) {
            return false;
        }
        tell_effects(m, seq, effects);
        return true;
    case CEL_FRAME_DONE:
        if (!cel_wire_read_done(frame->payload, &seq, &outcome)) {
            return false;
        }
        done(m, seq, &outcome);
        return true;
    default:
        return false;
    }
}

celery_status cel_crew_input(struct cel_member *m, struct cel_slice *rest)
{
    struct cel_frame frame;
    for (;;) {
        celery_status status = cel_frame_next(rest, &frame);
        if (status != CELERY_OK) {
            return status < 0 ? status : CELERY_OK;
        }
        if ((int32_t)(frame.number - m->number_in) <= 0) {
            continue; /* harvested before it came this way */
        }
        if (frame.number != m->number_in + 1) {
            return CELERY_NONE;
        }
        m->number_in = frame.number;
        if (!handle(m, &frame)) {
            return CELERY_EPROTO;
        }
        if (m->crew->stopped) {
            return CELERY_OK;
        }
    }
}
