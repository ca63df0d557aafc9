/* SPDX-License-Identifier: BSD-3-Clause */
/* The default sink: standard error or a file, in the format of `celery worker`. */
#ifndef CEL_BASE_LOG_SINK_H
#define CEL_BASE_LOG_SINK_H

#include "base/log.h"

/* One write(2) for a line with everything around it. */
void cel_log_sink_write(celery_log_level level, struct cel_slice text);

/* Lines of this thread are a task's own until false. */
void cel_log_sink_of_task(bool on);

#endif
