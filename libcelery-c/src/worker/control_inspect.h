/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that only read, by what they read. */
#ifndef CEL_WORKER_CONTROL_INSPECT_H
#define CEL_WORKER_CONTROL_INSPECT_H

#include "worker/control.h"

/* Adds a member; false when it or the value could not be made. */
bool cel_control_put(struct cel_control_call *c, struct cel_node *map, const char *key,
                     struct cel_node *value);
struct cel_node *cel_control_null(struct cel_control_call *c);
/* A text; NULL gives null. */
struct cel_node *cel_control_string(struct cel_control_call *c, const char *text);

/* ---- control_tasks.c: requests ---- */
struct cel_node *cel_control_active(struct cel_control_call *c);
struct cel_node *cel_control_reserved(struct cel_control_call *c);
struct cel_node *cel_control_scheduled(struct cel_control_call *c);
struct cel_node *cel_control_query_task(struct cel_control_call *c);

/* ---- control_registered.c ---- */
struct cel_node *cel_control_registered(struct cel_control_call *c);

/* ---- control_stats.c: this worker ---- */
struct cel_node *cel_control_stats(struct cel_control_call *c);
struct cel_node *cel_control_memsample(struct cel_control_call *c);
struct cel_node *cel_control_memdump(struct cel_control_call *c);

/* ---- control_queues.c ---- */
struct cel_node *cel_control_active_queues(struct cel_control_call *c);

/* ---- control_conf.c: its settings ---- */
struct cel_node *cel_control_conf(struct cel_control_call *c);
struct cel_node *cel_control_report(struct cel_control_call *c);
/* The value of one, without its secrets. */
struct cel_node *cel_control_setting(struct cel_control_call *c, const char *name);

#endif
