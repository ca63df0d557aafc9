/* SPDX-License-Identifier: BSD-3-Clause */
/* Who and where the worker is: node name, host name, processors it may use. */
#ifndef CEL_WORKER_IDENTITY_H
#define CEL_WORKER_IDENTITY_H

#include <stddef.h>

/*
 * The node name from -n (NULL: "celery@%h"), expanded as celery/utils/nodenames.py does: %h host,
 * %n name, %d domain, %i and %I nothing in the main process, %% a percent sign.  A name
 * without "@" gets "@host".  In memory of cel_alloc; NULL when out of memory.
 */
char *cel_node_name(const char *pattern);

/*
 * The name of a worker that was given none: celery@host, or celery2@host and so on where others on
 * this host (its network namespace) have those on the same broker.  *ret_fd keeps it claimed, by
 * an abstract Unix socket, until it is closed; -1 where there are no such sockets.  In memory of
 * cel_alloc; NULL when out of memory.
 */
char *cel_node_claim(const char *broker, int *ret_fd);

/*
 * Processors this process may use: the affinity mask, cut by the quota of its cgroup (v1 or
 * v2, rounded up); at least 1.
 */
unsigned cel_cpu_count(void);

/* "Linux-6.1.0-x86_64": platform line of the banner. */
void cel_platform(char *text, size_t size);

/* The same percent signs in a path, for the node of that name (node_format()). */
char *cel_node_format(const char *pattern, const char *node);

#endif
