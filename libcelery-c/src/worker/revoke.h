/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking a request back that was revoked while it is here. */
#ifndef CEL_WORKER_REVOKE_H
#define CEL_WORKER_REVOKE_H

#include "worker/request.h"

/*
 * Ends it, if it has not started.  True: it will not run any more, and r may be gone.  False:
 * it runs, or is looked at again before it does.
 */
bool cel_revoke_unstarted(struct cel_request *r);

/*
 * The same, and one that runs is ended with the signal.  False: the pool cannot do that; the
 * task is told that it should stop.
 */
bool cel_revoke_terminate(struct cel_request *r, int signal);

#endif
