/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion scripts: what their writers share. */
#ifndef CEL_CLI_COMPLETION_H
#define CEL_CLI_COMPLETION_H

#include "cli/opt.h"
#include <stdio.h>

enum { OPTIONS_MAX = 128 };

struct options {
    struct opt all[OPTIONS_MAX];
    size_t n;
};

/* All options of a command, the global ones too; NULL: those alone. */
void options_of(const struct command *command, struct options *ret);

bool option_takes_value(const struct opt *o);
bool option_is_file(const struct opt *o);

/* The scripts. */
void bash_print(FILE *out);
void zsh_print(FILE *out);
void fish_print(FILE *out);

#endif
