/* SPDX-License-Identifier: BSD-3-Clause */
/* What signals mean (celery/apps/worker.py install_worker_*_handler). */
#include "base/log.h"
#include "worker/program.h"
#include "worker/request.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int signals[CEL_PROGRAM_SIGNALS] = {SIGTERM, SIGINT,  SIGQUIT,
                                                 SIGHUP,  SIGUSR1, SIGUSR2};

/* Kept until somebody watches. */
static atomic_int kept[CEL_PROGRAM_SIGNALS];

static void keep(int signo)
{
    for (size_t i = 0; i < CEL_PROGRAM_SIGNALS; i++) {
        if (signals[i] == signo) {
            atomic_fetch_add(&kept[i], 1);
        }
    }
}

void cel_signals_hold(void)
{
    struct sigaction action = {.sa_handler = keep, .sa_flags = SA_RESTART};
    sigset_t set;

    sigemptyset(&set);
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < CEL_PROGRAM_SIGNALS; i++) {
        atomic_store(&kept[i], 0);
        sigaction(signals[i], &action, NULL);
        sigaddset(&set, signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    if (cel_again_is()) { /* all were blocked for the change of programs */
        sigfillset(&set);
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- shutting down ---- */

/* With JSON lines nothing else is printed. */
static void say(const struct cel_program *p, const char *text)
{
    if (p->line.json) {
        cel_log(CELERY_LOG_WARNING, "%s", text);
    } else {
        printf("\n%s\n", text);
        fflush(stdout);
    }
}

static void shut_down(struct cel_program *p, enum cel_shutdown how, int exit_code)
{
    say(p, how == CEL_SHUTDOWN_COLD ? "worker: Cold shutdown (MainProcess)"
                                    : "worker: Warm shutdown (MainProcess)");
    if (p->w->exit_code == 0) {
        p->w->exit_code = exit_code;
    }
    if (p->again) { /* it was to run anew, but now it ends */
        p->again = p->w->again = false;
        cel_sdnotify_ending(p->w, false);
    }
    p->quit |= how == CEL_SHUTDOWN_COLD;
    cel_worker_shutdown(p->w, how);
}

static void stop_at_once(struct cel_program *p)
{
    p->w->exit_code = 1;
    cel_loop_stop(p->w->loop);
}

static void on_terminate(struct cel_program *p)
{
    if (p->quit) {
        stop_at_once(p);
        return;
    }
    shut_down(p, p->remap_term ? CEL_SHUTDOWN_COLD : CEL_SHUTDOWN_WARM, 0);
}

static void on_interrupt(struct cel_program *p)
{
    if (p->quit) {
        stop_at_once(p);
        return;
    }
    if (p->interrupted || p->w->shutdown != CEL_SHUTDOWN_NONE) {
        shut_down(p, CEL_SHUTDOWN_COLD, 1);
        return;
    }
    p->interrupted = true;
    say(p, "worker: Hitting Ctrl+C again will initiate cold shutdown, terminating all "
           "running tasks!");
    shut_down(p, CEL_SHUTDOWN_WARM, 1);
}

static void on_hangup(struct cel_program *p)
{
    if (isatty(STDIN_FILENO)) {
        cel_log(CELERY_LOG_WARNING, "SIGHUP on a terminal is ignored");
        return;
    }
    if (p->w->shutdown != CEL_SHUTDOWN_NONE) {
        return; /* it ends, or is being restarted */
    }
    p->again = p->w->again = true;
    cel_log(CELERY_LOG_WARNING, "Restarting celery worker (%s)", p->line.program);
    cel_worker_shutdown(p->w, CEL_SHUTDOWN_WARM);
}

/* Celery dumps its threads' stacks here; what there is to know of this worker is this. */
static void dump_state(struct celery_worker *w)
{
    struct cel_list *it;
    struct cel_list *next;

    cel_log(CELERY_LOG_WARNING,
            "%zu messages held, %zu in the pool, %zu results not stored", w->n_requests,
            w->n_running, cel_results_waiting(w->results));
    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        cel_log(CELERY_LOG_WARNING, "  %s[%s] %s pid %d", cel_log_safe(r->job.call.task),
                cel_log_safe(r->job.call.id), cel_request_state_name(r->state), r->pid);
    }
}

/* The log file was moved away (log rotation). */
static void reopen_log(void)
{
    celery_error err = {0};

    if (cel_log_reopen(&err) < 0) {
        cel_log(CELERY_LOG_ERROR, "%s", err.message);
    }
}

static void on_signal(void *ctx, int signo)
{
    struct cel_program *p = ctx;

    switch (signo) {
    case SIGTERM:
        on_terminate(p);
        break;
    case SIGINT:
        on_interrupt(p);
        break;
    case SIGQUIT:
        shut_down(p, CEL_SHUTDOWN_COLD, 0);
        break;
    case SIGHUP:
        on_hangup(p);
        break;
    case SIGUSR1:
        dump_state(p->w);
        break;
    case SIGUSR2:
        reopen_log();
        break;
    default:
        break;
    }
}

celery_status cel_signals_watch(struct cel_program *p)
{
    const char *remap = getenv("REMAP_SIGTERM");
    celery_status status = CELERY_OK;

    p->remap_term = remap && strcmp(remap, "SIGQUIT") == 0;
    for (size_t i = 0; i < CEL_PROGRAM_SIGNALS && status == CELERY_OK; i++) {
        status =
            cel_loop_add_signal(p->w->loop, &p->sources[i], signals[i], on_signal, p);
        for (int n = atomic_exchange(&kept[i], 0); n > 0 && status == CELERY_OK; n--) {
            raise(signals[i]); /* for the loop, which is not running yet */
        }
    }
    return status;
}

void cel_signals_forget(struct cel_program *p)
{
    for (size_t i = 0; i < CEL_PROGRAM_SIGNALS; i++) {
        p->sources[i] = cel_source_free(p->sources[i]);
    }
}
