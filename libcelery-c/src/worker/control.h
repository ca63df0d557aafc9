/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Remote control of this worker (celery/worker/pidbox.py, celery/worker/control.py): commands
 * come as broadcasts, are carried out a few in a pass of the loop, and are answered to a queue
 * of the sender.
 */
#ifndef CEL_WORKER_CONTROL_H
#define CEL_WORKER_CONTROL_H

#include "message/control.h"
#include "worker/worker.h"

struct cel_control;

/* One command while it is carried out. */
struct cel_control_call {
    struct celery_worker *w;
    struct cel_arena *arena;     /* of the value that is answered; has a ceiling */
    const struct cel_node *args; /* an object, checked against the parameters; or NULL */
    bool read_only;              /* hardened: nothing may change */
    bool silent;                 /* no reply, whoever asked */
};

struct cel_control_command {
    const char *name;
    const char *alias; /* the older name, or NULL */
    /* Names; required ones, then "|", then optional ones; "*" at the end: any others too. */
    const char *parameters;
    bool reads_only; /* changes nothing, so that a hardened worker does it too */
    /* The value to be answered; NULL: there was no memory, or it is too large. */
    struct cel_node *(*fn)(struct cel_control_call *c);
};

/* The tables, ended by a row without a name. */
extern const struct cel_control_command cel_control_inspect[];
extern const struct cel_control_command cel_control_change[];

/* Subscribes the link, which must not be started.  *ret_control: NULL when it is off. */
celery_status cel_control_new(struct celery_worker *w, struct cel_control **ret_control,
                              celery_error *err);
struct cel_control *cel_control_free(struct cel_control *control);

/* ---- for the commands ---- */

/* The argument, or NULL when it is absent or None. */
const struct cel_node *cel_control_arg(const struct cel_control_call *c,
                                       const char *name);

/* {"ok": text}, {"error": text} and {"error": repr of the exception}. */
struct cel_node *cel_control_ok(struct cel_control_call *c, const char *fmt, ...)
    CELERY_PRINTF(2, 3);
struct cel_node *cel_control_error(struct cel_control_call *c, const char *fmt, ...)
    CELERY_PRINTF(2, 3);
struct cel_node *cel_control_raise(struct cel_control_call *c, const char *exception,
                                   const char *fmt, ...) CELERY_PRINTF(3, 4);

/* {key: value} of one member; NULL when value is. */
struct cel_node *cel_control_map(struct cel_control_call *c, const char *key,
                                 struct cel_node *value);

/* The text that was put together, or NULL. */
struct cel_node *cel_control_text(struct cel_control_call *c, const struct cel_buf *text);

#endif
