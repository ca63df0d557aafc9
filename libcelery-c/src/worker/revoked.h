/* SPDX-License-Identifier: BSD-3-Clause */
/* What must not run: ids and stamps of tasks, bounded, kept over restarts if wanted. */
#ifndef CEL_WORKER_REVOKED_H
#define CEL_WORKER_REVOKED_H

#include "base/ageset.h"
#include "message/task.h"

/* Celery's CELERY_WORKER_REVOKES_MAX and _EXPIRES (celery/worker/state.py). */
#define CEL_REVOKES_MAX    50000
#define CEL_REVOKE_EXPIRES 10800.0

struct cel_revoked {
    struct cel_ageset *ids;
    struct cel_ageset *stamps; /* header, NUL, the stamp as JSON */
    bool changed;              /* since it was saved */
};

celery_status cel_revoked_init(struct cel_revoked *r, celery_error *err);
void cel_revoked_fini(struct cel_revoked *r);

/* Longer ids are nobody's and are not kept. */
celery_status cel_revoked_add(struct cel_revoked *r, struct cel_slice id, double now);
celery_status cel_revoked_add_stamp(struct cel_revoked *r, struct cel_slice header,
                                    const struct cel_node *stamp, double now);

bool cel_revoked_has_id(struct cel_revoked *r, struct cel_slice id, double now);

/* Whether the call is revoked, by its id or by one of its stamps. */
bool cel_revoked_has(struct cel_revoked *r, const struct cel_task_call *call, double now);

#endif
