/* SPDX-License-Identifier: BSD-3-Clause */
/* celery_worker_main(): from the command line to the exit code. */
#include "base/error.h"
#include "base/log.h"
#include "worker/banner.h"
#include "worker/cmdline.h"
#include "worker/process.h"
#include "worker/request.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

struct program {
    struct celery_worker *w;
    struct cel_cmdline line;
    char **argv;
    bool interrupted; /* one SIGINT was there */
    bool quit;        /* cold shutdown was asked for */
    bool again;       /* SIGHUP: run this program anew */
    bool remap_term;  /* REMAP_SIGTERM=SIGQUIT */
};

static void say(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

static void shut_down(struct program *p, enum cel_shutdown how, int exit_code)
{
    say(how == CEL_SHUTDOWN_COLD ? "\nworker: Cold shutdown (MainProcess)"
                                 : "\nworker: Warm shutdown (MainProcess)");
    if (p->w->exit_code == 0) {
        p->w->exit_code = exit_code;
    }
    p->quit |= how == CEL_SHUTDOWN_COLD;
    cel_worker_shutdown(p->w, how);
}

static void on_interrupt(struct program *p)
{
    if (p->interrupted || p->w->shutdown != CEL_SHUTDOWN_NONE) {
        shut_down(p, CEL_SHUTDOWN_COLD, 1);
        return;
    }
    p->interrupted = true;
    say("\nworker: Hitting Ctrl+C again will initiate cold shutdown, terminating all "
        "running tasks!");
    shut_down(p, CEL_SHUTDOWN_WARM, 1);
}

static void on_hangup(struct program *p)
{
    if (isatty(STDIN_FILENO)) {
        cel_log(CELERY_LOG_WARNING, "SIGHUP on a terminal is ignored");
        return;
    }
    p->again = true;
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

static void on_signal(void *ctx, int signo)
{
    struct program *p = ctx;

    switch (signo) {
    case SIGTERM:
        if (p->quit) {
            p->w->exit_code = 1;
            cel_loop_stop(p->w->loop);
            break;
        }
        shut_down(p, p->remap_term ? CEL_SHUTDOWN_COLD : CEL_SHUTDOWN_WARM, 0);
        break;
    case SIGINT:
        if (p->quit) {
            p->w->exit_code = 1;
            cel_loop_stop(p->w->loop);
            break;
        }
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
    default:
        break;
    }
}

static celery_status watch_signals(struct program *p, struct cel_source **sources)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1};
    const char *remap = getenv("REMAP_SIGTERM");
    celery_status status = CELERY_OK;

    p->remap_term = remap && strcmp(remap, "SIGQUIT") == 0;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0] && status == CELERY_OK;
         i++) {
        status = cel_loop_add_signal(p->w->loop, &sources[i], signals[i], on_signal, p);
    }
    return status;
}

static void on_ready(struct celery_worker *w)
{
    cel_log(CELERY_LOG_INFO, "%s ready.", w->hostname);
}

/* Settings from outside: file < environment; the API's and the command line's are there. */
static celery_status read_settings(celery_app *app, const struct cel_cmdline *line,
                                   celery_error *err)
{
    celery_status status = CELERY_OK;

    if (line->workdir && chdir(line->workdir) < 0) {
        return cel_error_sys(err, CELERY_ECONFIG, errno, "--workdir %s", line->workdir);
    }
    if (line->config) {
        status = cel_config_load_file(app->config, line->config, err);
    }
    if (status == CELERY_OK) {
        status = cel_config_load_env(app->config, environ, err);
    }
    return status;
}

static void set_up_log(const struct cel_cmdline *line, const struct cel_config *c)
{
    cel_log_set_process("MainProcess");
    cel_log_set_json(line->json || cel_config_bool(c, "worker_log_json"));
    if (line->no_color || getenv("NO_COLOR")) {
        cel_log_set_color(0);
    }
    celery_log_set_level(line->level);
}

static int fail(int code, const celery_error *err)
{
    fprintf(stderr, "Error: %s\n", err->message);
    return code;
}

static int run(struct program *p)
{
    struct cel_source *sources[5] = {NULL};
    celery_error err = {0};
    struct celery_worker *w = p->w;

    w->purge = p->line.purge;
    w->on_ready = on_ready;
    if (!p->line.quiet) {
        cel_banner(w, p->line.level);
    }
    cel_process_warn_root();
    celery_status status = cel_worker_start(w, &err);
    if (status == CELERY_OK) {
        status = watch_signals(p, sources);
    }
    if (status < 0) {
        return fail(1, &err);
    }
    int code = cel_worker_loop(w);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        cel_source_free(sources[i]);
    }
    return code == 0 && w->abandoned && !p->quit ? 1 : code;
}

static int with_app(celery_app *app, struct program *p)
{
    celery_error err = {0};

    if (read_settings(app, &p->line, &err) < 0) {
        return fail(1, &err);
    }
    set_up_log(&p->line, app->config);
    int code = cel_process_prepare(&p->line, &err);
    if (code != 0) {
        return fail(code, &err);
    }
    if (cel_worker_prepare(app, &p->w, &err) < 0) {
        code = fail(1, &err);
    } else {
        code = run(p);
    }
    celery_worker_free(p->w);
    cel_process_finish(&p->line);
    return code;
}

int celery_worker_main(celery_app *give_app, int argc, char **argv)
{
    struct program p = {.argv = argv};
    celery_app *app = give_app;
    int code = 1;

    if (!app) {
        fprintf(stderr, "Error: out of memory\n");
        return 1;
    }
    switch (cel_cmdline_parse(&p.line, app->config, argc, argv)) {
    case CEL_CMDLINE_RUN:
        code = with_app(app, &p);
        break;
    case CEL_CMDLINE_HELP:
        if (p.line.version) {
            printf("%s (libcelery-c)\n", celery_version());
        } else {
            cel_cmdline_help(p.line.program);
        }
        code = 0;
        break;
    case CEL_CMDLINE_USAGE:
        code = 2;
        break;
    }
    celery_app_free(app);
    if (p.again && code == 0) {
        execv("/proc/self/exe", argv);
        fprintf(stderr, "Error: cannot run %s again\n", argv[0]);
        code = 1;
    }
    return code;
}
