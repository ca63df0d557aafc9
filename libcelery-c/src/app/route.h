/* SPDX-License-Identifier: BSD-3-Clause */
/* The setting task_routes as a table (celery/app/routes.py MapRoute). */
#ifndef CEL_APP_ROUTE_H
#define CEL_APP_ROUTE_H

#include "codec/doc.h"

/* Where a name or pattern leads; absent parts are NULL or -1. */
struct cel_route_rule {
    const char *pattern; /* NUL-terminated */
    bool glob;
    unsigned map; /* number of the map it stands in */
    const char *queue;
    const char *exchange;
    const char *routing_key;
    int priority;
};

struct cel_route_table {
    struct cel_route_rule *rules; /* in the arena given */
    size_t n_rules;
};

/* doc NULL: an empty table. */
celery_status cel_route_table_read(struct cel_arena *a, const struct cel_node *doc,
                                   struct cel_route_table *ret, celery_error *err);

/*
 * The rule for a task, or NULL.  In each map an exact name comes before patterns; the first map
 * that knows the task decides.
 */
const struct cel_route_rule *cel_route_table_find(const struct cel_route_table *table,
                                                  struct cel_slice task);

#endif
