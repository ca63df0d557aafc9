/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of `celery-c dead` share. */
#ifndef CEL_CLI_CMD_DEAD_H
#define CEL_CLI_CMD_DEAD_H

#include <celery/dead.h>
#include <stdio.h>

struct dead_args {
    const char *broker;
    const char *config;
    const char *app;
    const char *workdir;
    const char *backend; /* understood, not needed */
    const char *queue;
    const char *verb;
    const char *which; /* INDEX or ID */
    bool json;
    bool raw;
    bool all;
    bool force;
    bool help;
};

struct dead_run {
    struct dead_args args;
    celery_dead *dead;
    const char *queue;
};

/* ---- dead_print.c ---- */

/* Printable ASCII as it is, a backslash twice, everything else as \xNN. */
void dead_print_bytes(FILE *out, const void *bytes, size_t size);

/* The same, but letters outside ASCII stay: for texts that are escaped already. */
void dead_print_text(FILE *out, const char *text, size_t size);

void dead_print_entry(const celery_dead_entry *entry, bool json);
celery_status dead_print_list(struct dead_run *r, celery_error *err);
celery_status dead_print_queues(struct dead_run *r, celery_error *err);

#endif
