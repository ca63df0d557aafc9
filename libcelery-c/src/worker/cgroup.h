/* SPDX-License-Identifier: BSD-3-Clause */
/* What the control group of this process grants it, version 1 or 2. */
#ifndef CEL_WORKER_CGROUP_H
#define CEL_WORKER_CGROUP_H

#include <stdint.h>

/*
 * mounts: "/sys/fs/cgroup"; self: "/proc/self/cgroup".  The tightest limit of the group and
 * those above it, as far as they can be seen from in here.
 */

/* Processors worth of time; 0: no quota. */
double cel_cgroup_cpus(const char *mounts, const char *self);

/* Bytes; 0: no limit. */
int64_t cel_cgroup_memory(const char *mounts, const char *self);

#endif
