/* SPDX-License-Identifier: BSD-3-Clause */
/* worker-online, worker-heartbeat, worker-offline (celery/worker/heartbeat.py Heart). */
#include "worker/events_state.h"

#include <math.h>
#include <stdlib.h>
#include <sys/utsname.h>

static size_t count_active(const struct celery_worker *w)
{
    size_t n = 0;

    for (const struct cel_list *it = w->requests.next; it != &w->requests;
         it = it->next) {
        const struct cel_request *r = cel_container_of(it, struct cel_request, node);

        n += r->started && r->state < CEL_REQ_REPORTING;
    }
    return n;
}

/* Tasks that were started (celery/worker/state.py all_total_count). */
static uint64_t count_processed(const struct celery_worker *w)
{
    uint64_t n = 0;

    for (size_t i = 0; i < w->policy.n_tasks; i++) {
        n += w->policy.tasks[i].total;
    }
    return n;
}

/* celery/utils/sysinfo.py load_average(): two decimals, rounded up. */
static void add_load(struct cel_buf *out)
{
    struct cel_buf text = {0};
    double load[3] = {0};

    if (getloadavg(load, 3) < 3) {
        load[0] = load[1] = load[2] = 0;
    }
    for (size_t i = 0; i < 3; i++) {
        cel_buf_adds(&text, i == 0 ? "[" : ", ");
        cel_json_write_double(&text, ceil(load[i] * 1e2) / 1e2);
    }
    cel_buf_addc(&text, ']');
    cel_event_json(out, "loadavg", cel_buf_slice(&text));
    cel_buf_fini(&text);
}

static void add_software(struct cel_buf *out)
{
    struct utsname name;

    cel_event_text(out, "sw_ident", CEL_SLICE("libcelery-c"));
    cel_event_text(out, "sw_ver", cel_slice_of(celery_version()));
    cel_event_text(out, "sw_sys",
                   cel_slice_of(uname(&name) < 0 ? "Linux" : name.sysname));
}

static void send(struct cel_events *e, const char *type)
{
    cel_event_source_refresh(&e->source);
    cel_event_source_refresh(&e->sender);
    struct cel_buf *out = cel_events_begin(e);
    if (!out) {
        return;
    }
    cel_event_double(out, "freq", e->interval);
    cel_event_int(out, "active", (int64_t)count_active(e->w));
    cel_event_int(out, "processed", (int64_t)count_processed(e->w));
    add_load(out);
    add_software(out);
    cel_events_end(e, type);
}

/* celery/worker/control.py heartbeat() */
void cel_events_beat_once(struct cel_events *e)
{
    struct cel_buf *out = cel_events_begin(e);

    if (out) {
        cel_event_int(out, "freq", 5);
        add_software(out);
        cel_events_end(e, "worker-heartbeat");
    }
}

static void on_beat(void *ctx)
{
    struct cel_events *e = ctx;

    cel_events_look(e);
    if (e->interval > 0 && e->open) {
        send(e, "worker-heartbeat");
    }
    cel_source_rearm(e->beat, cel_loop_now(e->w->loop) + e->period);
}

void cel_heartbeat_start(struct cel_events *e)
{
    if (e->interval > 0) {
        send(e, "worker-online");
    }
    cel_source_rearm(e->beat, cel_loop_now(e->w->loop) + e->period);
}

void cel_heartbeat_stop(struct cel_events *e)
{
    cel_source_disarm(e->beat);
}

void cel_heartbeat_end(struct cel_events *e)
{
    cel_heartbeat_stop(e);
    if (e->interval > 0) {
        send(e, "worker-offline");
    }
}

celery_status cel_heartbeat_init(struct cel_events *e, celery_error *err)
{
    const struct cel_config *c = e->w->app->config;
    bool wanted = cel_config_bool(c, "worker_enable_heartbeat");
    double seconds = cel_config_double(c, "worker_heartbeat_interval", 2);

    e->interval = wanted ? seconds : 0;
    e->period = e->interval > 0 ? e->interval : 2;
    celery_status status = cel_loop_add_timer(e->w->loop, &e->beat, 0, on_beat, e);
    if (status == CELERY_OK) {
        cel_source_disarm(e->beat);
    }
    return status;
}

void cel_heartbeat_fini(struct cel_events *e)
{
    cel_source_free(e->beat);
}
