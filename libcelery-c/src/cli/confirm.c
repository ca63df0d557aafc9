/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/confirm.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int confirm_possible(const struct line *line, bool force)
{
    if (force || isatty(STDIN_FILENO)) {
        return OPT_GO;
    }
    return opt_usage(line->program, line->command,
                     "it asks first, and nobody is there to answer: add -f");
}

int confirm_ask(const char *question)
{
    char answer[64] = "";

    fprintf(stderr, "%s [y/N]: ", question);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin)) {
        answer[strcspn(answer, "\r\n")] = 0;
        if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0) {
            return OPT_GO;
        }
    }
    fprintf(stderr, "Aborted!\n");
    return 1;
}
