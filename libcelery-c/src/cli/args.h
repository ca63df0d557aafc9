/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking through a command line before its command parses it. */
#ifndef CEL_CLI_ARGS_H
#define CEL_CLI_ARGS_H

/*
 * The value of a global option (-A x, -Ax, --app x, --app=x), or NULL.  letter 0: it has
 * only the long form.
 */
const char *args_option(int argc, char **argv, char letter, const char *name);

/* Index of the first word that is neither a global option nor the value of one; 0: none. */
int args_command(int argc, char **argv);

#endif
