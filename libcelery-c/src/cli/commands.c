/* SPDX-License-Identifier: BSD-3-Clause */
/* All commands. */
#include "cli/command.h"

/* Commands of one group stand together. */
/* clang-format off */
const struct command *const commands[] = {
    &cmd_worker, &cmd_beat, &cmd_health,

    &cmd_call,
    &cmd_result,

    &cmd_purge,
    &cmd_list,
    &cmd_migrate,
    &cmd_dead,
    &cmd_queue,

    &cmd_inspect,
    &cmd_control,
    &cmd_status,
    &cmd_events,

    &cmd_completion,
    &cmd_report,
    NULL,
};
/* clang-format on */
