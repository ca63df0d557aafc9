/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/crew_hold.h"

static void wait_first(struct cel_crew *c, struct cel_job *job)
{
    cel_seat_of(job)->member = NULL;
    cel_list_prepend(&c->waiting, &cel_seat_of(job)->node);
    c->n_waiting++;
}

void cel_hold_stop_waiting(struct cel_crew *c, struct cel_job *job)
{
    cel_list_remove(&cel_seat_of(job)->node);
    c->n_waiting--;
}

void cel_hold_let_go(struct cel_member *m, uint32_t seq)
{
    struct cel_job *job = *cel_member_place(m, seq);
    if (seq == m->first && m->limit.node.index) {
        cel_limits_end(&m->crew->limits, &m->limit);
    }
    *cel_member_place(m, seq) = NULL;
    m->held--;
    m->crew->held--;
    m->held_bytes -= job->body.len;
    cel_seat_of(job)->member = NULL;
    while (m->first != m->next && !*cel_member_place(m, m->first)) {
        m->first++;
    }
}

void cel_hold_take_back(struct cel_member *m, bool keep_head)
{
    uint32_t head = m->first;
    for (uint32_t seq = m->next; seq-- != head;) {
        struct cel_job *job = *cel_member_place(m, seq);
        if (!job || (keep_head && seq == head) || !cel_board_take_back(m->board, seq)) {
            continue;
        }
        cel_hold_let_go(m, seq);
        m->given--;
        wait_first(m->crew, job);
    }
}

void cel_hold_accept(struct cel_member *m, struct cel_job *job)
{
    struct cel_crew *c = m->crew;
    if (!cel_seat_of(job)->accepted) {
        cel_seat_of(job)->accepted = true;
        c->pool->events->accepted(c->pool->events_ctx, job, m->pid,
                                  m->name[0] ? m->name : NULL);
    }
}

void cel_hold_start_head(struct cel_member *m)
{
    struct cel_job *job = cel_member_head(m);
    if (!job) {
        return;
    }
    if (job->soft_limit > 0 || job->hard_limit > 0) {
        cel_limits_begin(&m->crew->limits, &m->limit, job->soft_limit, job->hard_limit);
    }
    cel_hold_accept(m, job);
}
