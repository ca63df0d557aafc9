/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The duties of process 1.  In a container without an init the worker would have them: to wait
 * for orphans that it did not start, and to live with signals whose default action does nothing.
 * It then runs as the only child of a small process that does this and forwards signals.
 */
#ifndef CEL_WORKER_INIT_H
#define CEL_WORKER_INIT_H

#include <stdbool.h>

/* This process is process 1 of its namespace, or was made a subreaper. */
bool cel_init_is_due(void);

/*
 * Forks.  False in the child, which goes on as the worker, and when there can be no child.  True
 * in the parent, once that child has ended, with its exit code (128 + n: it was ended by signal
 * n).  Before there are threads.
 */
bool cel_init_run(int *ret_code);

#endif
