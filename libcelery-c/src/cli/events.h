/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of `celery-c events` share. */
#ifndef CEL_CLI_EVENTS_H
#define CEL_CLI_EVENTS_H

#include "cli/session.h"
#include <celery/events.h>
#include <celery/state.h>

struct events_args {
    bool dump;
    bool json;
    double frequency;
    const char *camera; /* what follows is of Python's snapshots */
    bool detach;
    const char *maxrate, *pidfile, *logfile, *uid, *gid, *umask, *executable;
};

/* ---- events_dump.c ---- */

/* One line an event until a signal comes.  The exit code. */
int events_dump(struct session *s, const struct events_args *args);

/* ---- events_top.c ---- */

/* The live view; standard input and output are a terminal. */
int events_top(struct session *s, const struct events_args *args);

/* ---- cmd_events.c ---- */

/* SIGINT, SIGTERM and SIGHUP end celery_events_run() of this receiver; NULL: no more. */
void events_stop_on_signals(celery_events *events);

#endif
