/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c events: what workers and clients tell (celery/bin/events.py). */
#include "cli/events.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(member) offsetof(struct events_args, member)
#define CAMERA        "Snapshots (in Python only)"

static const struct opt options[] = {
    {'d', "dump", OPT_SWITCH, FIELD(dump), NULL, "One line an event, as they come.",
     NULL},
    {0, "json", OPT_SWITCH, FIELD(json), NULL,
     "One JSON object an event, with all its fields.", NULL},
    {'F', "frequency", OPT_SECONDS, FIELD(frequency), "SECONDS",
     "How often the view is drawn anew; default: 1.", NULL},
    {0, "freq", OPT_SECONDS, FIELD(frequency), "SECONDS", "As --frequency.", NULL},
    {'l', "loglevel", OPT_IGNORED_VALUE, 0, "LEVEL", "Ignored.", NULL},
    {'c', "camera", OPT_TEXT, FIELD(camera), "CLASS", "A class in Python.", CAMERA},
    {0, "detach", OPT_SWITCH, FIELD(detach), NULL, "Run in the background.", CAMERA},
    {'r', "maxrate", OPT_TEXT, FIELD(maxrate), "RATE", "Of snapshots.", CAMERA},
    {'f', "logfile", OPT_TEXT, FIELD(logfile), "FILE", "In the background.", CAMERA},
    {0, "pidfile", OPT_TEXT, FIELD(pidfile), "FILE", "In the background.", CAMERA},
    {0, "uid", OPT_TEXT, FIELD(uid), "USER", "In the background.", CAMERA},
    {0, "gid", OPT_TEXT, FIELD(gid), "GROUP", "In the background.", CAMERA},
    {0, "umask", OPT_TEXT, FIELD(umask), "UMASK", "In the background.", CAMERA},
    {0, "executable", OPT_TEXT, FIELD(executable), "FILE", "In the background.", CAMERA},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

/* ---- signals ---- */

static celery_events *volatile to_stop;

static void on_signal(int signo)
{
    celery_events_stop(to_stop);
}

void events_stop_on_signals(celery_events *events)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};

    to_stop = events;
    for (size_t i = 0; events && i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], &action, NULL);
    }
}

/* ---- the command ---- */

static int refuse_camera(const struct line *line, const struct events_args *a)
{
    const struct {
        const char *name;
        bool given;
    } given[] = {
        {"camera", a->camera != NULL},
        {"detach", a->detach},
        {"maxrate", a->maxrate != NULL},
        {"logfile", a->logfile != NULL},
        {"pidfile", a->pidfile != NULL},
        {"uid", a->uid != NULL},
        {"gid", a->gid != NULL},
        {"umask", a->umask != NULL},
        {"executable", a->executable != NULL},
    };

    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i].given) {
            return opt_usage(line->program, line->command,
                             "--%s: snapshots are taken by a camera class in Python. Use "
                             "--json with a program of yours, or celery/state.h.",
                             given[i].name);
        }
    }
    return OPT_GO;
}

static bool can_show(void)
{
    const char *term = getenv("TERM");

    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
           strcmp(term, "dumb") != 0;
}

static int run(int argc, char **argv)
{
    struct events_args args = {.frequency = 1};
    struct session s;
    struct line line;
    int code = opt_parse(&cmd_events, argc, argv, &args, &line);

    if (code == OPT_GO) {
        code = refuse_camera(&line, &args);
    }
    if (code != OPT_GO) {
        return code;
    }
    if (!args.dump && !args.json && !can_show()) {
        return opt_usage(line.program, line.command,
                         "The live view needs a terminal. Use --dump or --json.");
    }
    code = session_app(&s, &line);
    if (code == OPT_GO) {
        code = args.dump || args.json ? events_dump(&s, &args) : events_top(&s, &args);
    }
    session_end(&s);
    return code;
}

const struct command cmd_events = {
    .name = "events",
    .group = "Monitoring",
    .summary = "Watch what workers and tasks do.",
    .about =
        "  A live view of workers and tasks, or with --dump or --json every event that\n"
        "  comes. Workers tell of tasks when they run with -E, or after the command\n"
        "  `control enable_events`.\n",
    .options = options,
    .run = run,
};
