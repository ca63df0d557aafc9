/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel says about processes: memory, time, descriptors. */
#ifndef CEL_WORKER_PROCESS_STAT_H
#define CEL_WORKER_PROCESS_STAT_H

#include <stddef.h>
#include <stdint.h>

struct cel_process_stat {
    int64_t resident;     /* bytes; 0: unknown */
    int64_t proportional; /* bytes: shared pages counted by their share; 0: unknown */
    double cpu;           /* seconds of user and system time */
    double started;       /* wall time; 0: unknown */
    int64_t descriptors;  /* open ones, of this process only */
};

/* pid 0: this process. */
void cel_process_stat(int pid, struct cel_process_stat *ret);

#endif
