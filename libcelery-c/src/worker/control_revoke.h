/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that revoke: revoke, terminate, revoke_by_stamped_headers. */
#ifndef CEL_WORKER_CONTROL_REVOKE_H
#define CEL_WORKER_CONTROL_REVOKE_H

#include "worker/control.h"

struct cel_node *cel_control_revoke(struct cel_control_call *c);
struct cel_node *cel_control_terminate(struct cel_control_call *c);
struct cel_node *cel_control_revoke_stamped(struct cel_control_call *c);

/* The argument signal, SIGTERM without one; 0: *ret_error says what is wrong with it. */
int cel_control_signal(struct cel_control_call *c, struct cel_node **ret_error);

/*
 * Stores REVOKED for tasks that this worker does not hold, unless the backend knows them to be
 * started or done (celery/worker/control.py _revoke, 5.7).
 */
void cel_control_mark_revoked(struct celery_worker *w, const struct cel_slice *ids,
                              size_t n);

#endif
