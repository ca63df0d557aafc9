/* SPDX-License-Identifier: BSD-3-Clause */
/* What a failure reaches; between continue_error.c, errback.c and chord_fail.c. */
#ifndef CEL_CANVAS_FAILING_H
#define CEL_CANVAS_FAILING_H

#include "canvas/continue.h"

struct cel_failing {
    const struct cel_canvas *c;
    struct cel_arena *a;
    const struct cel_continue_exc *exc;
    struct cel_effects *effects;
    struct cel_continue_copies *copies;
    celery_error *err; /* the first part that was skipped */
    bool nomem;
};

/* Who failed, as far as errbacks are told. */
struct cel_failed {
    struct cel_slice id;
    struct cel_slice root_id; /* empty: id */
    struct cel_slice parent_id;
    struct cel_slice group;
    struct cel_slice task;
    const struct cel_node *args; /* or NULL */
    const struct cel_node *kwargs;
    int64_t retries;
};

/* A part that is no signature is skipped; the first is told. */
void cel_failing_skip(struct cel_failing *f, const char *what);

/* A failure to make one message stops only that one. */
void cel_failing_note(struct cel_failing *f, celery_status status,
                      const celery_error *why);

celery_status cel_failing_end(struct cel_failing *f);

void cel_failing_add_copy(struct cel_failing *f, const struct cel_continue_copy *copy);

/* The steps in the order of the list; a chord's result is that of its body. */
void cel_failing_chain(struct cel_failing *f, const struct cel_node *chain);

/* _call_task_errbacks(): the old style as one group, with the id of the failed task. */
void cel_failing_call_errbacks(struct cel_failing *f, const struct cel_failed *who,
                               const struct cel_node *errbacks);

/* ---- looking at signatures ---- */

const struct cel_node *cel_failing_options(const struct cel_node *sig);
struct cel_slice cel_failing_option(const struct cel_node *sig, const char *name);
bool cel_failing_is_type(const struct cel_node *sig, const char *type);
const struct cel_node *cel_failing_kwarg(const struct cel_node *sig, const char *name);
/* A list of what may be one thing or a list; NULL: nothing. */
const struct cel_node *cel_failing_list(struct cel_arena *a, const struct cel_node *n);

#endif
