/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c: finds the command, runs it. */
#include "cli/opt.h"

#include <celery/app.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *command_name(const void *ctx, size_t i)
{
    (void)ctx;
    return commands[i] ? commands[i]->name : NULL;
}

static int unknown(const char *program, const char *word)
{
    char near[128];

    if (opt_nearest(word, command_name, NULL, "", near, sizeof near) == 0) {
        return opt_usage(program, NULL, "No such command '%.64s'.", word);
    }
    return opt_usage(program, NULL, "No such command '%.64s'. Did you mean %s?", word,
                     near);
}

static int run(int argc, char **argv)
{
    int at = opt_command(argc, argv);

    if (at > 0) {
        for (size_t i = 0; commands[i]; i++) {
            if (strcmp(argv[at], commands[i]->name) == 0) {
                return commands[i]->run(argc, argv);
            }
        }
        return unknown(opt_program(argv), argv[at]);
    }
    if (opt_global(argc, argv, "version")) {
        printf("%s (libcelery-c)\n", celery_version());
        return 0;
    }
    opt_help(opt_program(argv), NULL);
    return argc > 1 ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    control_fill_verbs();
    int code = run(argc, argv);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE) {
            fprintf(stderr, "Error: standard output: %s\n", strerror(errno));
        }
        return code ? code : 1;
    }
    return code;
}
