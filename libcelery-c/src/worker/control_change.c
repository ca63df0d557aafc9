/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that change something: the short ones, and their table. */
#include "worker/control_change.h"

#include "base/log.h"
#include "worker/control_inspect.h"
#include "worker/control_revoke.h"
#include "worker/events.h"
#include "worker/gossip.h"

/*
 * celery/worker/control.py enable_events(), disable_events().  There a worker started with -E
 * says "already disabled" and goes on sending; this one stops.
 */
static struct cel_node *switch_events(struct cel_control_call *c, bool on)
{
    const char *what = on ? "enabled" : "disabled";

    if (!c->w->events) {
        return cel_control_error(c, "event dispatcher unavailable");
    }
    if (!cel_events_of_tasks(c->w->events, on)) {
        return cel_control_ok(c, "task events already %s", what);
    }
    cel_log(CELERY_LOG_INFO, "Events of group {task} %s by remote.", what);
    return cel_control_ok(c, "task events %s", what);
}

static struct cel_node *enable_events(struct cel_control_call *c)
{
    return switch_events(c, true);
}

static struct cel_node *disable_events(struct cel_control_call *c)
{
    return switch_events(c, false);
}

static struct cel_node *heartbeat(struct cel_control_call *c)
{
    cel_log(CELERY_LOG_DEBUG, "Heartbeat requested by remote.");
    cel_events_beat_once(c->w->events);
    return cel_control_null(c);
}

static struct cel_node *election(struct cel_control_call *c)
{
    cel_gossip_election(c->w->gossip, cel_node_text(cel_control_arg(c, "id")),
                        cel_node_text(cel_control_arg(c, "topic")),
                        cel_control_arg(c, "action"));
    return cel_control_null(c);
}

static struct cel_node *shut_down(struct cel_control_call *c)
{
    const struct cel_node *message = cel_control_arg(c, "msg");

    cel_log(CELERY_LOG_WARNING, "%s",
            message ? cel_log_safe(cel_node_text(message)) : "Got shutdown from remote");
    c->silent = true;
    cel_worker_shutdown(c->w, CEL_SHUTDOWN_WARM);
    return cel_control_null(c);
}

const struct cel_control_command cel_control_change[] = {
    {"add_consumer", NULL, "queue | exchange exchange_type routing_key *", false,
     cel_control_add_consumer},
    {"autoscale", NULL, "| max min", false, cel_control_autoscale},
    {"cancel_consumer", NULL, "queue | *", false, cel_control_cancel_consumer},
    {"disable_events", NULL, "|", false, disable_events},
    {"election", NULL, "id topic | action *", false, election},
    {"enable_events", NULL, "|", false, enable_events},
    {"heartbeat", NULL, "|", true, heartbeat},
    {"pool_grow", NULL, "| n *", false, cel_control_pool_grow},
    {"pool_restart", NULL, "| modules reload reloader *", false,
     cel_control_pool_restart},
    {"pool_shrink", NULL, "| n *", false, cel_control_pool_shrink},
    {"rate_limit", NULL, "task_name rate_limit | *", false, cel_control_rate_limit},
    {"revoke", NULL, "task_id | terminate signal *", false, cel_control_revoke},
    {"revoke_by_stamped_headers", NULL, "headers | terminate signal *", false,
     cel_control_revoke_stamped},
    {"shutdown", NULL, "| msg *", false, shut_down},
    {"terminate", NULL, "signal task_id | *", false, cel_control_terminate},
    {"time_limit", NULL, "| task_name hard soft *", false, cel_control_time_limit},
    {NULL, NULL, NULL, false, NULL},
};
