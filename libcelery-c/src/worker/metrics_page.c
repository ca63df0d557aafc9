/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything that is known, as Prometheus reads it. */
#include "worker/metrics.h"

#include "base/clock.h"
#include "worker/cgroup.h"
#include "worker/events.h"
#include "worker/process_stat.h"
#include "worker/request.h"

/* Children whose memory is looked at; with more of them only so many are. */
#define CHILDREN_MAX 256

#define PREFIX "celery_worker_"

const char *cel_metric_outcome_name(enum cel_metric_outcome outcome)
{
    static const char *const names[CEL_ENDED_KINDS] = {
        [CEL_ENDED_SUCCEEDED] = "succeeded", [CEL_ENDED_FAILED] = "failed",
        [CEL_ENDED_RETRIED] = "retried",     [CEL_ENDED_IGNORED] = "ignored",
        [CEL_ENDED_REJECTED] = "rejected",   [CEL_ENDED_REVOKED] = "revoked",
        [CEL_ENDED_EXPIRED] = "expired",     [CEL_ENDED_TIMEOUT] = "timeout",
        [CEL_ENDED_LOST] = "lost",           [CEL_ENDED_CANCELLED] = "cancelled",
        [CEL_ENDED_MALFORMED] = "malformed",
    };

    return names[outcome];
}

/* ---- tasks ---- */

static const char *name_of(const struct cel_metrics *m, size_t i)
{
    return i + 1 < m->n_tasks ? m->w->app->tasks[i]->name : "unknown";
}

static void write_ended(struct cel_metric_writer *mw, const struct cel_metrics *m)
{
    cel_metric_family(mw, PREFIX "tasks_total", "counter",
                      "Tasks that ended here, by name and outcome.");
    for (size_t i = 0; i < m->n_tasks; i++) {
        for (int k = 0; k < CEL_ENDED_KINDS; k++) {
            const char *const labels[] = {"task", name_of(m, i), "outcome",
                                          cel_metric_outcome_name(k), NULL};

            if (m->tasks[i].ended[k] > 0) {
                cel_metric_count(mw, labels, m->tasks[i].ended[k]);
            }
        }
    }
}

static void write_started(struct cel_metric_writer *mw, const struct cel_metrics *m)
{
    cel_metric_family(mw, PREFIX "tasks_started_total", "counter",
                      "Tasks that began to run, by name.");
    for (size_t i = 0; i + 1 < m->n_tasks; i++) {
        const char *const labels[] = {"task", name_of(m, i), NULL};

        cel_metric_count(mw, labels, m->tasks[i].started);
    }
}

static void write_histograms(struct cel_metric_writer *mw, const struct cel_metrics *m,
                             size_t offset)
{
    for (size_t i = 0; i < m->n_tasks; i++) {
        const char *const labels[] = {"task", name_of(m, i), NULL};
        const struct cel_histogram *h =
            (const void *)((const char *)&m->tasks[i] + offset);

        if (cel_histogram_count(h) > 0) {
            cel_metric_histogram(mw, labels, h);
        }
    }
}

static void write_tasks(struct cel_metric_writer *mw, const struct cel_metrics *m)
{
    write_ended(mw, m);
    write_started(mw, m);
    cel_metric_family(mw, PREFIX "task_runtime_seconds", "histogram",
                      "Time in the task function, by name.");
    write_histograms(mw, m, offsetof(struct cel_task_metrics, runtime));
    cel_metric_family(
        mw, PREFIX "task_wait_seconds", "histogram",
        "Time in this worker between arrival, or ETA, and the start, by name.");
    write_histograms(mw, m, offsetof(struct cel_task_metrics, wait));
}

/* ---- messages ---- */

static void write_held(struct cel_metric_writer *mw, const struct celery_worker *w)
{
    size_t states[CEL_REQ_STATES] = {0};
    size_t unacked = 0;

    for (const struct cel_list *it = w->requests.next; it != &w->requests;
         it = it->next) {
        const struct cel_request *r = cel_container_of(it, struct cel_request, node);

        states[r->state]++;
        unacked += !r->acknowledged && !r->void_tag;
    }
    cel_metric_family(mw, PREFIX "messages", "gauge", "Messages held, by state.");
    for (int s = 0; s < CEL_REQ_DONE; s++) {
        static const char *const names[] = {"waiting", "ready",    "submitted",
                                            "running", "stopping", "reporting",
                                            "settling"};
        const char *const labels[] = {"state", names[s], NULL};

        cel_metric_count(mw, labels, states[s]);
    }
    cel_metric_gauge(mw, PREFIX "unacked_messages",
                     "Messages held that are not acknowledged.", (double)unacked);
    cel_metric_gauge(mw, PREFIX "held_messages",
                     "Messages held for their ETA or rate limit.",
                     (double)w->n_held_back);
    cel_metric_gauge(mw, PREFIX "prefetch_limit",
                     "Messages that may be held at a time; 0: no limit.",
                     cel_link_prefetch(w->link));
}

static void write_messages(struct cel_metric_writer *mw, const struct celery_worker *w)
{
    const struct cel_worker_counts *n = &w->counts;

    cel_metric_counter(mw, PREFIX "messages_received_total",
                       "Messages taken from queues.", n->received);
    cel_metric_counter(mw, PREFIX "messages_returned_total",
                       "Messages given back to their queues.", n->returned);
    cel_metric_counter(mw, PREFIX "messages_parked_total",
                       "Messages moved to the dead letters.", n->parked);
    cel_metric_counter(mw, PREFIX "messages_taken_over_total",
                       "Messages that another worker took over meanwhile.",
                       n->lost_ownership);
    write_held(mw, w);
    cel_metric_gauge(mw, PREFIX "results_waiting", "Results that are not stored yet.",
                     (double)cel_results_waiting(w->results));
    cel_metric_gauge(mw, PREFIX "revoked_ids", "Task ids that are revoked.",
                     (double)cel_ageset_count(w->revoked.ids));
}

/* ---- broker, pool, loop ---- */

static void write_broker(struct cel_metric_writer *mw, const struct celery_worker *w)
{
    uint64_t n = w->vitals.connections;

    cel_metric_gauge(mw, PREFIX "ready", "1 when it consumes and is not shutting down.",
                     cel_vitals_ready(w));
    cel_metric_gauge(mw, PREFIX "broker_connected", "1 when the broker is connected.",
                     cel_link_connected(w->link));
    cel_metric_counter(mw, PREFIX "broker_reconnects_total",
                       "Connections to the broker after the first.", n > 0 ? n - 1 : 0);
    cel_metric_gauge(mw, PREFIX "broker_silence_seconds",
                     "Time since the broker was last heard.", cel_vitals_silence(w));
    cel_metric_gauge(mw, PREFIX "loop_lag_seconds",
                     "By how much the last timer of the event loop was late.",
                     w->vitals.lag);
    cel_metric_gauge(mw, PREFIX "loop_lag_max_seconds",
                     "By how much a timer of the event loop was late at most.",
                     w->vitals.worst_lag);
}

static void write_events(struct cel_metric_writer *mw, const struct celery_worker *w)
{
    cel_metric_counter(mw, PREFIX "events_dropped_total",
                       "Events that the broker did not take in time.",
                       cel_events_dropped(w->events));
    cel_metric_gauge(mw, PREFIX "events_buffered_bytes", "Events that wait to be sent.",
                     (double)cel_events_waiting(w->events));
}

static unsigned slots(const struct celery_worker *w)
{
    return w->policy.autoscale.max > 0 ? w->policy.autoscale.now : w->policy.concurrency;
}

static void write_memory(struct cel_metric_writer *mw, const struct celery_worker *w)
{
    struct cel_process_stat all = {0};
    struct cel_process_stat one;
    int pids[CHILDREN_MAX];
    bool own = w->pool->ops == &cel_pool_prefork;
    size_t n = own ? w->pool->ops->pids(w->pool, pids, CHILDREN_MAX) : 0;

    for (size_t i = 0; i < n; i++) {
        cel_process_stat(pids[i], &one);
        all.resident += one.resident;
        all.proportional += one.proportional;
        all.cpu += one.cpu;
    }
    cel_metric_gauge(mw, PREFIX "pool_processes", "Child processes of the pool.",
                     (double)n);
    cel_metric_gauge(mw, PREFIX "children_resident_memory_bytes",
                     "Resident memory of the child processes, shared pages in each.",
                     (double)all.resident);
    cel_metric_gauge(mw, PREFIX "children_proportional_memory_bytes",
                     "Memory of the child processes, shared pages by their share.",
                     (double)all.proportional);
    cel_metric_gauge(mw, PREFIX "children_cpu_seconds",
                     "Processor time of the child processes that live.", all.cpu);
}

/* Under the names that all clients of Prometheus use. */
static void write_process(struct cel_metric_writer *mw, const struct celery_worker *w)
{
    struct cel_process_stat own;

    cel_process_stat(0, &own);
    cel_metric_gauge(mw, PREFIX "memory_limit_bytes",
                     "Memory that the control group grants; 0: no limit.",
                     (double)cel_cgroup_memory("/sys/fs/cgroup", "/proc/self/cgroup"));
    cel_metric_gauge(mw, "process_resident_memory_bytes",
                     "Resident memory size in bytes.", (double)own.resident);
    cel_metric_gauge(mw, PREFIX "proportional_memory_bytes",
                     "Memory of the main process, shared pages by their share.",
                     (double)own.proportional);
    cel_metric_family(mw, "process_cpu_seconds_total", "counter",
                      "Total user and system CPU time spent in seconds.");
    cel_metric_sample(mw, NULL, own.cpu);
    cel_metric_gauge(mw, "process_start_time_seconds",
                     "Start time of the process since unix epoch in seconds.",
                     own.started);
    cel_metric_gauge(mw, "process_open_fds", "Number of open file descriptors.",
                     (double)own.descriptors);
}

void cel_metrics_write(const struct cel_metrics *m, struct cel_buf *out)
{
    const struct celery_worker *w = m->w;
    struct cel_metric_writer mw = {.out = out};
    const char *const labels[] = {"version", celery_version(),   "hostname", w->hostname,
                                  "pool",    w->pool->ops->name, NULL};

    cel_metric_family(&mw, PREFIX "build_info", "gauge",
                      "Always 1; version, node name and pool as labels.");
    cel_metric_count(&mw, labels, 1);
    cel_metric_gauge(&mw, PREFIX "uptime_seconds", "Time since the worker began.",
                     cel_loop_now(w->loop) - w->began_at);
    write_tasks(&mw, m);
    write_messages(&mw, w);
    write_broker(&mw, w);
    write_events(&mw, w);
    cel_metric_gauge(&mw, PREFIX "pool_slots", "Tasks that can run at a time.", slots(w));
    cel_metric_gauge(&mw, PREFIX "pool_busy", "Tasks that the pool has been given.",
                     (double)w->n_running);
    write_memory(&mw, w);
    write_process(&mw, w);
}
