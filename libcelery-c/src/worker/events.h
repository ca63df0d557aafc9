/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's dispatcher of events (celery/events/dispatcher.py): what its tasks and it itself
 * go through, for monitors.  Nothing waits for it: events go beside the messages of tasks, a
 * bounded number of them at a time, and what the broker does not take is dropped.
 */
#ifndef CEL_WORKER_EVENTS_H
#define CEL_WORKER_EVENTS_H

#include "message/event.h"

struct cel_events;
struct celery_worker;

/*
 * There is a link, which has not started.  *ret_events: NULL where the broker has no
 * broadcasts; all calls take that.
 */
celery_status cel_events_new(struct celery_worker *w, struct cel_events **ret_events,
                             celery_error *err);
struct cel_events *cel_events_free(struct cel_events *events);

/* Logged in at the broker, nothing is consumed yet: says worker-online. */
void cel_events_connected(struct cel_events *events);
void cel_events_lost(struct cel_events *events);

/* The end: says worker-offline, and gives what is left a moment to go. */
void cel_events_close(struct cel_events *events);

/* Events that were dropped, and bytes of those that wait; NULL: none. */
uint64_t cel_events_dropped(const struct cel_events *events);
size_t cel_events_waiting(const struct cel_events *events);

/* Events of tasks, from now on or no more.  False: it was so already. */
bool cel_events_of_tasks(struct cel_events *events, bool on);

/* The answer to the remote command: a heartbeat that says only who it is. */
void cel_events_beat_once(struct cel_events *events);

/*
 * An event of the worker's own (worker-elect ...), which goes out at once as a plain map:
 * begin, fields by cel_event_text() and its like, end.  NULL: none can be sent, do not end.
 */
struct cel_buf *cel_events_begin(struct cel_events *events);
void cel_events_end(struct cel_events *events, const char *type);

/*
 * One whose fields were written elsewhere (CEL_EFFECT_EVENT): members as cel_event_text()
 * writes them.  task-sent is sent by this process, everything else by the node.
 */
void cel_events_pass_on(struct cel_events *events, struct cel_slice type,
                        struct cel_slice members);

#endif
