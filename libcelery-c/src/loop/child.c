/* SPDX-License-Identifier: BSD-3-Clause */
/* Exits of children as sources: pidfd, or SIGCHLD where the kernel has none. */
#include "base/error.h"
#include "loop/source.h"
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_pidfd(int pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    errno = ENOSYS;
    return -1;
#endif
}

static void look_at_all(void *ctx, int signo)
{
    struct cel_loop *loop = ctx;
    struct cel_list *it;
    struct cel_list *tmp;
    cel_list_foreach(it, tmp, &loop->sources[CEL_SOURCE_CHILD]) {
        struct cel_source *child = cel_container_of(it, struct cel_source, node);
        if (child->fd < 0 && child->wanted) {
            cel_list_remove(&child->due);
            cel_list_append(&loop->exited, &child->due);
        }
    }
}

celery_status cel_loop_add_child(struct cel_loop *loop, struct cel_source **ret_source,
                                 int pid, cel_child_fn fn, void *ctx)
{
    if (pid <= 0) {
        return CELERY_EINVAL;
    }
    celery_status status = cel_source_new(loop, CEL_SOURCE_CHILD, ctx, ret_source);
    if (status < 0) {
        return status;
    }
    struct cel_source *child = *ret_source;
    child->fn.child = fn;
    child->number = pid;
    child->wanted = CEL_READ;
    child->fd = open_pidfd(pid);
    if (child->fd >= 0) {
        status = cel_poll_apply(loop, child);
    } else {
        if (errno != ESRCH && !loop->sigchld) {
            status =
                cel_loop_add_signal(loop, &loop->sigchld, SIGCHLD, look_at_all, loop);
        }
        /* It may be gone already. */
        cel_list_append(&loop->exited, &child->due);
        cel_loop_wake(loop);
    }
    if (status < 0) {
        *ret_source = cel_source_free(child);
    }
    return status;
}

void cel_child_forget(struct cel_source *child)
{
    child->wanted = 0;
    if (child->fd >= 0) {
        cel_poll_apply(child->loop, child);
        close(child->fd);
        child->fd = -1;
    }
}

static void report(struct cel_source *child)
{
    int wait_status = 0;
    int pid = waitpid(child->number, &wait_status, WNOHANG);
    if (pid == 0) {
        return; /* still alive */
    }
    if (pid < 0) {
        if (errno != ECHILD) {
            return;
        }
        wait_status = -1;
    }
    cel_child_forget(child);
    child->fn.child(child->ctx, child->number, wait_status);
}

void cel_child_dispatch(struct cel_loop *loop)
{
    struct cel_list *first;
    while ((first = cel_list_first(&loop->exited)) != NULL) {
        struct cel_source *child = cel_container_of(first, struct cel_source, due);
        cel_list_remove(&child->due);
        if (!child->dead && child->wanted) {
            report(child);
        }
    }
}
