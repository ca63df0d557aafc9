/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker as a program: its command line, its signals, and how it is run again. */
#ifndef CEL_WORKER_PROGRAM_H
#define CEL_WORKER_PROGRAM_H

#include "worker/cmdline.h"
#include "worker/worker.h"

enum { CEL_PROGRAM_SIGNALS = 6 };

struct cel_program {
    struct celery_worker *w;
    struct cel_cmdline line;
    char **argv;
    struct cel_source *sources[CEL_PROGRAM_SIGNALS];
    bool interrupted; /* one SIGINT was there */
    bool quit;        /* cold shutdown was asked for */
    bool again;       /* SIGHUP: run this program anew */
    bool remap_term;  /* REMAP_SIGTERM=SIGQUIT */
    int folder;       /* where it was started; -1: unknown */
    char path[4096];  /* of the executable; empty: unknown */
};

/*
 * First of all: signals that come before there is a loop are kept, not taken by their default
 * action, which for process 1 is none.
 */
void cel_signals_hold(void);

/* From now on they are acted upon; also those that were kept. */
celery_status cel_signals_watch(struct cel_program *p);
void cel_signals_forget(struct cel_program *p);

/* ---- again.c ---- */

/* Remembers how it was started; before anything changes the folder. */
void cel_again_prepare(struct cel_program *p);

/* Whether this process is one that cel_again_exec() made: it is in the background already. */
bool cel_again_is(void);

/* Runs the program anew, as the same process.  Returns if that fails. */
void cel_again_exec(struct cel_program *p);

#endif
