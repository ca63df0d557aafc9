/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals as sources.  A handler counts and wakes the loop; signalfd would need the signals
 * blocked, which children and their programs inherit.  Nothing is installed before somebody
 * adds a signal source.
 */
#include "base/error.h"
#include "loop/source.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static struct {
    atomic_uint count;
    struct cel_loop *_Atomic loop;
    unsigned sources;
    struct sigaction before;
} slots[NSIG];

static void handle(int signo)
{
    int errnum = errno;
    struct cel_loop *loop = atomic_load(&slots[signo].loop);
    atomic_fetch_add(&slots[signo].count, 1);
    /* A forked child that has not reset its handlers shares the wake descriptor. */
    if (loop && loop->owner == (int)getpid()) {
        const uint64_t one = 1;
        atomic_store(&loop->signalled, true);
        while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
    }
    errno = errnum;
}

static celery_status install(struct cel_loop *loop, int signo)
{
    atomic_store(&slots[signo].count, 0);
    atomic_store(&slots[signo].loop, loop);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    if (signo == SIGCHLD) {
        action.sa_flags |= SA_NOCLDSTOP;
    }
    if (sigaction(signo, &action, &slots[signo].before) < 0) {
        atomic_store(&slots[signo].loop, NULL);
        return CELERY_ESYSTEM;
    }
    return CELERY_OK;
}

celery_status cel_loop_add_signal(struct cel_loop *loop, struct cel_source **ret_source,
                                  int signo, cel_signal_fn fn, void *ctx)
{
    if (signo <= 0 || signo >= NSIG) {
        return CELERY_EINVAL;
    }
    struct cel_loop *owner = atomic_load(&slots[signo].loop);
    if (owner && owner != loop) {
        return CELERY_EINVAL; /* one loop of the process has the signal */
    }
    celery_status status = cel_source_new(loop, CEL_SOURCE_SIGNAL, ctx, ret_source);
    if (status < 0) {
        return status;
    }
    (*ret_source)->fn.signal = fn;
    if (!owner) {
        status = install(loop, signo);
        if (status < 0) {
            *ret_source = cel_source_free(*ret_source);
            return status;
        }
    }
    (*ret_source)->number = signo;
    slots[signo].sources++;
    return CELERY_OK;
}

void cel_signal_forget(struct cel_source *source)
{
    int signo = source->number;
    if (signo > 0 && --slots[signo].sources == 0) {
        if (source->loop->owner == (int)getpid()) {
            sigaction(signo, &slots[signo].before, NULL);
        }
        atomic_store(&slots[signo].loop, NULL);
    }
}

static unsigned take_count(int signo)
{
    return atomic_exchange(&slots[signo].count, 0);
}

void cel_signal_dispatch(struct cel_loop *loop)
{
    if (!atomic_exchange(&loop->signalled, false)) {
        return;
    }
    unsigned counts[NSIG] = {0};
    for (int signo = 1; signo < NSIG; signo++) {
        if (atomic_load(&slots[signo].loop) == loop) {
            counts[signo] = take_count(signo);
        }
    }
    struct cel_list *head = &loop->sources[CEL_SOURCE_SIGNAL];
    struct cel_list place;
    cel_walk_start(&place, head);
    struct cel_source *source;
    while ((source = cel_walk_next(&place, head)) != NULL) {
        int signo = source->number;
        for (unsigned i = counts[signo]; i > 0 && !source->dead; i--) {
            source->fn.signal(source->ctx, signo);
        }
    }
}
