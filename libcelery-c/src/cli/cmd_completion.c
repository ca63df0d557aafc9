/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c completion: scripts for shells, made of the tables of options. */
#include "cli/completion.h"
#include "cli/opt.h"

#include <celery/worker.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- all options of a command ---- */

static void add(struct options *list, const struct opt *o)
{
    if (list->n < OPTIONS_MAX) {
        list->all[list->n++] = *o;
    }
}

static void add_of_worker(void *ctx, char letter, const char *name, const char *value,
                          const char *help)
{
    const struct opt o = {.letter = letter,
                          .name = name,
                          .kind = value ? OPT_TEXT : OPT_SWITCH,
                          .value = value,
                          .help = help};

    add(ctx, &o);
}

void options_of(const struct command *command, struct options *ret)
{
    ret->n = 0;
    if (command == &cmd_worker) {
        celery_worker_options(add_of_worker, ret); /* global ones are among them */
        return;
    }
    for (const struct opt *o = command ? command->options : NULL; o && o->name; o++) {
        add(ret, o);
    }
    for (const struct opt *o = opt_globals; o->name; o++) {
        bool taken = false;

        for (size_t i = 0; i < ret->n; i++) {
            taken |= o->letter && ret->all[i].letter == o->letter;
        }
        add(ret, o);
        if (taken) {
            ret->all[ret->n - 1].letter = 0;
        }
    }
}

bool option_takes_value(const struct opt *o)
{
    return o->kind != OPT_SWITCH && o->kind != OPT_IGNORED;
}

bool option_is_file(const struct opt *o)
{
    static const char *const values[] = {"FILE", "DIR", "PATH"};

    for (size_t i = 0; o->value && i < sizeof values / sizeof values[0]; i++) {
        if (strcmp(o->value, values[i]) == 0) {
            return true;
        }
    }
    return strcmp(o->name, "app") == 0; /* a shared object, maybe */
}

/* ---- the command ---- */

static const struct {
    const char *name;
    void (*print)(FILE *out);
} shells[] = {{"bash", bash_print}, {"zsh", zsh_print}, {"fish", fish_print}};

static const struct verb verbs[] = {
    {"bash", NULL, "To be sourced, or share/bash-completion/completions/celery-c."},
    {"zsh", NULL, "A file _celery-c in a folder of $fpath."},
    {"fish", NULL, "share/fish/vendor_completions.d/celery-c.fish."},
    {NULL, NULL, NULL},
};

static int run(int argc, char **argv)
{
    struct line line;
    int code = opt_parse(&cmd_completion, argc, argv, NULL, &line);

    if (code != OPT_GO) {
        return code;
    }
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(line.words[0], shells[i].name) == 0) {
            shells[i].print(stdout);
            return 0;
        }
    }
    return opt_usage(line.program, &cmd_completion,
                     "No such shell '%.64s': bash, zsh or fish.", line.words[0]);
}

const struct command cmd_completion = {
    .name = "completion",
    .group = "Other",
    .summary = "Print a completion script for a shell.",
    .words = "SHELL",
    .verbs = verbs,
    .run = run,
};
