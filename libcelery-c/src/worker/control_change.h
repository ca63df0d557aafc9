/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that change something, by what they change. */
#ifndef CEL_WORKER_CONTROL_CHANGE_H
#define CEL_WORKER_CONTROL_CHANGE_H

#include "worker/control.h"

/* ---- control_queues.c ---- */
struct cel_node *cel_control_add_consumer(struct cel_control_call *c);
struct cel_node *cel_control_cancel_consumer(struct cel_control_call *c);

/* ---- control_limits.c ---- */
struct cel_node *cel_control_rate_limit(struct cel_control_call *c);
struct cel_node *cel_control_time_limit(struct cel_control_call *c);

/* ---- control_pool.c ---- */
struct cel_node *cel_control_pool_grow(struct cel_control_call *c);
struct cel_node *cel_control_pool_shrink(struct cel_control_call *c);
struct cel_node *cel_control_autoscale(struct cel_control_call *c);
struct cel_node *cel_control_pool_restart(struct cel_control_call *c);

#endif
