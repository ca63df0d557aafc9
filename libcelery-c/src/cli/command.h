/* SPDX-License-Identifier: BSD-3-Clause */
/* One command of celery-c: one table entry, one function, one file. */
#ifndef CEL_CLI_COMMAND_H
#define CEL_CLI_COMMAND_H

struct command {
    const char *name;
    const char *summary;
    /* argv is the whole command line.  Returns the exit code. */
    int (*run)(int argc, char **argv);
};

int cmd_worker(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_dead(int argc, char **argv);

#endif
