/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks run in child processes: the pool in the parent. */
#include "base/alloc.h"
#include "base/error.h"
#include "pool/prefork_parent.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define LEAVE_TIME 2.0  /* seconds a dismissed child has to end */
#define FORK_WAIT  5000 /* milliseconds for the first children to be forked */

/* ---- for the crew ---- */

static void nudge(struct cel_member *m, uint32_t seq)
{
    if (cel_board_claim_of(m->board, seq) == CEL_CLAIM_RUNNING) {
        cel_child_signal(cel_child_of(m), SIGUSR1);
    }
}

/* Celery sends TERM first; a task that overran has shown that it does not listen. */
static void overdue(struct cel_member *m, struct cel_job *job, uint32_t seq)
{
    cel_child_of(m)->timed_out = true;
    cel_child_signal(cel_child_of(m), SIGKILL);
}

static void dismiss(struct cel_member *m)
{
    struct cel_child *c = cel_child_of(m);
    m->up = false;
    c->life = CEL_CHILD_LEAVING;
    c->when = cel_loop_now(m->crew->pool->loop) + LEAVE_TIME;
    shutdown(c->fd, SHUT_WR);
    cel_prefork_care_soon(cel_child_owner(c));
}

static const struct cel_crew_ops crew_ops = {
    .send = cel_child_send,
    .harvest = cel_child_harvest,
    .nudge = nudge,
    .overdue = overdue,
    .dismiss = dismiss,
};

/* ---- the interface ---- */

/* Room to grow: the pages must be there before the fork server is. */
static unsigned pages_for(unsigned slots)
{
    return slots < 16 ? 64 : slots * 4;
}

static celery_status prefork_prepare(struct cel_pool *pool, celery_error *err)
{
    struct cel_prefork *p = cel_prefork_of(pool);
    if (pool->options.slots > 4096 || pool->options.max_slots > 4096) {
        return cel_error_set(err, CELERY_ECONFIG, "pool: at most 4096 processes");
    }
    unsigned most = pool->options.max_slots;
    p->n_pages = pages_for(most > pool->options.slots ? most : pool->options.slots);
    p->pages = mmap(NULL, p->n_pages * sizeof *p->pages, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->pages == MAP_FAILED) {
        p->pages = NULL;
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "pool: shared memory");
    }
    return cel_server_start(&pool->options, p->pages, p->n_pages, &p->server, err);
}

static celery_status make_members(struct cel_prefork *p, unsigned n)
{
    while (p->crew.n_members < n) {
        unsigned i = p->crew.n_members;
        struct cel_child *c = cel_calloc(1, sizeof *c);
        if (!c) {
            return CELERY_ENOMEM;
        }
        c->fd = -1;
        c->outbox = &p->pages[i].outbox;
        c->member.crew = &p->crew;
        c->member.board = &p->pages[i].board;
        c->member.index = i;
        c->member.first = c->member.next = 1;
        p->crew.members[i] = &c->member;
        p->crew.n_members++;
    }
    return CELERY_OK;
}

/* Waits until the first children exist, so that a machine without room says so at once. */
static celery_status await_forks(struct cel_prefork *p, celery_error *err)
{
    for (unsigned waiting = p->slots; waiting > 0;) {
        struct cel_report report;
        struct pollfd wait = {p->server.control, POLLIN, 0};
        celery_status status = cel_server_report(&p->server, &report);
        if (status == CELERY_NONE) {
            int n = poll(&wait, 1, FORK_WAIT);
            if (n == 0 || (n < 0 && errno != EINTR)) {
                return cel_error_set(err, CELERY_ETIMEOUT, "pool: no child was forked");
            }
            continue;
        }
        if (status < 0) {
            return cel_error_set(err, CELERY_ESYSTEM, "pool: the fork server died");
        }
        if (report.type == CEL_REPORT_FAILED) {
            return cel_error_sys(err, CELERY_ESYSTEM, report.status, "pool: fork");
        }
        cel_prefork_report(p, &report);
        waiting -= report.type == CEL_REPORT_FORKED;
    }
    return CELERY_OK;
}

static void prefork_stop(struct cel_pool *pool)
{
    struct cel_prefork *p = cel_prefork_of(pool);
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        cel_child_close(cel_child_of(p->crew.members[i]));
    }
    p->control = cel_source_free(p->control);
    p->care = cel_source_free(p->care);
    cel_server_stop(&p->server);
    cel_crew_fini(&p->crew);
}

static void prefork_fini(struct cel_pool *pool)
{
    struct cel_prefork *p = cel_prefork_of(pool);
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct cel_child *c = cel_child_of(p->crew.members[i]);
        cel_buf_fini(&c->member.out);
        cel_buf_fini(&c->in);
        cel_free(c);
    }
    cel_free(p->crew.members);
    cel_free(p->scratch);
    if (p->pages) {
        munmap(p->pages, p->n_pages * sizeof *p->pages);
    }
}

static celery_status prefork_start(struct cel_pool *pool, celery_error *err)
{
    struct cel_prefork *p = cel_prefork_of(pool);
    celery_status status = cel_crew_init(&p->crew, pool, &crew_ops, err);
    if (status < 0) {
        return status;
    }
    p->scratch = cel_alloc(CEL_PREFORK_READ);
    p->crew.members = cel_calloc(p->n_pages, sizeof *p->crew.members);
    if (!p->scratch || !p->crew.members || make_members(p, pool->options.slots) < 0 ||
        cel_loop_add_timer(pool->loop, &p->care, 0, cel_prefork_on_care, p) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(p->care);
    p->slots = p->crew.seats = pool->options.slots;
    for (unsigned i = 0; i < p->slots && status >= 0; i++) {
        status = cel_child_spawn(cel_child_of(p->crew.members[i]), err);
    }
    if (status >= 0) {
        status = await_forks(p, err);
    }
    if (status >= 0 && cel_prefork_watch_server(p) < 0) {
        status = cel_error_nomem(err);
    }
    return status;
}

static celery_status prefork_submit(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_submit(&cel_prefork_of(pool)->crew, job);
}

static unsigned prefork_room(const struct cel_pool *pool)
{
    return cel_crew_room(&((const struct cel_prefork *)pool)->crew);
}

static bool prefork_idle(const struct cel_pool *pool)
{
    return cel_crew_idle(&((const struct cel_prefork *)pool)->crew);
}

static celery_status prefork_recall(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_recall(&cel_prefork_of(pool)->crew, job);
}

static celery_status prefork_kill(struct cel_pool *pool, struct cel_job *job, int signo)
{
    struct cel_member *m = cel_crew_single_out(&cel_prefork_of(pool)->crew, job, signo);
    if (m && cel_board_claim_of(m->board, m->first) == CEL_CLAIM_RUNNING) {
        cel_child_signal(cel_child_of(m), signo);
    }
    return CELERY_OK;
}

static void prefork_interrupt(struct cel_pool *pool, struct cel_job *job)
{
    cel_crew_interrupt(&cel_prefork_of(pool)->crew, job);
}

static celery_status prefork_resize(struct cel_pool *pool, unsigned slots)
{
    struct cel_prefork *p = cel_prefork_of(pool);
    if (slots == 0 || slots > p->n_pages) {
        return CELERY_ELIMIT;
    }
    if (make_members(p, slots) < 0) {
        return CELERY_ENOMEM;
    }
    p->slots = p->crew.seats = slots;
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct cel_child *c = cel_child_of(p->crew.members[i]);
        if (i >= slots && c->life == CEL_CHILD_NONE) {
            c->retry = false;
        } else if (i >= slots) {
            cel_crew_leave(&c->member);
        } else if (c->life == CEL_CHILD_NONE && !c->retry) {
            cel_child_respawn(c);
        } else if (c->life != CEL_CHILD_LEAVING) {
            c->member.leaving = false;
        }
    }
    p->crew.room_news = true;
    cel_crew_wake(&p->crew);
    return CELERY_OK;
}

static size_t prefork_pids(const struct cel_pool *pool, int *ret_pids, size_t max)
{
    const struct cel_prefork *p = (const struct cel_prefork *)pool;
    size_t n = 0;
    for (unsigned i = 0; i < p->crew.n_members && n < max; i++) {
        if (p->crew.members[i]->pid > 0) {
            ret_pids[n++] = p->crew.members[i]->pid;
        }
    }
    return n;
}

const struct cel_pool_ops cel_pool_prefork = {
    .name = "prefork",
    .flags = CEL_POOL_ISOLATED | CEL_POOL_SOFT_LIMITS,
    .size = sizeof(struct cel_prefork),
    .prepare = prefork_prepare,
    .start = prefork_start,
    .submit = prefork_submit,
    .room = prefork_room,
    .idle = prefork_idle,
    .recall = prefork_recall,
    .kill = prefork_kill,
    .interrupt = prefork_interrupt,
    .resize = prefork_resize,
    .stop = prefork_stop,
    .fini = prefork_fini,
    .pids = prefork_pids,
};
