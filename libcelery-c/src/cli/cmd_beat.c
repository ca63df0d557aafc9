/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c beat: sends periodic tasks (celery/bin/beat.py). */
#include "cli/pidfile.h"
#include "cli/session.h"

#include <celery/beat.h>
#include <celery/log.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct beat_args {
    const char *schedule;
    const char *schedule_file;
    const char *loglevel;
    const char *logfile;
    const char *pidfile;
    double max_interval;
    bool detach;
};

#define FIELD(member) offsetof(struct beat_args, member)
#define BEAT          "Beat Options"
#define LEVELS        "DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL"

/* clang-format off */
static const struct opt options[] = {
    {'s', "schedule", OPT_TEXT, FIELD(schedule), "FILE", "File that keeps when tasks ran (beat_schedule_filename).", BEAT},
    {0, "schedule-file", OPT_TEXT, FIELD(schedule_file), "FILE", "JSON map of the periodic tasks, in place of beat_schedule.", BEAT},
    {0, "max-interval", OPT_SECONDS, FIELD(max_interval), "SECONDS", "Most seconds to sleep (beat_max_loop_interval).", BEAT},
    {'l', "loglevel", OPT_TEXT, FIELD(loglevel), "LEVEL", "Logging level: DEBUG, INFO, WARNING, ERROR or CRITICAL.", BEAT},
    {'f', "logfile", OPT_TEXT, FIELD(logfile), "FILE", "Log to this file; default: standard error.", BEAT},
    {0, "pidfile", OPT_TEXT, FIELD(pidfile), "FILE", "File with the process id; not started if that process lives.", BEAT},
    {0, "detach", OPT_SWITCH, FIELD(detach), NULL, "Not supported: let systemd or a container run it.", BEAT},
    {'S', "scheduler", OPT_IGNORED_VALUE, 0, "CLASS", "A Python class; of no effect.", BEAT},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

/* What a signal handler may touch. */
static celery_beat *volatile beating;
static volatile sig_atomic_t reload;
static volatile sig_atomic_t ended;

static void on_signal(int signo)
{
    if (signo == SIGHUP) {
        reload = 1;
    } else {
        ended = 1;
    }
    celery_beat_stop(beating);
}

static void watch_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* ---- options ---- */

static const struct {
    const char *name;
    celery_log_level level;
} levels[] = {
    {"DEBUG", CELERY_LOG_DEBUG},     {"INFO", CELERY_LOG_INFO},
    {"WARNING", CELERY_LOG_WARNING}, {"WARN", CELERY_LOG_WARNING},
    {"ERROR", CELERY_LOG_ERROR},     {"CRITICAL", CELERY_LOG_CRITICAL},
    {"FATAL", CELERY_LOG_CRITICAL},
};

static int set_log(const struct line *line, const struct beat_args *a)
{
    celery_log_level level = CELERY_LOG_WARNING;
    size_t i = 0;

    if (a->loglevel) {
        while (i < sizeof levels / sizeof levels[0] &&
               strcasecmp(a->loglevel, levels[i].name) != 0) {
            i++;
        }
        if (i == sizeof levels / sizeof levels[0]) {
            return opt_invalid(line, "loglevel", "'%s' is not one of %s.", a->loglevel,
                               LEVELS);
        }
        level = levels[i].level;
    }
    celery_log_set_level(level);
    if (a->logfile) {
        int fd = open(a->logfile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
            fprintf(stderr, "Error: %s: %s\n", a->logfile, strerror(errno));
            return 1;
        }
        close(fd);
    }
    return OPT_GO;
}

static int set(celery_app *app, const char *key, const char *value)
{
    celery_error err = {0};

    if (value && celery_app_set(app, key, value, &err) < 0) {
        return session_failed(&err, 1);
    }
    return OPT_GO;
}

/* The whole file, NUL-terminated, or NULL after a message. */
static char *read_file(const char *path)
{
    FILE *in = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;

    /* A file has no NUL, so this delimiter reads it all. */
    if (!in || getdelim(&text, &size, '\0', in) < 0) {
        fprintf(stderr, "Error: %s: %s\n", path,
                in ? "empty or unreadable" : strerror(errno));
        free(text);
        text = NULL;
    }
    if (in) {
        fclose(in);
    }
    return text;
}

static int apply(celery_app *app, const struct beat_args *a)
{
    char number[32];
    int code = set(app, "beat_schedule_filename", a->schedule);

    if (code == OPT_GO && a->max_interval > 0) {
        snprintf(number, sizeof number, "%.6f", a->max_interval);
        code = set(app, "beat_max_loop_interval", number);
    }
    if (code == OPT_GO && a->schedule_file) {
        char *text = read_file(a->schedule_file);

        code = text ? set(app, "beat_schedule", text) : 1;
        free(text);
    }
    return code;
}

/* ---- running ---- */

/* SIGHUP: files and environment are read anew; what is wrong with them changes nothing. */
static void read_again(const struct line *first, const struct beat_args *a)
{
    struct line line = *first;
    struct session s;
    celery_error err = {0};

    line.globals.workdir = NULL; /* we are there */
    if (session_app(&s, &line) == OPT_GO && apply(s.app, a) == OPT_GO) {
        if (celery_beat_set_schedule(beating, celery_app_get(s.app, "beat_schedule"),
                                     &err) < 0) {
            celery_log(CELERY_LOG_ERROR, "beat: The schedule stays as it was: %s",
                       err.message);
        } else {
            celery_log(CELERY_LOG_WARNING, "beat: Schedule read again: %zu entries",
                       celery_beat_n_entries(beating));
        }
    }
    session_end(&s);
}

static int beat(const struct line *line, const struct beat_args *a)
{
    celery_error err = {0};
    celery_status status = CELERY_OK;

    celery_log(CELERY_LOG_INFO, "beat: Starting...");
    while (!ended && status == CELERY_OK) {
        status = celery_beat_run(beating, &err);
        if (reload && !ended && status == CELERY_OK) {
            reload = 0;
            read_again(line, a);
        }
    }
    if (status < 0) {
        return session_failed(&err, 1);
    }
    celery_log(CELERY_LOG_INFO, "beat: Shutting down...");
    return 0;
}

static int with_app(struct session *s, const struct line *line, const struct beat_args *a)
{
    celery_error err = {0};
    int code = apply(s->app, a);

    if (code != OPT_GO) {
        return code;
    }
    beating = celery_beat_new(s->app, &err);
    if (!beating) {
        return session_failed(&err, 1);
    }
    if (!line->globals.quiet) {
        printf("celery-c beat %s is starting.\n", celery_version());
        printf("Configuration ->\n    . entries -> %zu\n    . lock -> %s\n",
               celery_beat_n_entries(beating), celery_app_get(s->app, "beat_c_lock"));
        fflush(stdout);
    }
    watch_signals();
    code = beat(line, a);
    celery_beat *gone = beating;

    beating = NULL;
    celery_beat_free(gone);
    return code;
}

static int run(int argc, char **argv)
{
    struct beat_args a = {0};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_beat, argc, argv, &a, &line);

    if (code == OPT_GO && a.detach) {
        code = opt_usage(line.program, &cmd_beat,
                         "--detach is not supported: run it under systemd "
                         "(celery-c-beat.service) or in a container.");
    }
    if (code == OPT_GO) {
        code = set_log(&line, &a);
    }
    if (code != OPT_GO) {
        return code;
    }
    code = session_app(&s, &line);
    if (code == OPT_GO && a.pidfile) {
        code = pidfile_make(a.pidfile);
    }
    if (code == OPT_GO) {
        code = with_app(&s, &line, &a);
        pidfile_remove(a.pidfile);
    }
    session_end(&s);
    return code;
}

const struct command cmd_beat = {
    .name = "beat",
    .group = "Workers",
    .summary = "Send periodic tasks.",
    .about =
        "  The tasks are those of beat_schedule in the configuration file (--config), or "
        "of --schedule-file.\n  Several beats of one broker agree who sends; SIGHUP "
        "reads the schedule again.",
    .options = options,
    .run = run,
};
