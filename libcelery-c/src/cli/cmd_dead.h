/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of `celery-c dead` share. */
#ifndef CEL_CLI_CMD_DEAD_H
#define CEL_CLI_CMD_DEAD_H

#include "cli/text.h"
#include <celery/dead.h>
#include <stdio.h>

struct dead_args {
    const char *queue;
    const char *which; /* INDEX or ID */
    bool json;
    bool raw;
    bool all;
    bool force;
};

struct dead_run {
    struct dead_args args;
    struct term out;
    celery_dead *dead;
    const char *queue;
};

/* ---- dead_print.c ---- */

void dead_print_entry(const celery_dead_entry *entry, bool json);

/* A table or JSON lines; the exit code. */
int dead_print_list(const struct dead_run *r);
int dead_print_queues(const struct dead_run *r);

#endif
