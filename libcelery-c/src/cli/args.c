/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/args.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Global options of celery/bin/celery.py that take a value. */
static const struct {
    char letter;
    const char *name;
} with_value[] = {
    {'A', "app"},  {'b', "broker"}, {0, "result-backend"},
    {0, "loader"}, {0, "config"},   {0, "workdir"},
};

/* If argv[at] is this option: its value, with *next behind it; otherwise NULL. */
static const char *match(int argc, char **argv, int at, char letter, const char *name,
                         int *next)
{
    const char *word = argv[at];
    size_t len = strlen(name);

    *next = at + 1;
    if (letter && word[0] == '-' && word[1] == letter) {
        if (word[2]) {
            return word[2] == '=' ? word + 3 : word + 2;
        }
    } else if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, len) == 0 &&
               word[2 + len] == '=') {
        return word + 3 + len;
    } else if (strncmp(word, "--", 2) != 0 || strcmp(word + 2, name) != 0) {
        return NULL;
    }
    *next = at + 2;
    return at + 1 < argc ? argv[at + 1] : "";
}

const char *args_option(int argc, char **argv, char letter, const char *name)
{
    for (int i = 1; i < argc; i++) {
        int next;
        const char *value = match(argc, argv, i, letter, name, &next);

        if (value) {
            return value;
        }
    }
    return NULL;
}

int args_command(int argc, char **argv)
{
    for (int i = 1; i < argc;) {
        int next = i + 1;
        bool option = argv[i][0] == '-';

        for (size_t k = 0; option && k < sizeof with_value / sizeof with_value[0]; k++) {
            if (match(argc, argv, i, with_value[k].letter, with_value[k].name, &next)) {
                break;
            }
        }
        if (!option) {
            return i;
        }
        i = next;
    }
    return 0;
}
