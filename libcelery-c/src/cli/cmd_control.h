/* SPDX-License-Identifier: BSD-3-Clause */
/* What inspect, control and status share. */
#ifndef CEL_CLI_CMD_CONTROL_H
#define CEL_CLI_CMD_CONTROL_H

#include "cli/session.h"
#include <celery/control.h>

struct control_args {
    double timeout;
    const char *destination;
    const char *pattern;
    const char *matcher;
    bool json;
    bool list;
};

/* One question to the workers, and what becomes of the answers. */
struct control_run {
    struct session s;
    struct control_args args;
    const struct term *out;
    bool values; /* the answers are shown, not only who answered */
    bool quiet;
};

/* ---- control_print.c ---- */

/* "->  celery@host: OK" and below it the value (celery/bin/base.py say_chat(), pretty()). */
void control_print_reply(const struct control_run *r, const char *node,
                         const celery_value *value);

/* --json: `inspect` prints one map of nodes, `control` a list of maps. False: no memory. */
bool control_print_json(const celery_replies *replies, bool list);

#endif
