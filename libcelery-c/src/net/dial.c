/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/dial.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST_ADDRESSES     16
#define KEEPALIVE_IDLE     15 /* seconds */
#define KEEPALIVE_INTERVAL 5
#define KEEPALIVE_COUNT    3

struct address {
    struct sockaddr_storage at;
    socklen_t len;
};

struct cel_dial {
    struct cel_loop *loop;
    cel_dial_fn fn;
    void *ctx;
    double timeout;
    double deadline;
    double user_timeout;
    bool keepalive;
    struct cel_resolve *resolve;
    struct cel_source *timer;
    struct cel_source *io;
    int fd;
    int last_errno; /* of the last address that failed */
    size_t n_addresses;
    size_t next;
    struct address addresses[MOST_ADDRESSES];
};

static void try_next(struct cel_dial *d);

/* Leaves nothing running; fn may free d, so that this comes last. */
static void finish(struct cel_dial *d, int fd, const celery_error *err)
{
    d->io = cel_source_free(d->io);
    d->timer = cel_source_free(d->timer);
    d->resolve = cel_resolve_free(d->resolve);
    d->fd = -1;
    d->fn(d->ctx, fd, err);
}

static void hang_up(struct cel_dial *d)
{
    d->io = cel_source_free(d->io);
    if (d->fd >= 0) {
        close(d->fd);
        d->fd = -1;
    }
}

/* Best effort: none of these is worth refusing a connection for. */
static void set_options(const struct cel_dial *d, int fd)
{
    int on = 1;
    int idle = KEEPALIVE_IDLE;
    int interval = KEEPALIVE_INTERVAL;
    int count = KEEPALIVE_COUNT;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (d->keepalive) {
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef TCP_KEEPIDLE
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
#endif
    }
#ifdef TCP_USER_TIMEOUT
    unsigned ms = (unsigned)(d->user_timeout * 1000);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
#endif
}

/*
 * A connect to a port of the ephemeral range that nobody listens on can meet itself; the
 * "server" would then echo our commands.
 */
static bool is_self(int fd)
{
    struct sockaddr_storage here = {0};
    struct sockaddr_storage there = {0};
    socklen_t here_len = sizeof here;
    socklen_t there_len = sizeof there;

    if (getsockname(fd, (struct sockaddr *)&here, &here_len) < 0 ||
        getpeername(fd, (struct sockaddr *)&there, &there_len) < 0) {
        return false;
    }
    return here.ss_family != AF_UNIX && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

static void connected(struct cel_dial *d)
{
    if (is_self(d->fd)) {
        d->last_errno = ECONNREFUSED;
        hang_up(d);
        try_next(d);
        return;
    }
    finish(d, d->fd, NULL);
}

static void on_io(void *ctx, int fd, unsigned ready)
{
    struct cel_dial *d = ctx;
    int failure = 0;
    socklen_t len = sizeof failure;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0) {
        failure = errno;
    }
    if (failure) {
        d->last_errno = failure;
        hang_up(d);
        try_next(d);
        return;
    }
    connected(d);
}

/* True when it is under way or connected; false with last_errno when it failed at once. */
static bool try_one(struct cel_dial *d, const struct address *a)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    d->fd = socket(a->at.ss_family, type, 0);
    if (d->fd < 0) {
        d->last_errno = errno;
        return false;
    }
    if (a->at.ss_family != AF_UNIX) {
        set_options(d, d->fd);
    }
    if (connect(d->fd, (const struct sockaddr *)&a->at, a->len) < 0 &&
        errno != EINPROGRESS) {
        d->last_errno = errno;
        hang_up(d);
        return false;
    }
    if (cel_loop_add_io(d->loop, &d->io, d->fd, CEL_WRITE, on_io, d) < 0) {
        d->last_errno = ENOMEM;
        hang_up(d);
        return false;
    }
    return true;
}

static void give_up(struct cel_dial *d)
{
    celery_error err = {0};

    if (d->last_errno == ETIMEDOUT || cel_loop_now(d->loop) >= d->deadline) {
        cel_error_set(&err, CELERY_ETIMEOUT, "no connection within %g s", d->timeout);
        err.code = ETIMEDOUT;
    } else {
        cel_error_sys(&err, CELERY_ECONNECT, d->last_errno, "cannot connect");
    }
    finish(d, -1, &err);
}

/* The time that is left is shared out, so that a silent address leaves some for the next. */
static void try_next(struct cel_dial *d)
{
    double now = cel_loop_now(d->loop);

    while (d->next < d->n_addresses && now < d->deadline) {
        double share = (d->deadline - now) / (double)(d->n_addresses - d->next);
        if (try_one(d, &d->addresses[d->next++])) {
            cel_source_rearm(d->timer, now + share);
            return;
        }
    }
    give_up(d);
}

static void on_timer(void *ctx)
{
    struct cel_dial *d = ctx;

    if (d->resolve) {
        celery_error err = {0};
        cel_error_set(&err, CELERY_ETIMEOUT,
                      "the host name was not looked up within %g s", d->timeout);
        finish(d, -1, &err);
        return;
    }
    if (d->io) {
        d->last_errno = ETIMEDOUT;
        hang_up(d);
    }
    try_next(d);
}

static void on_resolved(void *ctx, const struct addrinfo *list, const celery_error *err)
{
    struct cel_dial *d = ctx;

    for (; list && d->n_addresses < MOST_ADDRESSES; list = list->ai_next) {
        struct address *a = &d->addresses[d->n_addresses];
        if (list->ai_addrlen <= sizeof a->at) {
            memcpy(&a->at, list->ai_addr, list->ai_addrlen);
            a->len = list->ai_addrlen;
            d->n_addresses++;
        }
    }
    d->resolve = cel_resolve_free(d->resolve);
    if (err) {
        finish(d, -1, err);
        return;
    }
    try_next(d);
}

static celery_status set_path(struct cel_dial *d, const char *path, celery_error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&d->addresses[0].at;
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof un->sun_path) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "the path of a Unix socket has 1 to %zu characters, this has %zu",
            sizeof un->sun_path - 1, len);
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    d->addresses[0].len = (socklen_t)sizeof *un;
    if (path[0] == '@') {
        un->sun_path[0] = '\0';
        d->addresses[0].len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    d->n_addresses = 1;
    return CELERY_OK;
}

celery_status cel_dial_start(struct cel_loop *loop, const struct cel_dial_to *to,
                             cel_dial_fn fn, void *ctx, struct cel_dial **ret_dial,
                             celery_error *err)
{
    struct cel_dial *d = cel_calloc(1, sizeof *d);
    celery_status status;

    if (!d) {
        return cel_error_nomem(err);
    }
    d->loop = loop;
    d->fn = fn;
    d->ctx = ctx;
    d->fd = -1;
    d->timeout = to->timeout;
    d->deadline = cel_loop_now(loop) + to->timeout;
    d->user_timeout = to->user_timeout;
    d->keepalive = to->keepalive;
    if (to->unix_path) {
        status = set_path(d, to->unix_path, err);
    } else {
        status =
            cel_resolve_start(loop, to->host, to->port, on_resolved, d, &d->resolve, err);
    }
    if (status == CELERY_OK) {
        /* A path needs no look-up: the next pass connects. */
        status = cel_loop_add_timer(loop, &d->timer, d->resolve ? d->deadline : 0,
                                    on_timer, d);
    }
    if (status < 0) {
        cel_dial_free(d);
        return status;
    }
    *ret_dial = d;
    return CELERY_OK;
}

struct cel_dial *cel_dial_free(struct cel_dial *d)
{
    if (d) {
        hang_up(d);
        cel_source_free(d->timer);
        cel_resolve_free(d->resolve);
        cel_free(d);
    }
    return NULL;
}
