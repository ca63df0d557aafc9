/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGHUP: after a warm shutdown the worker runs its program anew (celery/apps/worker.py
 * _reload_current_worker).  The process stays the same, so that its manager keeps it.
 */
#include "base/slice.h"
#include "worker/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MARK "CELERY_C_RUNS_AGAIN" /* = process id */

void cel_again_prepare(struct cel_program *p)
{
    ssize_t n = readlink("/proc/self/exe", p->path, sizeof p->path - 1);

    p->path[n > 0 ? n : 0] = '\0';
    p->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool cel_again_is(void)
{
    const char *mark = getenv(MARK);
    int64_t pid;

    return mark && cel_slice_to_int(cel_slice_of(mark), &pid) && pid == getpid();
}

/*
 * By its path, where a newer program may be by now; if that is gone, the one that runs.  Signals
 * wait in the meantime: cel_signals_hold() lets them come again.
 */
void cel_again_exec(struct cel_program *p)
{
    char mark[24];
    sigset_t all;
    sigset_t before;

    snprintf(mark, sizeof mark, "%d", (int)getpid());
    if (setenv(MARK, mark, 1) < 0 || (p->folder >= 0 && fchdir(p->folder) < 0)) {
        return;
    }
    fflush(NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    if (p->path[0]) {
        execv(p->path, p->argv);
    }
    execv("/proc/self/exe", p->argv);
    sigprocmask(SIG_SETMASK, &before, NULL);
}
