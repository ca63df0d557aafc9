/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a service manager is told (sd_notify(3)), in datagrams of our own: the protocol is a few
 * lines of text.  Without NOTIFY_SOCKET nothing is sent.
 */
#ifndef CEL_WORKER_SDNOTIFY_H
#define CEL_WORKER_SDNOTIFY_H

#include <celery/error.h>

struct celery_worker;
struct cel_sdnotify;
struct sockaddr_un;

/* NOTIFY_SOCKET: a path, or an abstract name behind '@'.  False: it is neither. */
bool cel_sdnotify_address(const char *text, struct sockaddr_un *ret, unsigned *ret_len);

/* WATCHDOG_USEC, if WATCHDOG_PID (may be NULL) is that process: seconds; otherwise 0. */
double cel_sdnotify_watchdog(const char *usec, const char *watchdog_pid, int pid);

/*
 * Reads the environment; a timer of the loop tells the status, and that the loop runs.  moved:
 * this is not the process that was started (--detach), and the manager is told which it is.
 */
celery_status cel_sdnotify_start(struct celery_worker *w, bool moved, celery_error *err);
void cel_sdnotify_stop(struct celery_worker *w);

/* It consumes. */
void cel_sdnotify_ready(struct celery_worker *w);

/* It is shutting down; reload: to run anew as the same process. */
void cel_sdnotify_ending(struct celery_worker *w, bool reload);

#endif
