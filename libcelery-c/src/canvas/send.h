/* SPDX-License-Identifier: BSD-3-Clause */
/* One message while it is made, and reading its options; failures are the context's. */
#ifndef CEL_CANVAS_SEND_H
#define CEL_CANVAS_SEND_H

#include "canvas/sig.h"

/* One message in the making; everything short-lived is in the scratch arena. */
struct cel_sending {
    struct cel_ctx *x;
    const struct cel_call *call;
    const struct cel_opts *o;
    const struct cel_task_def *def; /* NULL: not registered */
    struct cel_task_send send;
    struct cel_route route;
    int64_t now;
    double delay; /* seconds until the ETA; 0: none */
    bool delayed; /* goes through native delayed delivery */
};

void cel_sending_wrong(const struct cel_sending *s, const char *key, const char *why);
/* NULL: absent or None. */
const struct cel_node *cel_sending_option(const struct cel_sending *s, const char *key);
struct cel_slice cel_sending_text(const struct cel_sending *s, const char *key);
/* NUL-terminated, the arena's; otherwise: when absent or empty. */
const char *cel_sending_text_or(const struct cel_sending *s, const char *key,
                                const char *otherwise);
int64_t cel_sending_int(const struct cel_sending *s, const char *key, int64_t otherwise);
bool cel_sending_is_number(const struct cel_node *n);
double cel_sending_seconds(const struct cel_sending *s, const char *key,
                           double otherwise);
/* An ISO 8601 text, or kombu's typed value of a datetime; {NULL, 0}: none. */
struct cel_slice cel_sending_instant(const struct cel_sending *s, const char *key,
                                     int64_t *ret_us);

#endif
