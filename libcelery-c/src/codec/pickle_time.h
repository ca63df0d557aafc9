/* SPDX-License-Identifier: BSD-3-Clause */
/* datetime, date and time from the arguments of their classes. */
#ifndef CEL_CODEC_PICKLE_TIME_H
#define CEL_CODEC_PICKLE_TIME_H

#include "codec/doc.h"

/* kombu's typed value; NULL: other arguments, an unknown zone, or out of memory. */
struct cel_node *cel_pickle_datetime(struct cel_arena *a, struct cel_node *args);
struct cel_node *cel_pickle_date(struct cel_arena *a, struct cel_node *args);
struct cel_node *cel_pickle_time(struct cel_arena *a, struct cel_node *args);

#endif
