/* SPDX-License-Identifier: BSD-3-Clause */
/* Birth and death of children, and of the fork server. */
#include "base/error.h"
#include "base/log.h"
#include "pool/prefork_parent.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define CARE        0.05 /* seconds between two looks at children that are in between */
#define STABLE_TIME 1.0  /* a child that lived so long did not die of its start */
#define ALIVE_TIME  4.0  /* worker_proc_alive_timeout */

void cel_prefork_care_soon(struct cel_prefork *p)
{
    if (!p->caring && p->care) {
        p->caring = true;
        cel_source_rearm(p->care, cel_loop_now(p->pool.loop) + CARE);
    }
}

/* ---- birth ---- */

static void later(struct cel_child *c, unsigned failures)
{
    struct cel_prefork *p = cel_child_owner(c);
    c->life = CEL_CHILD_NONE;
    c->retry = true;
    c->when = cel_loop_now(p->pool.loop) + cel_limits_respawn_delay(failures);
    cel_prefork_care_soon(p);
}

celery_status cel_child_spawn(struct cel_child *c, celery_error *err)
{
    struct cel_prefork *p = cel_child_owner(c);
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
        cel_loop_add_io(p->pool.loop, &c->io, c->fd, 0, cel_child_on_io, c);
    struct cel_order order = {
        .type = CEL_ORDER_FORK,
        .slot = c->member.index,
        .number = ++p->next_number,
    };
    cel_child_name(c->member.name, order.number);
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
    c->life = CEL_CHILD_ASKED;
    c->born = cel_loop_now(p->pool.loop);
    return CELERY_OK;
}

void cel_child_respawn(struct cel_child *c)
{
    celery_error err = {0};
    if (cel_child_spawn(c, &err) < 0) {
        cel_log(CELERY_LOG_ERROR, "%s; trying again", err.message);
        later(c, ++c->failures);
    }
}

void cel_child_take_up(struct cel_child *c)
{
    if (c->member.up && c->life == CEL_CHILD_FORKED) {
        c->life = CEL_CHILD_UP;
    }
}

/* ---- death ---- */

void cel_child_close(struct cel_child *c)
{
    c->io = cel_source_free(c->io);
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->member.pid = 0;
}

/* If it has run a job, then that was what it died of: no reason to hesitate. */
static bool died_of_its_start(const struct cel_child *c)
{
    double age = cel_loop_now(c->member.crew->pool->loop) - c->born;
    return c->life <= CEL_CHILD_FORKED ||
           (c->life == CEL_CHILD_UP && age < STABLE_TIME && c->member.given == 0);
}

static void bury(struct cel_child *c, int wait_status)
{
    struct cel_prefork *p = cel_child_owner(c);
    cel_child_harvest(&c->member);
    if (p->crew.stopped) {
        return;
    }
    cel_crew_gone(&c->member, wait_status, c->timed_out);
    if (p->crew.stopped) {
        return;
    }
    c->failures = died_of_its_start(c) ? c->failures + 1 : 0;
    cel_child_close(c);
    cel_child_shrink(&c->in);
    c->life = CEL_CHILD_NONE;
    if (c->member.index >= p->slots) {
        return;
    }
    if (c->failures > 1) {
        cel_log(CELERY_LOG_ERROR, "pool: %u processes in a row died at their start",
                c->failures);
        later(c, c->failures - 1);
    } else {
        cel_child_respawn(c);
    }
}

static void forked(struct cel_child *c, const struct cel_report *report)
{
    struct cel_prefork *p = cel_child_owner(c);
    double alive = p->pool.options.proc_alive_timeout;
    c->member.pid = report->pid;
    c->when = cel_loop_now(p->pool.loop) + (alive > 0 ? alive : ALIVE_TIME);
    c->life = CEL_CHILD_FORKED;
    /* Not before: what it runs is told with its pid. */
    cel_source_io(c->io, CEL_READ);
    cel_prefork_care_soon(p);
}

static void not_forked(struct cel_child *c, int errnum)
{
    cel_log(CELERY_LOG_ERROR, "pool: cannot fork: %s; trying again", strerror(errnum));
    cel_child_close(c);
    later(c, ++c->failures);
}

void cel_prefork_report(struct cel_prefork *p, const struct cel_report *report)
{
    if (report->slot >= p->crew.n_members) {
        return;
    }
    struct cel_child *c = cel_child_of(p->crew.members[report->slot]);
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
static void renew_server(struct cel_prefork *p)
{
    celery_error err = {0};
    cel_log(CELERY_LOG_ERROR, "pool: the fork server died, and all children with it");
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct cel_child *c = cel_child_of(p->crew.members[i]);
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
        cel_prefork_care_soon(p);
    }
}

celery_status cel_prefork_watch_server(struct cel_prefork *p)
{
    return cel_loop_add_io(p->pool.loop, &p->control, p->server.control, CEL_READ,
                           cel_prefork_on_control, p);
}

void cel_prefork_on_control(void *ctx, int fd, unsigned ready)
{
    struct cel_prefork *p = ctx;
    struct cel_report report;
    celery_status status;
    while (!p->crew.stopped &&
           (status = cel_server_report(&p->server, &report)) == CELERY_OK) {
        cel_prefork_report(p, &report);
    }
    if (p->crew.stopped || status != CELERY_ECLOSED) {
        return;
    }
    renew_server(p);
    if (p->server.pid > 0 && cel_prefork_watch_server(p) < 0) {
        cel_server_stop(&p->server); /* cel_prefork_cel_prefork_on_care() tries again */
        cel_prefork_care_soon(p);
    }
    for (unsigned i = 0; i < p->crew.n_members && !p->crew.stopped; i++) {
        struct cel_child *c = cel_child_of(p->crew.members[i]);
        if (c->life != CEL_CHILD_NONE) {
            bury(c, SIGKILL);
        }
    }
}

/* ---- children that are in between ---- */

static bool care_for(struct cel_child *c, double now)
{
    switch (c->life) {
    case CEL_CHILD_NONE:
        if (c->retry && now >= c->when) {
            cel_child_respawn(c);
        }
        return c->retry;
    case CEL_CHILD_FORKED:
        if (now >= c->when) {
            cel_log(CELERY_LOG_ERROR, "pool: process %d shows no life: killing it",
                    c->member.pid);
            cel_child_signal(c, SIGKILL);
        }
        return true;
    case CEL_CHILD_LEAVING:
        if (now >= c->when) {
            cel_child_signal(c, SIGKILL);
        }
        return true;
    default:
        return false;
    }
}

void cel_prefork_on_care(void *ctx)
{
    struct cel_prefork *p = ctx;
    double now = cel_loop_now(p->pool.loop);
    bool again = false;
    p->caring = false;
    if (p->server.pid == 0) {
        celery_error err = {0};
        if (cel_server_start(&p->pool.options, p->pages, p->n_pages, &p->server, &err) <
            0) {
            cel_prefork_care_soon(p);
            return;
        }
        if (cel_prefork_watch_server(p) < 0) {
            cel_server_stop(&p->server);
            cel_prefork_care_soon(p);
            return;
        }
    }
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        again = care_for(cel_child_of(p->crew.members[i]), now) || again;
    }
    if (again) {
        cel_prefork_care_soon(p);
    }
}
