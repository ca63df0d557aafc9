/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool cel_init_is_due(void)
{
    int subreaper = 0;

    return getpid() == 1 ||
           (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0);
}

/* The manager's watchdog is kept by whoever does the work. */
static void take_over_watchdog(pid_t parent)
{
    const char *pid = getenv("WATCHDOG_PID");
    char text[24];

    snprintf(text, sizeof text, "%d", (int)parent);
    if (pid && strcmp(pid, text) == 0) {
        snprintf(text, sizeof text, "%d", (int)getpid());
        setenv("WATCHDOG_PID", text, 1);
    }
}

/* True when the worker is among those that have ended. */
static bool reap(pid_t worker, int *ret_status)
{
    bool ended = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid == worker) {
            ended = true;
            *ret_status = status;
        }
    }
    return ended;
}

/* What a terminal sends, it sends to the worker as well. */
static bool is_to_be_forwarded(const siginfo_t *info)
{
    switch (info->si_signo) {
    case SIGCHLD:
    case SIGTTIN:
    case SIGTTOU:
    case SIGTSTP:
        return false;
    default:
        return info->si_code != SI_KERNEL;
    }
}

static int serve(pid_t worker, const sigset_t *set)
{
    siginfo_t info;
    int status = 0;

    while (!reap(worker, &status)) {
        if (sigwaitinfo(set, &info) > 0 && is_to_be_forwarded(&info)) {
            kill(worker, info.si_signo);
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool cel_init_run(int *ret_code)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGTRAP, SIGABRT, SIGSYS};
    pid_t parent = getpid();
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sigdelset(&all, faults[i]);
    }
    fflush(NULL);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t worker = fork();
    if (worker > 0) {
        *ret_code = serve(worker, &all);
        return true;
    }
    if (worker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        take_over_watchdog(parent);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return false;
}
