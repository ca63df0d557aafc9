/* SPDX-License-Identifier: BSD-3-Clause */
/* What the worker does when the broker delivers, or is gone. */
#ifndef CEL_WORKER_LINK_EVENTS_H
#define CEL_WORKER_LINK_EVENTS_H

#include "worker/worker.h"

extern const struct cel_link_events cel_worker_link_events;

#endif
