/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens while a request is REPORTING, as one table: a pure function, tested for every
 * outcome and phase.  Upstream spreads this order over celery/app/trace.py trace_task() and
 * celery/backends/base.py mark_as_done(), mark_as_failure(), mark_as_revoked().
 */
#ifndef CEL_WORKER_PHASE_H
#define CEL_WORKER_PHASE_H

#include "pool/pool.h"

enum cel_phase {
    CEL_PHASE_SENT,   /* what it sent while it ran is confirmed */
    CEL_PHASE_FOLLOW, /* callbacks, the next step of its chain, a replacement, its retry */
    CEL_PHASE_STORE,  /* its result */
    CEL_PHASE_PART,   /* counted as a part of its chord */
    CEL_PHASE_COPIES,   /* its failure under the ids that waited for it, their parts */
    CEL_PHASE_ERRBACKS, /* the messages of its errbacks */
    CEL_PHASE_CHORDS, /* chords it was the last part of: body, or failure; then the end */
    CEL_PHASE_REPORTED,
    CEL_PHASE_UNREPORTED, /* something could not be done: the message goes back */
    CEL_PHASES
};

enum cel_phase_event {
    CEL_PHASE_DONE,    /* also when there was nothing to do */
    CEL_PHASE_FAILED,  /* the deadline passed, or the connection is gone for good */
    CEL_PHASE_REFUSED, /* can never be done: the outcome was made a FAILURE */
    CEL_PHASE_EVENTS
};

/* The first phase of any outcome. */
#define CEL_PHASE_FIRST CEL_PHASE_SENT

/* The phase after `now`; kind is the outcome as it is by now. */
enum cel_phase cel_phase_next(enum cel_outcome_kind kind, enum cel_phase now,
                              enum cel_phase_event event);

const char *cel_phase_name(enum cel_phase phase);

#endif
