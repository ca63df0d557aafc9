/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/revoke.h"

#include "worker/admit.h"
#include "worker/cleanup.h"
#include "worker/redelivered.h"
#include "worker/report.h"
#include "worker/schedule.h"
#include "worker/unlock.h"

static bool take_back(struct cel_request *r)
{
    struct cel_pool *p = r->w->pool;

    if (cel_unlock_is(r) || cel_cleanup_is(r) ||
        p->ops->recall(p, &r->job) != CELERY_OK) {
        return false;
    }
    r->w->n_running--;
    cel_request_event(r, CEL_REQ_RECALLED);
    cel_worker_dispatch(r->w);
    return true;
}

bool cel_revoke_unstarted(struct cel_request *r)
{
    switch (r->state) {
    case CEL_REQ_WAITING:
        if (r->ask) {
            return false; /* cel_admit_to_pool() comes when it has been asked about */
        }
        break;
    case CEL_REQ_READY:
        break;
    case CEL_REQ_SUBMITTED:
        if (!take_back(r)) {
            return false; /* cel_admit_to_run() comes first, or it runs */
        }
        break;
    default:
        return false;
    }
    cel_schedule_remove(r);
    cel_admit_discard(r, "revoked");
    return true;
}

bool cel_revoke_terminate(struct cel_request *r, int signal)
{
    struct cel_pool *p = r->w->pool;
    struct cel_outcome outcome;

    if (cel_revoke_unstarted(r) || cel_unlock_is(r) || cel_cleanup_is(r) ||
        r->state == CEL_REQ_WAITING) {
        return true;
    }
    if (!p->ops->kill) {
        if (p->ops->interrupt) {
            p->ops->interrupt(p, &r->job);
        }
        return false;
    }
    r->signal = signal;
    if (r->state == CEL_REQ_SUBMITTED) { /* on_lost() makes the outcome of others */
        cel_report_revoked(r, "revoked", &outcome);
        cel_report_keep(r, &outcome);
    }
    cel_request_event(r, CEL_REQ_REVOKED);
    return true;
}
