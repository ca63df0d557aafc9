/* SPDX-License-Identifier: BSD-3-Clause */
/* create_ical(tasks) of the practical: a decoded argument to a calendar or an exception. */
#ifndef ICAL_CREATE_H
#define ICAL_CREATE_H

#include "options.h"

#include <celery/value.h>

/*
 * Fills w->out with the calendar and is true; or is false, with what Python would have
 * raised in w->exception (MemoryError included).  w is {0} or was used before.
 */
bool ical_create(const struct ical_options *o, const celery_value *tasks,
                 struct ical_writer *w);

#endif
