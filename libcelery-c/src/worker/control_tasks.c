/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked about requests (celery/worker/request.py Request.info). */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/iso8601.h"
#include "worker/control_inspect.h"
#include "worker/request.h"

#include <stdlib.h>
#include <unistd.h>

/* The priority of kombu's timer entries: a constant there. */
#define TIMER_PRIORITY 6

/* ---- one request ---- */

static bool is_active(const struct cel_request *r)
{
    return r->started && (r->state == CEL_REQ_RUNNING || r->state == CEL_REQ_STOPPING);
}

static bool is_scheduled(const struct cel_request *r)
{
    return r->state == CEL_REQ_WAITING && r->held_back && !r->bucket;
}

/* Ready, in the pool, or waiting for a rate limit's token, which Celery lists nowhere. */
static bool is_reserved(const struct cel_request *r)
{
    return !is_active(r) && !is_scheduled(r) && r->state < CEL_REQ_REPORTING;
}

static struct cel_node *text_or_null(struct cel_control_call *c, struct cel_slice text)
{
    return text.data ? cel_node_new_string(c->arena, text) : cel_control_null(c);
}

/* A copy of the node alone, with the children of the other. */
static struct cel_node *shared(struct cel_control_call *c, const struct cel_node *n)
{
    struct cel_node *copy = n ? cel_arena_alloc(c->arena, sizeof *copy) : NULL;

    if (!n) {
        return cel_control_null(c);
    }
    if (copy) {
        *copy = *n;
        copy->next = NULL;
    }
    return copy;
}

/* Decoded anew for each answer: nothing of it stays with the request. */
static bool put_arguments(struct cel_control_call *c, struct cel_node *info,
                          const struct cel_request *r)
{
    struct cel_task_call call = r->job.call;

    if (!call.args) {
        cel_task_call_body(c->arena, r->job.body, r->job.content_type, call.compression,
                           &c->w->policy.limits, &call, NULL);
    }
    return cel_control_put(c, info, "args", shared(c, call.args)) &&
           cel_control_put(c, info, "kwargs", shared(c, call.kwargs));
}

static bool put_reprs(struct cel_control_call *c, struct cel_node *info,
                      const struct cel_request *r)
{
    const struct cel_task_call *call = &r->job.call;

    return cel_control_put(c, info, "args",
                           cel_node_new_string(c->arena, call->argsrepr)) &&
           cel_control_put(c, info, "kwargs",
                           cel_node_new_string(c->arena, call->kwargsrepr));
}

static struct cel_node *delivery_info(struct cel_control_call *c,
                                      const struct cel_request *r)
{
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    const struct cel_job *job = &r->job;

    return map && cel_control_put(c, map, "exchange", text_or_null(c, job->exchange)) &&
                   cel_control_put(c, map, "routing_key",
                                   text_or_null(c, job->routing_key)) &&
                   cel_control_put(c, map, "priority",
                                   cel_node_new_int(c->arena, job->priority)) &&
                   cel_control_put(c, map, "redelivered",
                                   cel_node_new_bool(c->arena, job->redelivered))
               ? map
               : NULL;
}

static struct cel_node *time_start(struct cel_control_call *c,
                                   const struct cel_request *r)
{
    double ago = cel_loop_now(c->w->loop) - r->accepted_at;

    return r->started ? cel_node_new_double(c->arena, cel_clock_wall() - ago)
                      : cel_control_null(c);
}

static struct cel_node *worker_pid(struct cel_control_call *c,
                                   const struct cel_request *r)
{
    int pid = r->pid > 0 ? r->pid : getpid();

    return r->started ? cel_node_new_int(c->arena, pid) : cel_control_null(c);
}

static struct cel_node *request_info(struct cel_control_call *c,
                                     const struct cel_request *r, bool safe)
{
    struct cel_node *info = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    const struct cel_task_call *call = &r->job.call;
    struct cel_slice name = call->shadow.len ? call->shadow : call->task;

    return info &&
                   cel_control_put(c, info, "id",
                                   cel_node_new_string(c->arena, call->id)) &&
                   cel_control_put(c, info, "name",
                                   cel_node_new_string(c->arena, name)) &&
                   (safe ? put_reprs(c, info, r) : put_arguments(c, info, r)) &&
                   cel_control_put(c, info, "type",
                                   cel_node_new_string(c->arena, call->task)) &&
                   cel_control_put(c, info, "hostname",
                                   cel_control_string(c, c->w->hostname)) &&
                   cel_control_put(c, info, "time_start", time_start(c, r)) &&
                   cel_control_put(c, info, "acknowledged",
                                   cel_node_new_bool(c->arena, r->acknowledged)) &&
                   cel_control_put(c, info, "delivery_info", delivery_info(c, r)) &&
                   cel_control_put(c, info, "worker_pid", worker_pid(c, r))
               ? info
               : NULL;
}

/* ---- lists ---- */

static struct cel_node *list_requests(struct cel_control_call *c,
                                      bool (*wanted)(const struct cel_request *r),
                                      bool safe)
{
    struct cel_node *list = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &c->w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (wanted(r) && cel_node_append(list, request_info(c, r, safe)) < 0) {
            return NULL;
        }
    }
    return list;
}

struct cel_node *cel_control_active(struct cel_control_call *c)
{
    return list_requests(c, is_active, cel_node_truth(cel_control_arg(c, "safe")));
}

struct cel_node *cel_control_reserved(struct cel_control_call *c)
{
    return list_requests(c, is_reserved, false);
}

/* ---- ETA ---- */

static struct cel_node *scheduled_entry(struct cel_control_call *c,
                                        const struct cel_request *r)
{
    struct cel_node *entry = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    char eta[CEL_ISO8601_SIZE];

    cel_iso8601_format(r->job.call.eta_us, CEL_ISO_OFFSET, eta);
    return entry && cel_control_put(c, entry, "eta", cel_control_string(c, eta)) &&
                   cel_control_put(c, entry, "priority",
                                   cel_node_new_int(c->arena, TIMER_PRIORITY)) &&
                   cel_control_put(c, entry, "request", request_info(c, r, false))
               ? entry
               : NULL;
}

static int earlier(const void *a, const void *b)
{
    const struct cel_request *const *left = a, *const *right = b;
    int64_t x = (*left)->job.call.eta_us, y = (*right)->job.call.eta_us;

    return (x > y) - (x < y);
}

struct cel_node *cel_control_scheduled(struct cel_control_call *c)
{
    struct celery_worker *w = c->w;
    struct cel_node *list = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    struct cel_request **all =
        cel_calloc(w->n_requests + 1, sizeof(struct cel_request *));
    struct cel_list *it;
    struct cel_list *next;
    size_t n = 0;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (all && is_scheduled(r)) {
            all[n++] = r;
        }
    }
    if (n > 0) {
        qsort(all, n, sizeof(struct cel_request *), earlier);
    }
    for (size_t i = 0; i < n && list; i++) {
        if (cel_node_append(list, scheduled_entry(c, all[i])) < 0) {
            list = NULL;
        }
    }
    cel_free(all);
    return list;
}

/* ---- query_task ---- */

static bool is_wanted(const struct cel_node *ids, struct cel_slice id)
{
    if (cel_node_is_string(ids)) {
        return cel_slice_eq(cel_node_text(ids), id);
    }
    for (const struct cel_node *n = cel_node_first(ids); n; n = n->next) {
        if (cel_node_is_string(n) && cel_slice_eq(cel_node_text(n), id)) {
            return true;
        }
    }
    return false;
}

static struct cel_node *state_and_info(struct cel_control_call *c,
                                       const struct cel_request *r)
{
    struct cel_node *pair = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    const char *state = is_active(r)      ? "active"
                        : is_scheduled(r) ? "scheduled" /* since 5.7 */
                        : is_reserved(r)  ? "reserved"
                                          : "ready";

    return pair && cel_node_append(pair, cel_control_string(c, state)) == CELERY_OK &&
                   cel_node_append(pair, request_info(c, r, false)) == CELERY_OK
               ? pair
               : NULL;
}

struct cel_node *cel_control_query_task(struct cel_control_call *c)
{
    const struct cel_node *ids = cel_control_arg(c, "ids");
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &c->w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (is_wanted(ids, r->job.call.id) &&
            (!map ||
             cel_node_put(c->arena, map, r->job.call.id, state_and_info(c, r)) < 0)) {
            return NULL;
        }
    }
    return map;
}
