/* SPDX-License-Identifier: BSD-3-Clause */
/* The size of the pool, told from outside. */
#include "worker/control_change.h"

/* What the prefork pool has room for at most. */
#define SLOTS_MAX 4096

/* An integer argument within the bounds; absent: otherwise.  False: it is none. */
static bool read_number(struct cel_control_call *c, const char *name, int64_t otherwise,
                        int64_t *ret)
{
    const struct cel_node *n = cel_control_arg(c, name);

    *ret = n ? cel_node_int(n, -1) : otherwise;
    return !n || (n->kind == CELERY_KIND_INT && *ret >= 0 && *ret <= SLOTS_MAX);
}

static struct cel_node *not_a_number(struct cel_control_call *c)
{
    return cel_control_raise(c, "ValueError", "a number from 0 to %d is wanted",
                             SLOTS_MAX);
}

static struct cel_node *resize(struct cel_control_call *c, const char *command,
                               int64_t change, const char *done)
{
    struct celery_worker *w = c->w;
    int64_t slots = (int64_t)w->policy.concurrency + change;

    if (w->policy.autoscale.max > 0) {
        return cel_control_error(
            c, "%s is not supported with autoscale. Adjust autoscale range instead.",
            command);
    }
    if (slots < 1) {
        return cel_control_raise(c, "ValueError",
                                 "Can't shrink pool. All processes busy!");
    }
    if (w->pool->ops->resize(w->pool, (unsigned)slots) < 0) {
        return cel_control_raise(c, "ValueError", "the pool %s cannot have %lld slots",
                                 w->pool->ops->name, (long long)slots);
    }
    w->policy.concurrency = (unsigned)slots;
    cel_worker_update_prefetch(w);
    cel_worker_dispatch(w);
    return cel_control_ok(c, "%s", done);
}

struct cel_node *cel_control_pool_grow(struct cel_control_call *c)
{
    int64_t n;

    return read_number(c, "n", 1, &n) ? resize(c, "pool_grow", n, "pool will grow")
                                      : not_a_number(c);
}

struct cel_node *cel_control_pool_shrink(struct cel_control_call *c)
{
    int64_t n;

    return read_number(c, "n", 1, &n) ? resize(c, "pool_shrink", -n, "pool will shrink")
                                      : not_a_number(c);
}

/* celery/worker/autoscale.py Autoscaler.update(). */
static celery_status rescale(struct celery_worker *w, unsigned max, unsigned min)
{
    struct cel_autoscale *a = &w->policy.autoscale;
    unsigned now = a->now > max ? max : a->now < min ? min : a->now;

    if (now != a->now) {
        celery_status status = w->pool->ops->resize(w->pool, now);

        if (status < 0) {
            return status;
        }
        cel_autoscale_set(a, now, cel_loop_now(w->loop));
    }
    a->max = max;
    a->min = min;
    w->policy.concurrency = max;
    cel_worker_update_prefetch(w);
    cel_worker_dispatch(w);
    return CELERY_OK;
}

struct cel_node *cel_control_autoscale(struct cel_control_call *c)
{
    const struct cel_autoscale *a = &c->w->policy.autoscale;
    int64_t max, min;

    if (a->max == 0) {
        return cel_control_raise(c, "ValueError", "Autoscale not enabled");
    }
    if (!read_number(c, "max", a->max, &max) || !read_number(c, "min", a->min, &min)) {
        return not_a_number(c);
    }
    min = min < 1 ? 1 : min;
    max = max < min ? min : max;
    if (rescale(c->w, (unsigned)max, (unsigned)min) < 0) {
        return cel_control_raise(c, "ValueError", "the pool cannot have so many slots");
    }
    return cel_control_ok(c, "autoscale now max=%u min=%u", a->max, a->min);
}

/* Code is not loaded anew here; whoever wants that restarts the worker (SIGHUP). */
struct cel_node *cel_control_pool_restart(struct cel_control_call *c)
{
    return cel_control_raise(c, "ValueError", "Pool restarts not enabled");
}
