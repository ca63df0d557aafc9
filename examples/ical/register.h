/* SPDX-License-Identifier: BSD-3-Clause */
/* The tasks of the calendar worker, for a program of their own and as a plug-in. */
#ifndef ICAL_REGISTER_H
#define ICAL_REGISTER_H

#include "options.h"

#include <celery.h>

/* Registers the task under its names.  options must live as long as the app. */
celery_status ical_register(celery_app *app, struct ical_options *options,
                            celery_error *err);

/* What `celery-c -A todo.tasks.ical` calls: options come from the environment. */
CELERY_API celery_status celery_register(celery_app *app);

#endif
