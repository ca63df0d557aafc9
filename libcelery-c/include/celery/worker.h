/* SPDX-License-Identifier: BSD-3-Clause */
/* Running a worker inside your own program.  Stable. */
#ifndef CELERY_WORKER_H
#define CELERY_WORKER_H

#include <celery/app.h>
#include <stddef.h>

CELERY_BEGIN_DECLS

/*
 * The whole program: parses the arguments of `celery worker` (the words "worker" and
 * "-A name" may be there and may be left out), reads CELERY_* from the environment, runs
 * until a signal ends it and returns the exit code.  Takes the app.  Must be called
 * from the main thread before the program starts threads of its own; installs signal
 * handlers.
 */
CELERY_API int celery_worker_main(celery_app *give_app, int argc, char **argv);

/*
 * Calls fn for each option that celery_worker_main() understands, the global ones among them:
 * for completion scripts and the like.  letter: 0 if it has none; value: the name of its value,
 * NULL if it takes none; texts are static.  Any thread.
 */
typedef void (*celery_worker_option_fn)(void *ctx, char letter, const char *name,
                                        const char *value, const char *help);
CELERY_API void celery_worker_options(celery_worker_option_fn fn, void *ctx);

/*
 * A worker without the command line and without signal handlers, for a program that
 * has its own main loop.  Settings come from the app.
 */
typedef struct celery_worker celery_worker;

CELERY_API celery_worker *celery_worker_new(celery_app *app, celery_error *err);

/* Runs until celery_worker_stop().  Returns CELERY_OK after an orderly end. */
CELERY_API celery_status celery_worker_run(celery_worker *worker, celery_error *err);

/* Warm shutdown.  The one call that is legal from any thread and from signal handlers. */
CELERY_API void celery_worker_stop(celery_worker *worker);

CELERY_API void celery_worker_free(celery_worker *worker);

/*
 * What this build can do, a line for each kind ("brokers: redis"), and which of its modules are
 * installed, written to text of size bytes (at least 512).  The length; 0 when there is no room.  Any thread.
 */
CELERY_API size_t celery_features(char *text, size_t size);

CELERY_END_DECLS

#endif
