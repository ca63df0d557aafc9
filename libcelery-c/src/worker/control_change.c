/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that change something. */
#include "worker/control_revoke.h"

const struct cel_control_command cel_control_change[] = {
    {"revoke", NULL, "task_id | terminate signal *", false, cel_control_revoke},
    {"terminate", NULL, "signal task_id | *", false, cel_control_terminate},
    {NULL, NULL, NULL, false, NULL},
};
