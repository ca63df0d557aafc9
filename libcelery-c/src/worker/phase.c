/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/phase.h"

#define BIT(phase) (1u << CEL_PHASE_##phase)

/* A part may be the last of its chord, whose body then fails with all that waits for it. */
#define CHORD (BIT(PART) | BIT(COPIES) | BIT(ERRBACKS) | BIT(CHORDS))

/* Phases in the order of their numbers; SENT always comes first. */
static const unsigned plans[] = {
    [CEL_OUTCOME_SUCCESS] = BIT(FOLLOW) | BIT(STORE) | CHORD,
    [CEL_OUTCOME_FAILURE] = BIT(STORE) | CHORD,
    [CEL_OUTCOME_LOST] = BIT(STORE) | CHORD,
    [CEL_OUTCOME_TIMEOUT] = BIT(STORE) | CHORD,
    [CEL_OUTCOME_MALFORMED] = BIT(STORE) | CHORD,
    [CEL_OUTCOME_REVOKED] = BIT(STORE) | CHORD,
    [CEL_OUTCOME_RETRY] = BIT(FOLLOW) | BIT(STORE),
    [CEL_OUTCOME_IGNORE] = BIT(FOLLOW),
    [CEL_OUTCOME_REJECT] = BIT(FOLLOW) | BIT(STORE) | CHORD,
    [CEL_OUTCOME_REQUEUE] = BIT(FOLLOW),
};

enum { PLANS = sizeof plans / sizeof plans[0] };

static enum cel_phase next_of(unsigned plan, unsigned from)
{
    for (unsigned phase = from; phase < CEL_PHASE_REPORTED; phase++) {
        if (plan & (1u << phase)) {
            return (enum cel_phase)phase;
        }
    }
    return CEL_PHASE_REPORTED;
}

enum cel_phase cel_phase_next(enum cel_outcome_kind kind, enum cel_phase now,
                              enum cel_phase_event event)
{
    if (now >= CEL_PHASE_REPORTED || (size_t)kind >= PLANS) {
        return now;
    }
    switch (event) {
    case CEL_PHASE_DONE:
        return next_of(plans[kind], now + 1u);
    case CEL_PHASE_REFUSED:
        /* Only a result not stored yet can still become a failure. */
        if (kind == CEL_OUTCOME_FAILURE && now <= CEL_PHASE_STORE) {
            return CEL_PHASE_STORE;
        }
        return CEL_PHASE_UNREPORTED;
    case CEL_PHASE_FAILED:
    default:
        return CEL_PHASE_UNREPORTED;
    }
}

const char *cel_phase_name(enum cel_phase phase)
{
    static const char *const names[CEL_PHASES] = {
        "SENT",     "FOLLOW", "STORE",    "PART",       "COPIES",
        "ERRBACKS", "CHORDS", "REPORTED", "UNREPORTED",
    };

    return phase < CEL_PHASES ? names[phase] : "?";
}
