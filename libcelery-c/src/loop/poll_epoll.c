/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"
#include "loop/source.h"
#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static bool is_owner(const struct cel_loop *loop)
{
    return loop->owner == (int)getpid();
}

/* The loop's own descriptors carry the address of their field instead of a source. */
static celery_status watch_own(struct cel_loop *loop, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    return epoll_ctl(loop->poll_fd, EPOLL_CTL_ADD, *fd, &event) < 0 ? CELERY_ESYSTEM
                                                                    : CELERY_OK;
}

celery_status cel_poll_open(struct cel_loop *loop, celery_error *err)
{
    loop->timer_fd = -1;
    loop->owner = (int)getpid();
    loop->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->poll_fd < 0 || loop->wake_fd < 0 || watch_own(loop, &loop->wake_fd) < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "event loop");
    }
    return CELERY_OK;
}

void cel_poll_close(struct cel_loop *loop)
{
    int *const fds[] = {&loop->poll_fd, &loop->wake_fd, &loop->timer_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
            *fds[i] = -1;
        }
    }
}

static uint32_t to_epoll(unsigned wanted)
{
    return (wanted & CEL_READ ? (uint32_t)EPOLLIN : 0) |
           (wanted & CEL_WRITE ? (uint32_t)EPOLLOUT : 0) |
           (wanted & CEL_HANGUP ? (uint32_t)EPOLLRDHUP : 0);
}

/* With nothing wanted epoll would still report hang-ups, for ever: it is taken out. */
celery_status cel_poll_apply(struct cel_loop *loop, struct cel_source *io)
{
    cel_list_remove(&io->due);
    if (io->wanted == io->polled || !is_owner(loop)) {
        return CELERY_OK;
    }
    int op = io->wanted == 0   ? EPOLL_CTL_DEL
             : io->polled == 0 ? EPOLL_CTL_ADD
                               : EPOLL_CTL_MOD;
    io->polled = io->wanted;
    struct epoll_event event = {.events = to_epoll(io->wanted), .data.ptr = io};
    if (epoll_ctl(loop->poll_fd, op, io->fd, &event) < 0 && op != EPOLL_CTL_DEL) {
        io->polled = 0;
        return CELERY_ESYSTEM;
    }
    return CELERY_OK;
}

static unsigned from_epoll(uint32_t events, unsigned wanted)
{
    unsigned ready = (events & EPOLLIN ? (unsigned)CEL_READ : 0) |
                     (events & EPOLLOUT ? (unsigned)CEL_WRITE : 0);
    if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        ready |= CEL_HANGUP | wanted;
    }
    return ready & (wanted | CEL_HANGUP);
}

static void read_away(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

static void dispatch(struct cel_loop *loop, const struct epoll_event *event)
{
    if (event->data.ptr == &loop->wake_fd || event->data.ptr == &loop->timer_fd) {
        read_away(*(int *)event->data.ptr);
        return;
    }
    struct cel_source *source = event->data.ptr;
    if (source->dead || source->wanted == 0) {
        return;
    }
    if (source->kind == CEL_SOURCE_CHILD) {
        cel_list_remove(&source->due);
        cel_list_append(&loop->exited, &source->due);
        return;
    }
    unsigned ready = from_epoll(event->events, source->wanted);
    if (ready != 0) {
        source->fn.io(source->ctx, source->fd, ready);
    }
}

static int to_ms(double timeout)
{
    if (timeout < 0) {
        return -1;
    }
    double ms = ceil(timeout * 1000);
    return ms > 86400e3 ? 86400000 : (int)ms;
}

celery_status cel_poll_wait(struct cel_loop *loop, double timeout)
{
    struct epoll_event events[CEL_LOOP_EVENTS];
    int n = epoll_wait(loop->poll_fd, events, CEL_LOOP_EVENTS, to_ms(timeout));
    if (n < 0 && errno != EINTR) {
        return CELERY_ESYSTEM;
    }
    loop->now = -1; /* read again on demand */
    for (int i = 0; i < n; i++) {
        dispatch(loop, &events[i]);
    }
    return CELERY_OK;
}

celery_status cel_poll_host_timer(struct cel_loop *loop, double after)
{
    if (loop->timer_fd < 0) {
        loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (loop->timer_fd < 0) {
            return CELERY_ESYSTEM;
        }
        if (watch_own(loop, &loop->timer_fd) < 0) {
            close(loop->timer_fd);
            loop->timer_fd = -1;
            return CELERY_ESYSTEM;
        }
    }
    struct itimerspec spec = {0};
    if (after >= 0) {
        after = after > 86400 ? 86400 : after;
        spec.it_value.tv_sec = (time_t)after;
        spec.it_value.tv_nsec = (long)((after - floor(after)) * 1e9);
        if (spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0) {
            spec.it_value.tv_nsec = 1;
        }
    }
    return timerfd_settime(loop->timer_fd, 0, &spec, NULL) < 0 ? CELERY_ESYSTEM
                                                               : CELERY_OK;
}
