/* SPDX-License-Identifier: BSD-3-Clause */
/* What a daemon does to its process: user, mask, background, pid file, log file. */
#ifndef CEL_WORKER_PROCESS_H
#define CEL_WORKER_PROCESS_H

#include "worker/cmdline.h"

/*
 * Carries out --umask, --uid, --gid, --detach, --logfile, --pidfile, in an order that keeps
 * no privilege.  0, or the exit code with err: 73 when the pid file cannot be made (or its
 * process lives), otherwise 1.
 */
int cel_process_prepare(const struct cel_cmdline *line, celery_error *err);

/* Removes the pid file. */
void cel_process_finish(const struct cel_cmdline *line);

/* Celery's warning for the superuser. */
void cel_process_warn_root(void);

#endif
