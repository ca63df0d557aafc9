/* SPDX-License-Identifier: BSD-3-Clause */
/* What the programs of the benchmark share: options, clock, and messages with fresh ids. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <hiredis/hiredis.h>
#include <stddef.h>

#define TOOL_ID_LEN 36

/* A message as Celery made it, cut at the places where its id and its tag stand. */
struct tool_template {
    char *text;
    size_t len;
    size_t at[16]; /* offsets of the task's id */
    size_t n_at;
    size_t tag; /* offset of the delivery tag */
};

/* Value of --name, or fallback. */
const char *tool_option(int argc, char **argv, const char *name, const char *fallback);
long tool_number(int argc, char **argv, const char *name, long fallback);

/* Seconds of the monotonic clock. */
double tool_now(void);

/* Connects to --port on 127.0.0.1 or ends the program. */
redisContext *tool_connect(int argc, char **argv);

/* Reads --template, in which --id and --tag stand; ends the program when it cannot. */
void tool_template_load(struct tool_template *t, int argc, char **argv);

/* Writes the nth id and tag into the template's text; ret_id gets the id, with its NUL. */
void tool_template_number(struct tool_template *t, unsigned seed, unsigned long n,
                          char ret_id[TOOL_ID_LEN + 1]);

/*
 * Waits on a PSUBSCRIBE of results for the message that says this id is done; its channel is the
 * result's key.
 */
void tool_wait_result(redisContext *c, const char *id);

/* Sorts n times in microseconds and prints {"p50": ..., "p99": ..., "n": ...}. */
void tool_print_times(double *took, long n);

#endif
