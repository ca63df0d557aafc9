/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of `celery worker` (celery/bin/worker.py, celery/bin/celery.py). */
#ifndef CEL_WORKER_CMDLINE_H
#define CEL_WORKER_CMDLINE_H

#include "config/config.h"
#include <celery/log.h>

struct cel_cmdline {
    const char *program;
    const char *app_name; /* -A */
    const char *workdir;
    const char *config; /* --config FILE */
    const char *log_file;
    const char *pid_file;
    const char *uid;
    const char *gid;
    const char *umask;
    celery_log_level level;
    bool quiet;
    bool no_color;
    bool detach;
    bool purge;
    bool beat; /* -B */
    bool json;
    bool help;
    bool version;
    uint64_t ignored; /* options that mean nothing here, by their place in the table */
};

/* What the parser says; the exit code is 2 for USAGE, as click's. */
enum cel_cmdline_answer { CEL_CMDLINE_RUN, CEL_CMDLINE_HELP, CEL_CMDLINE_USAGE };

/*
 * Reads argv[1..].  Options for settings go into config (origin: command line) when it is not
 * NULL.  Messages for the user go to standard error: one line that says what to do.
 */
enum cel_cmdline_answer cel_cmdline_parse(struct cel_cmdline *line,
                                          struct cel_config *config, int argc,
                                          char **argv);

/* Warns of them, when it is known how lines are to be written. */
void cel_cmdline_tell_ignored(const struct cel_cmdline *line);

void cel_cmdline_help(const char *program);

#endif
