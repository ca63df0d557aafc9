/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of loop/ share.  Nobody else includes it. */
#ifndef CEL_LOOP_SOURCE_H
#define CEL_LOOP_SOURCE_H

#include "base/heap.h"
#include "base/list.h"
#include "loop/loop.h"
#include <stdatomic.h>

enum cel_source_kind {
    CEL_SOURCE_IO,
    CEL_SOURCE_TIMER,
    CEL_SOURCE_SIGNAL,
    CEL_SOURCE_CHILD,
    CEL_SOURCE_HOOK,
    CEL_SOURCE_WAKE,
};

struct cel_source {
    struct cel_list node; /* in the loop's list of its kind; when dead, in its graves */
    struct cel_list due;  /* timers and children about to be called; changed io */
    struct cel_loop *loop;
    enum cel_source_kind kind;
    bool dead;
    bool scheduled; /* hook */
    int fd;         /* io; child: pidfd or -1 */
    unsigned wanted;
    unsigned polled; /* what the poller knows of wanted */
    int number;      /* signal, pid */
    struct cel_heap_node timer;
    union {
        cel_io_fn io;
        cel_timer_fn timer;
        cel_signal_fn signal;
        cel_child_fn child;
        cel_hook_fn hook;
    } fn;
    void *ctx;
};

enum { CEL_SOURCE_KINDS = CEL_SOURCE_WAKE + 1, CEL_LOOP_EVENTS = 128 };

struct cel_loop {
    int poll_fd;
    int wake_fd;
    int timer_fd; /* for cel_loop_fd(); -1 until it was asked for */
    int owner;    /* pid: a forked child must not touch what it shares with us */
    unsigned depth;
    bool stop;
    double now;
    size_t scheduled; /* hooks */
    size_t n_timers;
    atomic_bool woken;
    atomic_bool signalled;
    struct cel_heap timers;
    struct cel_list sources[CEL_SOURCE_KINDS];
    struct cel_list changed; /* io whose wanted differs from what is polled */
    struct cel_list exited;  /* children to report behind the io */
    struct cel_list graves;
    struct cel_source *sigchld; /* without pidfd */
};

/* loop.c */
celery_status cel_source_new(struct cel_loop *loop, enum cel_source_kind kind, void *ctx,
                             struct cel_source **ret_source);

/*
 * Walks the sources of one kind, which callbacks may free: a marker of its own holds the
 * place in the list.  NULL at the end.
 */
void cel_walk_start(struct cel_list *place, struct cel_list *head);
struct cel_source *cel_walk_next(struct cel_list *place, struct cel_list *head);

/* poll_epoll.c */
celery_status cel_poll_open(struct cel_loop *loop, celery_error *err);
void cel_poll_close(struct cel_loop *loop);
celery_status cel_poll_apply(struct cel_loop *loop, struct cel_source *io); /* wanted */

/* Waits and calls io sources; what concerns wake_fd and timer_fd is read away. */
celery_status cel_poll_wait(struct cel_loop *loop, double timeout);

/* When cel_loop_fd() shall become readable by itself; negative: not. */
celery_status cel_poll_host_timer(struct cel_loop *loop, double after);

/* child.c, signal.c */
void cel_child_forget(struct cel_source *child);
void cel_child_dispatch(struct cel_loop *loop);
void cel_signal_forget(struct cel_source *signal);
void cel_signal_dispatch(struct cel_loop *loop);

#endif
