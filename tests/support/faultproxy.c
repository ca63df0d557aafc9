/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TCP and Unix-socket proxy with faults, for tests and for the benchmark's round trips.
 *
 *   faultproxy --listen PORT|unix:PATH --to HOST:PORT|unix:PATH [--delay-ms X] [faults]
 *
 * It prints "listening on ..." when it is ready.  SIGTERM ends it, SIGUSR1 switches a black
 * hole on and off (nothing is read, written or closed), SIGUSR2 resets all connections.
 */
#include "faultproxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK        (64 * 1024)
#define MOST_WAITING (16 * 1024 * 1024) /* bytes of one direction; then it is not read */
#define EVENTS       64
#define NEVER        UINT64_MAX

struct chunk {
    struct chunk *next;
    uint64_t due; /* ns */
    size_t len;   /* 0: end of the stream */
    size_t done;
    char bytes[];
};

struct pair;

/* One socket, and what waits to be written to it. */
struct side {
    struct pair *pair;
    int fd;
    uint32_t events; /* what epoll watches; 0: not added */
    struct chunk *first;
    struct chunk *last;
    size_t waiting;
    bool read_end;  /* its peer's end of stream was queued to the other side */
    bool blocked;   /* the last write was short */
    bool wrote_end; /* shutdown() done */
};

struct pair {
    struct pair *next;
    struct pair *prev;
    struct side client;
    struct side server;
    bool connecting;
    bool dead;
    bool stalled;
    uint64_t forwarded;
    uint64_t cut_at;
    uint64_t stall_at;
    uint64_t rst_at;
    uint64_t half_close_at;
};

static struct pair pairs = {.next = &pairs, .prev = &pairs};
static struct pair *graves;
static int epoll_fd;
static int listen_fd;
static int timer_fd;
static int signal_fd;
static bool black_hole;
static uint64_t random_state;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64: the same seed gives the same faults. */
static uint64_t draw(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* With a seed, each connection breaks at its own byte from 1 to n. */
static uint64_t draw_point(uint64_t n)
{
    if (n == 0) {
        return NEVER;
    }
    return options.seed ? 1 + draw() % n : n;
}

static void watch(struct side *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (black_hole || s->pair->stalled) {
        events = 0;
    }
    if (events == s->events || s->fd < 0) {
        return;
    }
    int op = s->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    epoll_ctl(epoll_fd, events == 0 ? EPOLL_CTL_DEL : op, s->fd, &e);
    s->events = events;
}

static struct side *other(struct side *s)
{
    return s == &s->pair->client ? &s->pair->server : &s->pair->client;
}

static void update(struct side *s)
{
    uint32_t events = s->blocked ? EPOLLOUT : 0;

    if (s->pair->connecting) {
        events = s == &s->pair->server ? EPOLLOUT : 0;
    } else if (!s->read_end && other(s)->waiting < MOST_WAITING) {
        events |= EPOLLIN;
    }
    watch(s, events);
}

static void update_pair(struct pair *p)
{
    if (!p->dead) {
        update(&p->client);
        update(&p->server);
    }
}

static void drop_chunks(struct side *s)
{
    while (s->first) {
        struct chunk *c = s->first;
        s->first = c->next;
        free(c);
    }
}

/* Memory goes after the batch of events, which may still name it. */
static void end_pair(struct pair *p, bool reset)
{
    const struct linger now = {.l_onoff = 1};
    struct side *sides[] = {&p->client, &p->server};

    if (p->dead) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (reset && sides[i]->fd >= 0) {
            setsockopt(sides[i]->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        if (sides[i]->fd >= 0) {
            close(sides[i]->fd);
        }
        drop_chunks(sides[i]);
    }
    p->dead = true;
    p->prev->next = p->next;
    p->next->prev = p->prev;
    p->next = graves;
    graves = p;
}

static void bury(void)
{
    while (graves) {
        struct pair *p = graves;
        graves = p->next;
        free(p);
    }
}

/* Bytes that may go before the next planned fault. */
static size_t allowance(const struct pair *p, size_t len)
{
    const uint64_t points[] = {p->cut_at, p->stall_at, p->rst_at, p->half_close_at};

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (points[i] > p->forwarded && points[i] - p->forwarded < len) {
            len = (size_t)(points[i] - p->forwarded);
        }
    }
    return options.split ? 1 : len;
}

/* False when the connection is over or stands still. */
static bool apply_faults(struct pair *p)
{
    if (p->forwarded >= p->rst_at) {
        end_pair(p, true);
        return false;
    }
    if (p->forwarded >= p->cut_at) {
        end_pair(p, false);
        return false;
    }
    if (p->forwarded >= p->stall_at) {
        p->stalled = true;
        return false;
    }
    if (p->forwarded >= p->half_close_at && !p->client.wrote_end) {
        shutdown(p->client.fd, SHUT_WR);
        p->client.wrote_end = true;
    }
    return true;
}

static void corrupt(char *bytes, size_t len)
{
    for (size_t i = 0; options.corrupt_rate > 0 && i < len; i++) {
        if ((double)(draw() >> 11) / 9007199254740992.0 < options.corrupt_rate) {
            bytes[i] = (char)(bytes[i] ^ (1 << draw() % 8));
        }
    }
}

static void add_chunk(struct side *to, const char *bytes, size_t len)
{
    struct chunk *c = malloc(sizeof *c + len);

    if (!c) {
        end_pair(to->pair, true);
        return;
    }
    c->next = NULL;
    c->due = options.delay ? now_ns() + options.delay : 0;
    c->len = len;
    c->done = 0;
    memcpy(c->bytes, bytes, len);
    if (to->first) {
        to->last->next = c;
    } else {
        to->first = c;
    }
    to->last = c;
    to->waiting += len;
}

static void pop_chunk(struct side *s)
{
    struct chunk *c = s->first;

    s->first = c->next;
    s->waiting -= c->len;
    free(c);
}

static void finish_direction(struct side *s)
{
    pop_chunk(s);
    if (!s->wrote_end) {
        shutdown(s->fd, SHUT_WR);
        s->wrote_end = true;
    }
    struct side *peer = other(s);
    if (peer->wrote_end && !peer->first) {
        end_pair(s->pair, false);
    }
}

/* Writes part of the first chunk; false when no more can be done now. */
static bool write_some(struct side *s)
{
    struct chunk *c = s->first;
    size_t len = allowance(s->pair, c->len - c->done);

    if (s->wrote_end) {
        pop_chunk(s); /* after a half-close there is nowhere to write to */
        return true;
    }
    ssize_t n = send(s->fd, c->bytes + c->done, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        s->blocked = errno == EAGAIN || errno == EWOULDBLOCK;
        if (!s->blocked) {
            end_pair(s->pair, true);
        }
        return false;
    }
    c->done += (size_t)n;
    s->pair->forwarded += (uint64_t)n;
    if (!apply_faults(s->pair)) {
        return false;
    }
    if (c->done == c->len) {
        pop_chunk(s);
    }
    /* The rest of a split stream goes in the next rounds. */
    return !options.split;
}

static void flush(struct side *s, uint64_t now)
{
    struct pair *p = s->pair;

    if (black_hole || p->dead || p->stalled || p->connecting) {
        return;
    }
    s->blocked = false;
    while (s->first && s->first->due <= now) {
        if (s->first->len == 0) {
            finish_direction(s);
            break;
        }
        if (!write_some(s)) {
            break;
        }
    }
    update_pair(p);
}

static void read_some(struct side *from)
{
    static char bytes[CHUNK];
    struct side *to = other(from);
    ssize_t n = recv(from->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        end_pair(from->pair, true);
        return;
    }
    from->read_end = n == 0;
    corrupt(bytes, (size_t)n);
    add_chunk(to, bytes, (size_t)n);
    if (!from->pair->dead) {
        flush(to, now_ns());
        update_pair(from->pair);
    }
}

static void on_connected(struct pair *p)
{
    int failure = 0;
    socklen_t len = sizeof failure;

    getsockopt(p->server.fd, SOL_SOCKET, SO_ERROR, &failure, &len);
    if (failure) {
        end_pair(p, true);
        return;
    }
    p->connecting = false;
    update_pair(p);
}

static void on_side(struct side *s, uint32_t events)
{
    struct pair *p = s->pair;

    if (p->dead || p->stalled || black_hole) {
        return;
    }
    if (p->connecting) {
        on_connected(p);
        return;
    }
    if (events & EPOLLOUT) {
        flush(s, now_ns());
    }
    if (!p->dead && !p->stalled && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (s->read_end) {
            end_pair(p, true); /* the last of it is gone too */
        } else {
            read_some(s);
        }
    }
}

static void set_nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void on_accept(void)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pair *p = fd >= 0 ? calloc(1, sizeof *p) : NULL;

    if (!p) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    p->client = (struct side){.pair = p, .fd = fd};
    p->server = (struct side){.pair = p};
    p->server.fd =
        socket(options.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    p->cut_at = draw_point(options.cut_after);
    p->stall_at = draw_point(options.stall_after);
    p->rst_at = draw_point(options.rst_after);
    p->half_close_at = draw_point(options.half_close_after);
    p->connecting = true;
    p->next = pairs.next;
    p->prev = &pairs;
    pairs.next->prev = p;
    pairs.next = p;
    set_nodelay(fd);
    set_nodelay(p->server.fd);
    if (p->server.fd < 0 ||
        (connect(p->server.fd, (struct sockaddr *)&options.to, options.to_len) < 0 &&
         errno != EINPROGRESS)) {
        end_pair(p, true);
        return;
    }
    update_pair(p);
}

static uint64_t next_due(void)
{
    uint64_t due = NEVER;

    for (struct pair *p = pairs.next; p != &pairs; p = p->next) {
        const struct side *sides[] = {&p->client, &p->server};
        for (int i = 0; i < 2 && !p->stalled && !p->connecting; i++) {
            if (sides[i]->first && !sides[i]->blocked && sides[i]->first->due < due) {
                due = sides[i]->first->due;
            }
        }
    }
    return black_hole ? NEVER : due;
}

static void set_timer(uint64_t due)
{
    static uint64_t set = NEVER;
    struct itimerspec t = {{0, 0}, {0, 0}};

    if (due == set) {
        return;
    }
    set = due;
    if (due != NEVER) {
        due = due == 0 ? 1 : due;
        t.it_value.tv_sec = (time_t)(due / 1000000000u);
        t.it_value.tv_nsec = (long)(due % 1000000000u);
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void on_timer(void)
{
    uint64_t ticks;
    uint64_t now = now_ns();

    if (read(timer_fd, &ticks, sizeof ticks) < 0) {
        return;
    }
    set_timer(NEVER);
    for (struct pair *p = pairs.next, *next; p != &pairs; p = next) {
        next = p->next;
        flush(&p->client, now);
        flush(&p->server, now);
    }
}

static void toggle_black_hole(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listen_fd};

    black_hole = !black_hole;
    epoll_ctl(epoll_fd, black_hole ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, listen_fd, &e);
    for (struct pair *p = pairs.next; p != &pairs; p = p->next) {
        update_pair(p);
    }
    printf("black hole %s\n", black_hole ? "on" : "off");
    fflush(stdout);
}

/* False: end. */
static bool on_signal(void)
{
    struct signalfd_siginfo info;

    if (read(signal_fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return true;
    }
    if (info.ssi_signo == SIGUSR1) {
        toggle_black_hole();
    } else if (info.ssi_signo == SIGUSR2) {
        while (pairs.next != &pairs) {
            end_pair(pairs.next, true);
        }
    }
    return info.ssi_signo == SIGUSR1 || info.ssi_signo == SIGUSR2;
}

static void add_source(int *fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, *fd, &e);
}

static void set_up(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (epoll_fd < 0 || timer_fd < 0 || signal_fd < 0) {
        fail("cannot set up");
    }
    listen_fd = start_listening();
    add_source(&listen_fd);
    add_source(&timer_fd);
    add_source(&signal_fd);
}

int main(int argc, char **argv)
{
    bool running = true;

    parse_options(argc, argv);
    random_state = options.seed;
    set_up();
    while (running) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &listen_fd) {
                on_accept();
            } else if (events[i].data.ptr == &timer_fd) {
                on_timer();
            } else if (events[i].data.ptr == &signal_fd) {
                running = on_signal();
            } else {
                on_side(events[i].data.ptr, events[i].events);
            }
        }
        bury();
        set_timer(next_due());
    }
    if (options.listen.ss_family == AF_UNIX) {
        unlink(((struct sockaddr_un *)&options.listen)->sun_path);
    }
    return 0;
}
