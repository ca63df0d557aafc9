/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding a command by name, checking its arguments as Python does, carrying it out. */
#ifndef CEL_WORKER_CONTROL_CALL_H
#define CEL_WORKER_CONTROL_CALL_H

#include "worker/control.h"

/* Changes that a hardened worker was asked for are refused. */
struct cel_node *cel_control_run(struct cel_control_call *c,
                                 const struct cel_command *command);

#endif
