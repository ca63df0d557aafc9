/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks run in child processes: the parent's side. */
#include "pool/prefork.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "pool/crew.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE   (64 * 1024)
#define KEEP_BUFFER (256 * 1024)
#define CARE        0.05 /* seconds between two looks at children that are in between */
#define LEAVE_TIME  2.0  /* seconds a dismissed child has to end */
#define STABLE_TIME 1.0  /* a child that lived so long did not die of its start */
#define ALIVE_TIME  4.0  /* worker_proc_alive_timeout */
#define FORK_WAIT   5000 /* milliseconds for the first children to be forked */

enum child_life {
    CHILD_NONE,    /* no process; maybe to be forked again at child.when */
    CHILD_ASKED,   /* the fork server was asked */
    CHILD_FORKED,  /* must show life before child.when */
    CHILD_UP,      /* serves */
    CHILD_LEAVING, /* must have ended by child.when */
};

struct child {
    struct cel_member member;
    enum child_life life;
    int fd;
    struct cel_source *io;
    struct cel_buf in; /* the beginning of a frame */
    size_t sent;       /* of member.out */
    struct cel_outbox *outbox;
    double born;
    double when;
    unsigned failures; /* deaths at the start, in a row */
    bool timed_out;    /* killed for its hard limit */
    bool retry;        /* CHILD_NONE: fork it again at when */
};

struct prefork {
    struct cel_pool pool;
    struct cel_crew crew;
    struct cel_server server;
    struct cel_source *control;
    struct cel_source *care;
    bool caring;
    struct cel_slot_page *pages;
    unsigned n_pages;
    unsigned slots; /* children there should be */
    unsigned next_number;
    char *scratch;
};

static struct prefork *prefork_of(struct cel_pool *p)
{
    return (struct prefork *)p;
}

static struct child *child_of(struct cel_member *m)
{
    return (struct child *)m;
}

static struct prefork *owner(struct child *c)
{
    return prefork_of(c->member.crew->pool);
}

static void care_soon(struct prefork *p)
{
    if (!p->caring && p->care) {
        p->caring = true;
        cel_source_rearm(p->care, cel_loop_now(p->pool.loop) + CARE);
    }
}

static void signal_child(struct child *c, int signo)
{
    struct cel_order order = {
        .type = CEL_ORDER_SIGNAL,
        .slot = c->member.index,
        .pid = c->member.pid,
        .signo = signo,
    };
    if (c->member.pid > 0) {
        cel_server_order(&owner(c)->server, &order, -1, NULL);
    }
}

/* ---- bytes ---- */

static void shrink(struct cel_buf *b)
{
    if (b->cap > KEEP_BUFFER) {
        cel_buf_fini(b);
        cel_buf_init(b, 0);
    } else {
        cel_buf_clear(b);
    }
}

static void send_frames(struct cel_member *m)
{
    struct child *c = child_of(m);
    if (c->fd < 0) {
        return;
    }
    while (c->sent < m->out.len) {
        ssize_t n = send(c->fd, m->out.data + c->sent, m->out.len - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            cel_source_io(c->io, CEL_READ | CEL_WRITE);
            return;
        } else if (errno != EINTR) {
            break; /* it is dying; the fork server will tell */
        }
    }
    c->sent = 0;
    shrink(&m->out);
    cel_source_io(c->io, CEL_READ);
}

/* It sends what no child of ours sends: its memory is not to be trusted any more. */
static void distrust(struct child *c)
{
    cel_log(CELERY_LOG_ERROR,
            "pool: process %d broke the protocol of its pipe: killing it", c->member.pid);
    signal_child(c, SIGKILL);
}

static bool take_bytes(struct child *c, const char *bytes, size_t len)
{
    struct cel_slice rest = cel_slice(bytes, len);
    if (c->in.len > 0) {
        if (cel_buf_add(&c->in, bytes, len) < 0) {
            return false;
        }
        rest = cel_buf_slice(&c->in);
    }
    if (cel_crew_input(&c->member, &rest) != CELERY_OK) {
        return false;
    }
    if (owner(c)->crew.stopped) {
        return true;
    }
    if (c->in.len > 0) {
        cel_buf_drop(&c->in, c->in.len - rest.len);
        if (c->in.len == 0) {
            shrink(&c->in);
        }
        return true;
    }
    return rest.len == 0 || cel_buf_add(&c->in, rest.data, rest.len) >= 0;
}

/* Reads until there is nothing more now, or only once.  False: the end of the stream. */
static bool receive(struct child *c, bool all)
{
    struct prefork *p = owner(c);
    while (c->fd >= 0 && !p->crew.stopped) {
        ssize_t n = recv(c->fd, p->scratch, READ_SIZE, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n <= 0) {
            return false;
        }
        if (!take_bytes(c, p->scratch, (size_t)n)) {
            distrust(c);
            return false;
        }
        if (!all && n < READ_SIZE) {
            return true;
        }
    }
    return true;
}

static void on_control(void *ctx, int fd, unsigned ready);

static void take_up(struct child *c)
{
    if (c->member.up && c->life == CHILD_FORKED) {
        c->life = CHILD_UP;
    }
}

static void on_io(void *ctx, int fd, unsigned ready)
{
    struct child *c = ctx;
    if (c->life == CHILD_ASKED) {
        /* It was faster than the fork server's report of its pid. */
        on_control(owner(c), -1, CEL_READ);
    }
    if ((ready & (CEL_READ | CEL_HANGUP)) && c->io) {
        if (!receive(c, false)) {
            /* Closed, on purpose or by a task: of no use any more.  Its end is reported. */
            c->io = cel_source_free(c->io);
            c->member.up = false;
            signal_child(c, SIGKILL);
            return;
        }
        take_up(c);
    }
    if ((ready & CEL_WRITE) && !owner(c)->crew.stopped && c->io) {
        send_frames(&c->member);
    }
}

/*
 * Reads what the child has put into its outbox and not sent, after all that it has sent.
 * If it sends right now, the copy is worthless and the bytes come over the socket.
 */
static void harvest(struct cel_member *m)
{
    struct child *c = child_of(m);
    struct prefork *p = owner(c);
    receive(c, true);
    uint32_t turn = atomic_load(&c->outbox->turn);
    uint32_t len = atomic_load_explicit(&c->outbox->len, memory_order_acquire);
    if (len == 0 || len > CEL_OUTBOX_SIZE || p->crew.stopped) {
        return;
    }
    memcpy(p->scratch, c->outbox->bytes, len);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&c->outbox->turn) == turn) {
        struct cel_slice rest = cel_slice(p->scratch, len);
        cel_crew_input(m, &rest);
    }
}

/* ---- birth ---- */

static void later(struct child *c, unsigned failures)
{
    struct prefork *p = owner(c);
    c->life = CHILD_NONE;
    c->retry = true;
    c->when = cel_loop_now(p->pool.loop) + cel_limits_respawn_delay(failures);
    care_soon(p);
}

static celery_status spawn(struct child *c, celery_error *err)
{
    struct prefork *p = owner(c);
    int pair[2];
    c->retry = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "pool: socketpair");
    }
    cel_crew_reset_member(&c->member);
    atomic_store(&c->outbox->len, 0);
    c->timed_out = false;
    c->sent = 0;
    c->fd = pair[0];
    celery_status status =
        cel_loop_add_io(p->pool.loop, &c->io, c->fd, CEL_READ, on_io, c);
    struct cel_order order = {
        .type = CEL_ORDER_FORK,
        .slot = c->member.index,
        .number = ++p->next_number,
    };
    if (status >= 0) {
        status = cel_server_order(&p->server, &order, pair[1], err);
    } else {
        close(pair[1]);
    }
    if (status < 0) {
        c->io = cel_source_free(c->io);
        close(c->fd);
        c->fd = -1;
        return status;
    }
    c->life = CHILD_ASKED;
    c->born = cel_loop_now(p->pool.loop);
    return CELERY_OK;
}

static void respawn(struct child *c)
{
    celery_error err = {0};
    if (spawn(c, &err) < 0) {
        cel_log(CELERY_LOG_ERROR, "%s; trying again", err.message);
        later(c, ++c->failures);
    }
}

/* ---- death ---- */

static void close_child(struct child *c)
{
    c->io = cel_source_free(c->io);
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->member.pid = 0;
}

static bool died_of_its_start(const struct child *c)
{
    double age = cel_loop_now(c->member.crew->pool->loop) - c->born;
    return c->life <= CHILD_FORKED || (c->life == CHILD_UP && age < STABLE_TIME);
}

static void bury(struct child *c, int wait_status)
{
    struct prefork *p = owner(c);
    harvest(&c->member);
    if (p->crew.stopped) {
        return;
    }
    c->failures = died_of_its_start(c) ? c->failures + 1 : 0;
    cel_crew_gone(&c->member, wait_status, c->timed_out);
    if (p->crew.stopped) {
        return;
    }
    close_child(c);
    shrink(&c->in);
    c->life = CHILD_NONE;
    if (c->member.index >= p->slots) {
        return;
    }
    if (c->failures > 1) {
        later(c, c->failures - 1);
    } else {
        respawn(c);
    }
}

static void forked(struct child *c, const struct cel_report *report)
{
    struct prefork *p = owner(c);
    double alive = p->pool.options.proc_alive_timeout;
    c->member.pid = report->pid;
    c->when = cel_loop_now(p->pool.loop) + (alive > 0 ? alive : ALIVE_TIME);
    c->life = CHILD_FORKED;
    take_up(c);
    care_soon(p);
}

static void not_forked(struct child *c, int errnum)
{
    cel_log(CELERY_LOG_ERROR, "pool: cannot fork: %s; trying again", strerror(errnum));
    close_child(c);
    later(c, ++c->failures);
}

static void on_report(struct prefork *p, const struct cel_report *report)
{
    if (report->slot >= p->crew.n_members) {
        return;
    }
    struct child *c = child_of(p->crew.members[report->slot]);
    switch (report->type) {
    case CEL_REPORT_FORKED:
        forked(c, report);
        break;
    case CEL_REPORT_FAILED:
        not_forked(c, report->status);
        break;
    case CEL_REPORT_EXITED:
        bury(c, report->status);
        break;
    }
}

/* The children had PR_SET_PDEATHSIG; this makes sure before their memory is used again. */
static void renew_server(struct prefork *p)
{
    celery_error err = {0};
    cel_log(CELERY_LOG_ERROR, "pool: the fork server died, and all children with it");
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct child *c = child_of(p->crew.members[i]);
        struct pollfd gone = {c->fd, 0, 0};
        if (c->member.pid > 0) {
            kill(c->member.pid, SIGKILL);
            poll(&gone, 1, 1000);
        }
    }
    p->control = cel_source_free(p->control);
    cel_server_stop(&p->server);
    if (cel_server_start(&p->pool.options, p->pages, p->n_pages, &p->server, &err) < 0) {
        cel_log(CELERY_LOG_CRITICAL, "%s; trying again", err.message);
        care_soon(p);
    }
}

static celery_status watch_server(struct prefork *p)
{
    return cel_loop_add_io(p->pool.loop, &p->control, p->server.control, CEL_READ,
                           on_control, p);
}

static void on_control(void *ctx, int fd, unsigned ready)
{
    struct prefork *p = ctx;
    struct cel_report report;
    celery_status status;
    while (!p->crew.stopped &&
           (status = cel_server_report(&p->server, &report)) == CELERY_OK) {
        on_report(p, &report);
    }
    if (p->crew.stopped || status != CELERY_ECLOSED) {
        return;
    }
    renew_server(p);
    if (p->server.pid > 0 && watch_server(p) < 0) {
        cel_server_stop(&p->server); /* on_care() tries again */
        care_soon(p);
    }
    for (unsigned i = 0; i < p->crew.n_members && !p->crew.stopped; i++) {
        struct child *c = child_of(p->crew.members[i]);
        if (c->life != CHILD_NONE) {
            bury(c, SIGKILL);
        }
    }
}

/* ---- children that are in between ---- */

static bool care_for(struct child *c, double now)
{
    switch (c->life) {
    case CHILD_NONE:
        if (c->retry && now >= c->when) {
            respawn(c);
        }
        return c->retry;
    case CHILD_FORKED:
        if (now >= c->when) {
            cel_log(CELERY_LOG_ERROR, "pool: process %d shows no life: killing it",
                    c->member.pid);
            signal_child(c, SIGKILL);
        }
        return true;
    case CHILD_LEAVING:
        if (now >= c->when) {
            signal_child(c, SIGKILL);
        }
        return true;
    default:
        return false;
    }
}

static void on_care(void *ctx)
{
    struct prefork *p = ctx;
    double now = cel_loop_now(p->pool.loop);
    bool again = false;
    p->caring = false;
    if (p->server.pid == 0) {
        celery_error err = {0};
        if (cel_server_start(&p->pool.options, p->pages, p->n_pages, &p->server, &err) <
            0) {
            care_soon(p);
            return;
        }
        if (watch_server(p) < 0) {
            cel_server_stop(&p->server);
            care_soon(p);
            return;
        }
    }
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        again = care_for(child_of(p->crew.members[i]), now) || again;
    }
    if (again) {
        care_soon(p);
    }
}

/* ---- for the crew ---- */

static void nudge(struct cel_member *m, uint32_t seq)
{
    if (cel_board_claim_of(m->board, seq) == CEL_CLAIM_RUNNING) {
        signal_child(child_of(m), SIGUSR1);
    }
}

/* Celery sends TERM first; a task that overran has shown that it does not listen. */
static void overdue(struct cel_member *m, struct cel_job *job, uint32_t seq)
{
    child_of(m)->timed_out = true;
    signal_child(child_of(m), SIGKILL);
}

static void dismiss(struct cel_member *m)
{
    struct child *c = child_of(m);
    m->up = false;
    c->life = CHILD_LEAVING;
    c->when = cel_loop_now(m->crew->pool->loop) + LEAVE_TIME;
    shutdown(c->fd, SHUT_WR);
    care_soon(owner(c));
}

static const struct cel_crew_ops crew_ops = {
    .send = send_frames,
    .harvest = harvest,
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
    struct prefork *p = prefork_of(pool);
    if (pool->options.slots > 4096) {
        return cel_error_set(err, CELERY_ECONFIG, "pool: at most 4096 processes");
    }
    p->n_pages = pages_for(pool->options.slots);
    p->pages = mmap(NULL, p->n_pages * sizeof *p->pages, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->pages == MAP_FAILED) {
        p->pages = NULL;
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "pool: shared memory");
    }
    return cel_server_start(&pool->options, p->pages, p->n_pages, &p->server, err);
}

static celery_status make_members(struct prefork *p, unsigned n)
{
    while (p->crew.n_members < n) {
        unsigned i = p->crew.n_members;
        struct child *c = cel_calloc(1, sizeof *c);
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
static celery_status await_forks(struct prefork *p, celery_error *err)
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
        on_report(p, &report);
        waiting -= report.type == CEL_REPORT_FORKED;
    }
    return CELERY_OK;
}

static void prefork_stop(struct cel_pool *pool)
{
    struct prefork *p = prefork_of(pool);
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        close_child(child_of(p->crew.members[i]));
    }
    p->control = cel_source_free(p->control);
    p->care = cel_source_free(p->care);
    cel_server_stop(&p->server);
    cel_crew_fini(&p->crew);
}

static void prefork_fini(struct cel_pool *pool)
{
    struct prefork *p = prefork_of(pool);
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct child *c = child_of(p->crew.members[i]);
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
    struct prefork *p = prefork_of(pool);
    celery_status status = cel_crew_init(&p->crew, pool, &crew_ops, err);
    if (status < 0) {
        return status;
    }
    p->scratch = cel_alloc(READ_SIZE);
    p->crew.members = cel_calloc(p->n_pages, sizeof *p->crew.members);
    if (!p->scratch || !p->crew.members || make_members(p, pool->options.slots) < 0 ||
        cel_loop_add_timer(pool->loop, &p->care, 0, on_care, p) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(p->care);
    p->slots = p->crew.seats = pool->options.slots;
    for (unsigned i = 0; i < p->slots && status >= 0; i++) {
        status = spawn(child_of(p->crew.members[i]), err);
    }
    if (status >= 0) {
        status = await_forks(p, err);
    }
    if (status >= 0 && watch_server(p) < 0) {
        status = cel_error_nomem(err);
    }
    return status;
}

static celery_status prefork_submit(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_submit(&prefork_of(pool)->crew, job);
}

static unsigned prefork_room(const struct cel_pool *pool)
{
    return cel_crew_room(&((const struct prefork *)pool)->crew);
}

static celery_status prefork_recall(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_recall(&prefork_of(pool)->crew, job);
}

static celery_status prefork_kill(struct cel_pool *pool, struct cel_job *job, int signo)
{
    struct cel_member *m = cel_crew_single_out(&prefork_of(pool)->crew, job, signo);
    if (m && cel_board_claim_of(m->board, m->first) == CEL_CLAIM_RUNNING) {
        signal_child(child_of(m), signo);
    }
    return CELERY_OK;
}

static void prefork_interrupt(struct cel_pool *pool, struct cel_job *job)
{
    cel_crew_interrupt(&prefork_of(pool)->crew, job);
}

static celery_status prefork_resize(struct cel_pool *pool, unsigned slots)
{
    struct prefork *p = prefork_of(pool);
    if (slots == 0 || slots > p->n_pages) {
        return CELERY_ELIMIT;
    }
    if (make_members(p, slots) < 0) {
        return CELERY_ENOMEM;
    }
    p->slots = p->crew.seats = slots;
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct child *c = child_of(p->crew.members[i]);
        if (i >= slots && c->life == CHILD_NONE) {
            c->retry = false;
        } else if (i >= slots) {
            cel_crew_leave(&c->member);
        } else if (c->life == CHILD_NONE && !c->retry) {
            respawn(c);
        } else if (c->life != CHILD_LEAVING) {
            c->member.leaving = false;
        }
    }
    p->crew.room_news = true;
    cel_crew_wake(&p->crew);
    return CELERY_OK;
}

static size_t prefork_pids(const struct cel_pool *pool, int *ret_pids, size_t max)
{
    const struct prefork *p = (const struct prefork *)pool;
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
    .size = sizeof(struct prefork),
    .prepare = prefork_prepare,
    .start = prefork_start,
    .submit = prefork_submit,
    .room = prefork_room,
    .recall = prefork_recall,
    .kill = prefork_kill,
    .interrupt = prefork_interrupt,
    .resize = prefork_resize,
    .stop = prefork_stop,
    .fini = prefork_fini,
    .pids = prefork_pids,
};
