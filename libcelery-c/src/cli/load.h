/* SPDX-License-Identifier: BSD-3-Clause */
/* -A NAME: finds a shared object of tasks and lets it register them. */
#ifndef CEL_CLI_LOAD_H
#define CEL_CLI_LOAD_H

#include <celery/app.h>

/*
 * name is a path ("./tasks.so"), or what Celery calls an application ("todo.tasks.ical",
 * "proj:app"), for which "todo.tasks.ical.so", then "ical.so" are looked for in the folders
 * of CELERY_APP_PATH, in the installation's celery-c folder, and here.  NULL after a message.
 */
celery_app *load_app(const char *name);

#endif
