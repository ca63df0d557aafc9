/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that only read: the short ones, and their table. */
#include "worker/control_inspect.h"
#include "worker/mingle.h"

#include "base/clock.h"
#include "base/log.h"

bool cel_control_put(struct cel_control_call *c, struct cel_node *map, const char *key,
                     struct cel_node *value)
{
    return cel_node_put(c->arena, map, cel_slice_of(key), value) == CELERY_OK;
}

struct cel_node *cel_control_null(struct cel_control_call *c)
{
    return cel_node_new(c->arena, CELERY_KIND_NULL);
}

struct cel_node *cel_control_string(struct cel_control_call *c, const char *text)
{
    return text ? cel_node_new_string(c->arena, cel_slice_of(text)) : cel_control_null(c);
}

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
    return cel_worker_revoked_list(c->w, c->arena);
}

/* ---- hello ---- */

/* Every version takes a list; the stamps of a map would mean nothing on another host. */
static struct cel_node *hello(struct cel_control_call *c)
{
    struct cel_slice from = cel_node_text(cel_control_arg(c, "from_node"));
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    if (cel_slice_is(from, c->w->hostname)) {
        return cel_control_null(c);
    }
    cel_log(CELERY_LOG_INFO, "sync with %s", cel_log_safe(from));
    if (!c->read_only) {
        cel_worker_merge_revoked(c->w, cel_control_arg(c, "revoked"));
    }
    return map && cel_control_put(c, map, "revoked", revoked(c)) &&
                   cel_control_put(c, map, "clock",
                                   cel_node_new_int(c->arena, (int64_t)++c->w->clock))
               ? map
               : NULL;
}

static struct cel_node *objgraph(struct cel_control_call *c)
{
    return cel_control_raise(c, "ImportError",
                             "this worker is no Python program and has no object graph");
}

const struct cel_control_command cel_control_inspect[] = {
    {"active", "dump_active", "| safe *", true, cel_control_active},
    {"active_queues", NULL, "|", true, cel_control_active_queues},
    {"clock", NULL, "| *", true, clock_value},
    {"conf", "dump_conf", "| with_defaults *", true, cel_control_conf},
    {"hello", NULL, "from_node | revoked *", true, hello},
    {"memdump", NULL, "| samples *", true, cel_control_memdump},
    {"memsample", NULL, "| *", true, cel_control_memsample},
    {"objgraph", NULL, "| num max_depth type", true, objgraph},
    {"ping", NULL, "| *", true, ping},
    {"query_task", NULL, "ids | *", true, cel_control_query_task},
    {"registered", "dump_tasks", "| taskinfoitems builtins *", true,
     cel_control_registered},
    {"report", NULL, "|", true, cel_control_report},
    {"reserved", "dump_reserved", "| *", true, cel_control_reserved},
    {"revoked", "dump_revoked", "| *", true, revoked},
    {"scheduled", "dump_schedule", "| *", true, cel_control_scheduled},
    {"stats", NULL, "| *", true, cel_control_stats},
    {NULL, NULL, NULL, false, NULL},
};
