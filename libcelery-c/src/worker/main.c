/* SPDX-License-Identifier: BSD-3-Clause */
/* celery_worker_main(): from the command line to the exit code. */
#include "base/error.h"
#include "base/log.h"
#include "worker/banner.h"
#include "worker/embedded_beat.h"
#include "worker/init.h"
#include "worker/process.h"
#include "worker/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

static void on_ready(struct celery_worker *w)
{
    cel_log(CELERY_LOG_INFO, "%s ready.", w->hostname);
    cel_sdnotify_ready(w);
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

static void set_up_log(struct cel_cmdline *line, const struct cel_config *c)
{
    cel_log_set_process("MainProcess");
    line->json = line->json || cel_config_bool(c, "worker_log_json");
    cel_log_set_json(line->json);
    cel_log_set_dates(cel_config_text(c, "worker_log_datefmt"),
                      cel_config_text(c, "worker_task_log_datefmt"));
    if (line->no_color || getenv("NO_COLOR")) {
        cel_log_set_color(0);
    }
    celery_log_set_level(line->level);
}

static int fail(const struct cel_program *p, int code, const celery_error *err)
{
    if (p->line.json) {
        cel_log(CELERY_LOG_CRITICAL, "%s", err->message);
    } else {
        fprintf(stderr, "Error: %s\n", err->message);
    }
    return code;
}

static int run(struct cel_program *p)
{
    celery_error err = {0};
    struct celery_worker *w = p->w;

    w->purge = p->line.purge;
    w->on_ready = on_ready;
    if (!p->line.quiet && !p->line.json) {
        cel_banner(w, p->line.level);
    }
    cel_process_warn_root();
    celery_status status = cel_worker_start(w, &err);
    if (status == CELERY_OK && p->line.beat) {
        status = cel_embedded_beat_start(w->app, &w->beat, &err);
    }
    if (status == CELERY_OK) {
        status = cel_sdnotify_start(w, p->line.detach, &err);
    }
    if (status == CELERY_OK) {
        status = cel_signals_watch(p);
    }
    if (status < 0) {
        return fail(p, 1, &err);
    }
    int code = cel_worker_loop(w);
    cel_signals_forget(p);
    p->again = p->again && code == 0; /* also when tasks had to be ended for it */
    return code == 0 && w->abandoned ? 1 : code;
}

static int with_app(celery_app *app, struct cel_program *p)
{
    celery_error err = {0};
    int ended;

    if (cel_init_is_due() && cel_init_run(&ended)) {
        return ended;
    }
    cel_signals_hold();
    cel_again_prepare(p);
    if (read_settings(app, &p->line, &err) < 0) {
        return fail(p, 1, &err);
    }
    set_up_log(&p->line, app->config);
    cel_cmdline_tell_ignored(&p->line);
    int code = cel_process_prepare(&p->line, &err);
    if (code != 0) {
        return fail(p, code, &err);
    }
    if (cel_worker_prepare(app, &p->w, &err) < 0) {
        code = fail(p, 1, &err);
    } else {
        code = run(p);
    }
    celery_worker_free(p->w);
    cel_process_finish(&p->line);
    return code;
}

int celery_worker_main(celery_app *give_app, int argc, char **argv)
{
    struct cel_program p = {.argv = argv};
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
    if (p.again) {
        cel_again_exec(&p);
        fprintf(stderr, "Error: cannot run %s again\n", argv[0]);
        code = 1;
    }
    return code;
}
