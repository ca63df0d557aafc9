/* SPDX-License-Identifier: BSD-3-Clause */
/* All commands. */
#include "cli/command.h"

/* Commands of one group stand together. */
const struct command *const commands[] = {
    &cmd_worker,
    &cmd_dead,
    &cmd_report,
    NULL,
};
