/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that only read. */
#include "worker/control.h"

static struct cel_node *ping(struct cel_control_call *c)
{
    return cel_control_ok(c, "pong");
}

static struct cel_node *clock_value(struct cel_control_call *c)
{
    return cel_control_map(c, "clock", cel_node_new_int(c->arena, (int64_t)c->w->clock));
}

static struct cel_node *revoked(struct cel_control_call *c)
{
    struct cel_node *list = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    struct cel_slice id;
    double added;
    void *at = NULL;

    while (list && cel_ageset_next(c->w->revoked.ids, &at, &id, &added)) {
        if (cel_node_append(list, cel_node_new_string(c->arena, id)) < 0) {
            return NULL;
        }
    }
    return list;
}

const struct cel_control_command cel_control_inspect[] = {
    {"clock", NULL, "| *", true, clock_value},
    {"ping", NULL, "| *", true, ping},
    {"revoked", "dump_revoked", "| *", true, revoked},
    {NULL, NULL, NULL, false, NULL},
};
