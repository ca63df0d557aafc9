/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c: finds the command, runs it. */
#include "cli/args.h"
#include "cli/command.h"

#include <celery/app.h>
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
    {"worker", "Run a worker.", cmd_worker},
    {"dead", "List, replay and purge what workers have parked.", cmd_dead},
    {"report", "Say what this build can do.", cmd_report},
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static int help(const char *program)
{
    printf("Usage: %s [OPTIONS] COMMAND [ARGS]...\n\n  Celery workers and tools in C.\n\n"
           "Options:\n"
           "  -A, --app NAME         Application: a shared object of tasks.\n"
           "  -b, --broker URL       Broker.\n"
           "      --result-backend URL\n"
           "      --config FILE      JSON file of settings.\n"
           "      --workdir DIR      Change to this folder first.\n"
           "  -C, --no-color         No colours.\n"
           "  -q, --quiet            No banner.\n"
           "      --version          Print the version and exit.\n"
           "      --help             Show this text and exit.\n\nCommands:\n",
           program);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    return 0;
}

static int unknown(const char *program, const char *word)
{
    fprintf(stderr,
            "Usage: %s [OPTIONS] COMMAND [ARGS]...\nTry '%s --help' for help.\n\n"
            "Error: No such command '%.64s'.\n",
            program, program, word);
    return 2;
}

int main(int argc, char **argv)
{
    int at = args_command(argc, argv);

    if (at > 0) {
        for (size_t i = 0; i < N_COMMANDS; i++) {
            if (strcmp(argv[at], commands[i].name) == 0) {
                return commands[i].run(argc, argv);
            }
        }
        return unknown(argv[0], argv[at]);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s (libcelery-c)\n", celery_version());
            return 0;
        }
    }
    help(argv[0]);
    return argc > 1 ? 0 : 2;
}
