/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker -B (celery/beat.py EmbeddedService): a beat on a thread of the worker's process, with
 * connections of its own.  The solo pool does not hold it up, and several workers with one send
 * each run once: their beats agree who leads.
 */
#ifndef CEL_WORKER_EMBEDDED_BEAT_H
#define CEL_WORKER_EMBEDDED_BEAT_H

#include <celery/app.h>

struct cel_embedded_beat;

/* Reads the schedule and starts the thread.  CELERY_ECONFIG for a wrong schedule, CELERY_ENOMEM. */
celery_status cel_embedded_beat_start(celery_app *app, struct cel_embedded_beat **ret,
                                      celery_error *err);

/* No more runs are begun; NULL is taken. */
void cel_embedded_beat_stop(struct cel_embedded_beat *b);

/* Waits until what was begun is sent, seconds at most.  Returns NULL. */
struct cel_embedded_beat *cel_embedded_beat_free(struct cel_embedded_beat *b);

#endif
