/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers, as their events tell of them (celery/events/state.py Worker). */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "client/state.h"
#include <math.h>

/* HEARTBEAT_DRIFT_MAX, seconds; HEARTBEAT_EXPIRE_WINDOW, of freq. */
#define DRIFT_MAX     16.0
#define EXPIRE_WINDOW 2.0

/* Worker.freq when it has not said. */
#define FREQ 60.0

/* A line about clocks at most every so many seconds. */
#define WARN_EVERY 1.0

struct cel_state_worker *cel_state_worker_free(struct cel_state_worker *w)
{
    if (w) {
        cel_free((void *)w->pub.hostname);
        cel_free((void *)w->pub.ident);
        cel_free((void *)w->pub.version);
        cel_free((void *)w->pub.system);
        cel_free(w);
    }
    return NULL;
}

static struct cel_state_worker *new_worker(struct celery_state *s, const char *hostname,
                                           celery_error *err)
{
    struct cel_slice key = cel_slice_of(hostname);
    struct cel_state_worker *w;

    while (s->by_hostname.count >= s->max_workers) {
        w = cel_container_of(cel_list_first(&s->workers), struct cel_state_worker, node);
        cel_map_del(&s->by_hostname, cel_slice_of(w->pub.hostname));
        cel_list_remove(&w->node);
        cel_state_worker_free(w);
    }
    w = cel_calloc(1, sizeof *w);
    if (w) {
        w->pub.hostname = cel_strdup(hostname);
        w->pub.freq = FREQ;
        w->pub.active = w->pub.processed = -1;
        w->pub.loadavg[0] = w->pub.loadavg[1] = w->pub.loadavg[2] = -1;
    }
    if (!w || !w->pub.hostname || cel_map_set(&s->by_hostname, key, w, NULL) < 0) {
        cel_state_worker_free(w);
        cel_error_nomem(err);
        return NULL;
    }
    cel_list_append(&s->workers, &w->node);
    return w;
}

/* ---- what an event says ---- */

static void take_int(const struct cel_node *fields, const char *name, int64_t *ret)
{
    int64_t value = cel_node_int(cel_node_get(fields, cel_slice_of(name)), -1);

    if (value >= 0) {
        *ret = value;
    }
}

static bool take_double(const struct cel_node *value, double *ret)
{
    double d = cel_node_double(value, -1);

    if (!isfinite(d) || d < 0 || d > 1e12) {
        return false;
    }
    *ret = d;
    return true;
}

static celery_status take_text(const struct cel_node *fields, const char *name,
                               const char **ret)
{
    const struct cel_node *n = cel_node_get(fields, cel_slice_of(name));
    struct cel_slice text = cel_node_text(n);

    if (!cel_node_is_string(n) || text.len > CEL_STATE_NAME) {
        return CELERY_OK;
    }
    return cel_state_set_text(ret, text);
}

static celery_status take_fields(celery_state_worker *w, const celery_event *event)
{
    const struct cel_node *f = event->fields;
    const struct cel_node *load = cel_node_get(f, CEL_SLICE("loadavg"));

    w->clock = event->clock;
    w->pid = event->pid ? event->pid : w->pid;
    take_int(f, "active", &w->active);
    take_int(f, "processed", &w->processed);
    take_double(cel_node_get(f, CEL_SLICE("freq")), &w->freq);
    if (load && load->kind == CELERY_KIND_ARRAY && load->size == 3) {
        load = cel_node_first(load);
        for (size_t i = 0; i < 3; i++, load = load->next) {
            take_double(load, &w->loadavg[i]);
        }
    }
    if (take_text(f, "sw_ident", &w->ident) < 0 ||
        take_text(f, "sw_ver", &w->version) < 0) {
        return CELERY_ENOMEM;
    }
    return take_text(f, "sw_sys", &w->system);
}

/* The newest of the heartbeats upstream keeps four of; it is the only one that counts. */
static void beat(struct cel_state_worker *w, double when)
{
    w->pub.heartbeat = when > w->pub.heartbeat ? when : w->pub.heartbeat;
}

/* Once for each worker. */
static void check_drift(struct celery_state *s, struct cel_state_worker *w,
                        const celery_event *event)
{
    double drift = fabs(event->received - event->timestamp);
    double now = cel_clock_mono();

    if (drift <= DRIFT_MAX || w->drifts || (s->warned && now - s->warned < WARN_EVERY)) {
        return;
    }
    w->drifts = true;
    s->warned = now;
    cel_log(
        CELERY_LOG_WARNING,
        "Substantial drift from %s may mean clocks are out of sync.  Current drift is "
        "%.0f seconds.",
        cel_log_safe(cel_slice_of(w->pub.hostname)), drift);
}

celery_status cel_state_worker_event(struct celery_state *s, const char *subject,
                                     const celery_event *event, celery_error *err)
{
    struct cel_state_worker *w =
        cel_map_get(&s->by_hostname, cel_slice_of(event->hostname));
    bool offline = strcmp(subject, "offline") == 0;

    if (!w && offline) {
        return CELERY_NONE;
    }
    if (!w) {
        w = new_worker(s, event->hostname, err);
    }
    if (!w || take_fields(&w->pub, event) < 0) {
        return cel_error_nomem(err);
    }
    if (offline) {
        w->pub.heartbeat = 0;
    } else if (event->timestamp != 0 && event->received != 0) {
        check_drift(s, w, event);
        beat(w, event->received);
    }
    return CELERY_OK;
}

/* Upstream hands local_received and timestamp over in each other's place: the latter counts. */
celery_status cel_state_worker_works(struct celery_state *s, const celery_event *event,
                                     celery_error *err)
{
    struct cel_state_worker *w =
        cel_map_get(&s->by_hostname, cel_slice_of(event->hostname));

    if (!w) {
        w = new_worker(s, event->hostname, err);
    }
    if (!w) {
        return CELERY_ENOMEM;
    }
    if (event->received != 0) {
        check_drift(s, w, event);
        beat(w, event->timestamp);
    }
    return CELERY_OK;
}

/* ---- asking ---- */

static const celery_state_worker *look(struct cel_state_worker *w, double now)
{
    double expires = w->pub.heartbeat + w->pub.freq * EXPIRE_WINDOW;

    w->pub.alive = w->pub.heartbeat != 0 && (now ? now : cel_clock_wall()) < expires;
    return &w->pub;
}

void celery_state_count(const celery_state *s, double now, celery_state_counts *ret)
{
    struct cel_list *it;

    *ret = (celery_state_counts){0};
    if (!s) {
        return;
    }
    ret->events = s->events;
    ret->received = s->received;
    ret->workers = s->by_hostname.count;
    ret->tasks = s->by_uuid.count;
    for (it = s->workers.next; it != &s->workers; it = it->next) {
        ret->alive +=
            look(cel_container_of(it, struct cel_state_worker, node), now)->alive;
    }
}

const celery_state_worker *celery_state_worker_of(celery_state *s, const char *hostname,
                                                  double now)
{
    struct cel_state_worker *w =
        s && hostname ? cel_map_get(&s->by_hostname, cel_slice_of(hostname)) : NULL;

    return w ? look(w, now) : NULL;
}

void celery_state_each_worker(celery_state *s, double now, celery_state_worker_fn fn,
                              void *ctx)
{
    struct cel_list *it, *tmp;

    if (!s) {
        return;
    }
    cel_list_foreach(it, tmp, &s->workers) {
        if (!fn(ctx, look(cel_container_of(it, struct cel_state_worker, node), now))) {
            return;
        }
    }
}
