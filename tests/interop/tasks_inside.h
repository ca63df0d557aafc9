/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that retry themselves, send others, or are replaced by them. */
#ifndef TASKS_INSIDE_H
#define TASKS_INSIDE_H

#include <celery.h>

celery_status register_inside(celery_app *app);

#endif
