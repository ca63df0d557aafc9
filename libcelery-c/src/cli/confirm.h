/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking before something cannot be undone. */
#ifndef CEL_CLI_CONFIRM_H
#define CEL_CLI_CONFIRM_H

#include "cli/opt.h"

/*
 * Before anything is opened: may the command ask?  OPT_GO when force is given or standard
 * input is a terminal; otherwise EXIT_USAGE after "... nobody is there to answer: add -f".
 */
int confirm_possible(const struct line *line, bool force);

/*
 * Prints the question with " [y/N]: " on standard error and reads a line.  OPT_GO for "y" or
 * "yes"; otherwise 1 after "Aborted!", as click has it.
 */
int confirm_ask(const char *question);

#endif
