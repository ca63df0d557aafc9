/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/request_state.h"

struct row {
    bool possible;
    struct cel_request_step step;
};

/* clang-format off */
#define ROW(state, event, next, actions) \
    [CEL_REQ_##state][CEL_REQ_##event] = {true, {CEL_REQ_##next, (actions)}}
#define DO(action) CEL_DO_##action

static const struct row rows[CEL_REQ_STATES][CEL_REQ_EVENTS] = {
    ROW(WAITING,   DUE,        READY,     0),
    ROW(WAITING,   REVOKED,    REPORTING, DO(REPORT)),
    ROW(WAITING,   RETURNED,   SETTLING,  DO(RETURN)),
    ROW(WAITING,   CANCELLED,  SETTLING,  DO(RETURN)),
    ROW(WAITING,   CONN_LOST,  DONE,      DO(VOID) | DO(FREE)),

    ROW(READY,     SLOT,       SUBMITTED, DO(SUBMIT)),
    ROW(READY,     REVOKED,    REPORTING, DO(REPORT)),
    ROW(READY,     RETURNED,   SETTLING,  DO(RETURN)),
    ROW(READY,     CANCELLED,  SETTLING,  DO(RETURN)),
    ROW(READY,     CONN_LOST,  DONE,      DO(VOID) | DO(FREE)),

    ROW(SUBMITTED, ACCEPTED,   RUNNING,   DO(START)),
    ROW(SUBMITTED, RECALLED,   READY,     0),
    ROW(SUBMITTED, LOST,       REPORTING, DO(REPORT)),
    ROW(SUBMITTED, REVOKED,    STOPPING,  DO(KILL)),
    ROW(SUBMITTED, CANCELLED,  STOPPING,  DO(KILL)),
    ROW(SUBMITTED, CONN_LOST,  SUBMITTED, DO(VOID)),

    ROW(RUNNING,   FINISHED,   REPORTING, DO(REPORT)),
    ROW(RUNNING,   LOST,       REPORTING, DO(REPORT)),
    ROW(RUNNING,   REVOKED,    STOPPING,  DO(KILL)),
    ROW(RUNNING,   CANCELLED,  STOPPING,  DO(KILL)),
    ROW(RUNNING,   CONN_LOST,  RUNNING,   DO(VOID)),

    ROW(STOPPING,  ACCEPTED,   STOPPING,  DO(START) | DO(KILL)),
    ROW(STOPPING,  RECALLED,   REPORTING, DO(REPORT)),
    ROW(STOPPING,  FINISHED,   REPORTING, DO(REPORT)),
    ROW(STOPPING,  LOST,       REPORTING, DO(REPORT)),
    ROW(STOPPING,  REVOKED,    STOPPING,  0),
    ROW(STOPPING,  CANCELLED,  STOPPING,  DO(KILL)),
    ROW(STOPPING,  CONN_LOST,  STOPPING,  DO(VOID)),

    /* The result comes before the acknowledgement: SETTLE waits for REPORTED. */
    ROW(REPORTING, REPORTED,   SETTLING,  DO(SETTLE)),
    ROW(REPORTING, UNREPORTED, SETTLING,  DO(RETURN)),
    ROW(REPORTING, REVOKED,    REPORTING, 0),
    ROW(REPORTING, CANCELLED,  REPORTING, 0),
    ROW(REPORTING, CONN_LOST,  REPORTING, DO(VOID)),

    ROW(SETTLING,  SETTLED,    DONE,      DO(FREE)),
    ROW(SETTLING,  REVOKED,    SETTLING,  0),
    ROW(SETTLING,  CANCELLED,  SETTLING,  0),
    ROW(SETTLING,  CONN_LOST,  SETTLING,  DO(VOID)),
};
/* clang-format on */

bool cel_request_next(enum cel_request_state state, enum cel_request_event event,
                      struct cel_request_step *ret)
{
    if (state >= CEL_REQ_STATES || event >= CEL_REQ_EVENTS ||
        !rows[state][event].possible) {
        return false;
    }
    *ret = rows[state][event].step;
    return true;
}

const char *cel_request_state_name(enum cel_request_state state)
{
    static const char *const names[CEL_REQ_STATES] = {
        "WAITING",  "READY",     "SUBMITTED", "RUNNING",
        "STOPPING", "REPORTING", "SETTLING",  "DONE",
    };

    return state < CEL_REQ_STATES ? names[state] : "?";
}

const char *cel_request_event_name(enum cel_request_event event)
{
    static const char *const names[CEL_REQ_EVENTS] = {
        "DUE",      "SLOT",       "ACCEPTED",  "RECALLED", "FINISHED",
        "LOST",     "REVOKED",    "CANCELLED", "RETURNED", "CONN_LOST",
        "REPORTED", "UNREPORTED", "SETTLED",
    };

    return event < CEL_REQ_EVENTS ? names[event] : "?";
}

enum cel_settlement cel_request_settle(enum cel_outcome_kind kind,
                                       const struct cel_ack_policy *policy)
{
    switch (kind) {
    case CEL_OUTCOME_SUCCESS:
    case CEL_OUTCOME_RETRY: /* the retry is a new message */
    case CEL_OUTCOME_IGNORE:
    case CEL_OUTCOME_REVOKED:
        return CEL_SETTLE_ACK;
    case CEL_OUTCOME_REQUEUE:
        return CEL_SETTLE_REQUEUE;
    case CEL_OUTCOME_REJECT:
        return CEL_SETTLE_DROP;
    case CEL_OUTCOME_MALFORMED:
        return CEL_SETTLE_PARK;
    case CEL_OUTCOME_TIMEOUT:
        return policy->on_timeout ? CEL_SETTLE_ACK : CEL_SETTLE_REQUEUE;
    case CEL_OUTCOME_LOST:
        if (policy->reject_on_worker_lost) {
            bool spent =
                policy->crash_budget > 0 && policy->crashes + 1 >= policy->crash_budget;
            return spent ? CEL_SETTLE_PARK : CEL_SETTLE_REQUEUE;
        }
        break;
    case CEL_OUTCOME_FAILURE:
        break;
    }
    return policy->on_failure ? CEL_SETTLE_ACK : CEL_SETTLE_DROP;
}
