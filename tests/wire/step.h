/* SPDX-License-Identifier: BSD-3-Clause */
/* One step of a flow while it is replayed. */
#ifndef TESTS_WIRE_STEP_H
#define TESTS_WIRE_STEP_H

#include "flow.h"
#include "worker/follow.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "case.h"

struct step {
    struct flow *f;
    const struct cel_node *events; /* recorded */
    struct celery_worker w;
    struct cel_request r;
    struct cel_effects effects; /* all, in the order in which Celery makes them */
    size_t stored, parts;       /* of the recorded ones, how many were made */
    const char *origin;         /* of its messages; NULL: a process like any other */
};

/* ---- outcome.c ---- */

/* A task whose end is what the step says (its member "retry"). */
celery_outcome outcome_task(celery_task *task);

/* Fills r.outcome, and effects with what it sends itself and for its end. */
void outcome_make(struct step *s, const struct cel_node *recorded);

#endif
