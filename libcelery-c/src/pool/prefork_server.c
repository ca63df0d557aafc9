/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "pool/prefork.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_GRACE 0.5  /* seconds children get to see that their socket is closed */
#define ORDER_WAIT 5000 /* milliseconds the server may take to read an order */

bool cel_die_with_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

/* ---- in the fork server ---- */

struct server {
    const struct cel_pool_options *options;
    struct cel_slot_page *pages;
    unsigned n_slots;
    pid_t *pids; /* by slot; 0: none */
    int control;
    int signals;
};

static void report(struct server *s, enum cel_report_type type, unsigned slot, pid_t pid,
                   int status)
{
    struct cel_report r = {type, slot, pid, status};
    while (send(s->control, &r, sizeof r, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

static void fork_child(struct server *s, const struct cel_order *order, int fd)
{
    if (fd < 0 || order->slot >= s->n_slots || s->pids[order->slot] != 0) {
        report(s, CEL_REPORT_FAILED, order->slot, 0, EINVAL);
        return;
    }
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        if (!cel_die_with_parent(self)) {
            _exit(1);
        }
        close(s->control);
        close(s->signals);
        cel_child_main(&(struct cel_child_boot){
            .options = s->options,
            .page = &s->pages[order->slot],
            .socket = fd,
            .number = order->number,
        });
    }
    if (pid < 0) {
        report(s, CEL_REPORT_FAILED, order->slot, 0, errno);
        return;
    }
    s->pids[order->slot] = pid;
    report(s, CEL_REPORT_FORKED, order->slot, pid, 0);
}

/* A pid is free for others only after the wait below, so the signal cannot hit those. */
static void signal_child(const struct server *s, const struct cel_order *order)
{
    if (order->slot < s->n_slots && order->pid > 0 &&
        s->pids[order->slot] == order->pid) {
        kill(order->pid, order->signo);
    }
}

static void reap(struct server *s)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) {
            return;
        }
        for (unsigned i = 0; i < s->n_slots; i++) {
            if (s->pids[i] == pid) {
                s->pids[i] = 0;
                report(s, CEL_REPORT_EXITED, i, pid, status);
            }
        }
    }
}

/* False: the parent is gone. */
static bool take_order(struct server *s)
{
    struct cel_order order;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {&order, sizeof order};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t n = recvmsg(s->control, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    }
    int fd = -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    }
    if (n == sizeof order && order.type == CEL_ORDER_FORK) {
        fork_child(s, &order, fd);
    } else if (n == sizeof order && order.type == CEL_ORDER_SIGNAL) {
        signal_child(s, &order);
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}

static bool any_left(const struct server *s)
{
    for (unsigned i = 0; i < s->n_slots; i++) {
        if (s->pids[i] != 0) {
            return true;
        }
    }
    return false;
}

static void end_children(struct server *s)
{
    double until = cel_clock_mono() + STOP_GRACE;
    reap(s);
    while (any_left(s) && cel_clock_mono() < until) {
        struct pollfd wait = {s->signals, POLLIN, 0};
        poll(&wait, 1, 20);
        reap(s);
    }
    for (unsigned i = 0; i < s->n_slots; i++) {
        if (s->pids[i] != 0) {
            kill(s->pids[i], SIGKILL);
            waitpid(s->pids[i], NULL, 0);
        }
    }
}

/* Signals of the terminal and of service managers are for the parent to act upon. */
static bool set_signals(struct server *s)
{
    static const int ignored[] = {SIGINT,  SIGTERM, SIGQUIT, SIGHUP,  SIGPIPE, SIGUSR1,
                                  SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        signal(ignored[i], SIG_IGN);
    }
    signal(SIGCHLD, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0;
}

static _Noreturn void server_main(struct server *s, pid_t parent)
{
    if (!cel_die_with_parent(parent) || !set_signals(s)) {
        _exit(1);
    }
    for (;;) {
        struct pollfd wait[2] = {{s->control, POLLIN, 0}, {s->signals, POLLIN, 0}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        struct signalfd_siginfo info;
        while (read(s->signals, &info, sizeof info) > 0) {
        }
        reap(s);
        if (wait[0].revents && !take_order(s)) {
            break;
        }
    }
    end_children(s);
    _exit(0);
}

/* ---- what is open ---- */

static bool is_kept(const struct cel_server *server, int fd)
{
    for (unsigned i = 0; i < server->n_keep; i++) {
        if (server->keep[i] == fd) {
            return true;
        }
    }
    return false;
}

/* Calls fn for every open descriptor above standard error. */
static void each_descriptor(struct cel_server *server,
                            void (*fn)(struct cel_server *server, int fd))
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) {
        return;
    }
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        int64_t fd;
        if (cel_slice_to_int(cel_slice_of(entry->d_name), &fd) && fd > STDERR_FILENO &&
            fd != dirfd(dir)) {
            fn(server, (int)fd);
        }
    }
    closedir(dir);
}

static void keep(struct cel_server *server, int fd)
{
    if (server->n_keep < CEL_SERVER_KEEP) {
        server->keep[server->n_keep++] = fd;
    }
}

static void close_unless_kept(struct cel_server *server, int fd)
{
    if (fd != server->control && !is_kept(server, fd)) {
        close(fd);
    }
}

/* ---- in the parent ---- */

celery_status cel_server_start(const struct cel_pool_options *options,
                               struct cel_slot_page *pages, unsigned n_slots,
                               struct cel_server *server, celery_error *err)
{
    int pair[2];
    bool again = server->control < 0;
    if (!again) {
        each_descriptor(server, keep);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "pool: socketpair");
    }
    struct server own = {options, pages, n_slots, NULL, pair[1], -1};
    own.pids = cel_calloc(n_slots, sizeof *own.pids);
    pid_t parent = getpid();
    fflush(NULL); /* or children print it once more */
    pid_t pid = own.pids ? fork() : -1;
    if (pid == 0) {
        close(pair[0]);
        if (again) {
            server->control = pair[1];
            each_descriptor(server, close_unless_kept);
        }
        server_main(&own, parent);
    }
    int errnum = own.pids ? errno : ENOMEM;
    cel_free(own.pids);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return cel_error_sys(err, CELERY_ESYSTEM, errnum, "pool: fork");
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    server->pid = pid;
    server->control = pair[0];
    return CELERY_OK;
}

celery_status cel_server_order(struct cel_server *server, const struct cel_order *order,
                               int give_fd, celery_error *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {(void *)order, sizeof *order};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (give_fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &give_fd, sizeof give_fd);
    }
    ssize_t n;
    struct pollfd wait = {server->control, POLLOUT, 0};
    do {
        n = sendmsg(server->control, &message, MSG_NOSIGNAL);
    } while (n < 0 &&
             (errno == EINTR || (errno == EAGAIN && poll(&wait, 1, ORDER_WAIT) > 0)));
    int errnum = errno;
    if (give_fd >= 0) {
        close(give_fd);
    }
    if (n < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errnum, "pool: fork server");
    }
    return CELERY_OK;
}

celery_status cel_server_report(struct cel_server *server, struct cel_report *ret_report)
{
    for (;;) {
        ssize_t n = recv(server->control, ret_report, sizeof *ret_report, 0);
        if (n == sizeof *ret_report) {
            return CELERY_OK;
        }
        if (n < 0 && errno == EAGAIN) {
            return CELERY_NONE;
        }
        if (n >= 0 || errno != EINTR) {
            return CELERY_ECLOSED;
        }
    }
}

void cel_server_stop(struct cel_server *server)
{
    if (server->pid > 0) {
        close(server->control);
        while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        server->pid = 0;
        server->control = -1;
    }
}
