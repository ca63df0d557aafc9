/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/worker.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "worker/cgroup.h"
#include "worker/control.h"
#include "worker/embedded_beat.h"
#include "worker/events.h"
#include "worker/gossip.h"
#include "worker/health.h"
#include "worker/identity.h"
#include "worker/link_events.h"
#include "worker/mingle.h"
#include "worker/otlp.h"
#include "worker/redelivered.h"
#include "worker/request.h"
#include "worker/schedule.h"
#include "worker/shutdown.h"
#include "worker/slots.h"
#include "worker/statedb.h"

#include <unistd.h>

/* Celery's CELERY_WORKER_SUCCESSFUL_MAX and _EXPIRES. */
#define SUCCESSFUL_MAX     1000
#define SUCCESSFUL_EXPIRES 10800.0

static celery_status make_router(struct celery_worker *w, celery_error *err)
{
    const struct cel_config *c = w->app->config;

    celery_status status = cel_router_new(c, &w->router, err);
    if (status < 0) {
        return status;
    }
    status = cel_router_select(w->router, cel_config_list(c, "worker_queues"),
                               cel_config_list(c, "worker_exclude_queues"), err);
    if (status == CELERY_OK && cel_config_bool(c, "worker_direct")) {
        status = cel_router_add_direct(w->router, w->hostname, err);
    }
    return status;
}

/* The kernel would end a child before it is replaced for its size. */
static void check_memory(const struct cel_pool_options *options)
{
    int64_t limit = cel_cgroup_memory("/sys/fs/cgroup", "/proc/self/cgroup");
    int64_t slots = options->max_slots ? options->max_slots : options->slots;

    if (options->max_memory_per_child > 0 && limit > 0 &&
        options->max_memory_per_child > limit / 1024 / slots) {
        cel_log(
            CELERY_LOG_WARNING,
            "worker_max_memory_per_child: %lld processes of %lld KiB are more than the "
            "%lld KiB of this control group",
            (long long)slots, (long long)options->max_memory_per_child,
            (long long)(limit / 1024));
    }
}

static celery_status make_pool(struct celery_worker *w, celery_error *err)
{
    const struct cel_config *c = w->app->config;
    const struct cel_pool_ops *ops =
        cel_pool_find(cel_config_text(c, "worker_pool"), err);
    struct cel_pool_options options = {
        .app = w->app,
        .hostname = w->hostname,
        .slots = w->policy.concurrency,
        .max_tasks_per_child = cel_config_int(c, "worker_max_tasks_per_child", 0),
        .max_memory_per_child = cel_config_int(c, "worker_max_memory_per_child", 0),
        .limits = w->policy.limits,
        .proc_alive_timeout = cel_config_double(c, "worker_proc_alive_timeout", 4),
    };

    if (!ops) {
        return CELERY_ECONFIG;
    }
    if (w->policy.autoscale.max > 0 && ops == &cel_pool_solo) {
        cel_log(CELERY_LOG_WARNING, "--autoscale is of no effect with the solo pool");
        w->policy.autoscale.max = 0;
    } else if (w->policy.autoscale.max > 0) {
        options.slots = w->policy.autoscale.now;
        options.max_slots = w->policy.autoscale.max;
    }
    if (ops == &cel_pool_solo) {
        w->policy.concurrency = options.slots = 1;
    }
    check_memory(&options);
    celery_status status =
        cel_pool_new(ops, &options, &cel_request_pool_events, w, &w->pool, err);
    if (status < 0) {
        return status;
    }
    return w->pool->ops->prepare ? w->pool->ops->prepare(w->pool, err) : CELERY_OK;
}

static celery_status make_name(struct celery_worker *w, celery_error *err)
{
    const struct cel_config *c = w->app->config;
    const char *given = cel_config_text(c, "worker_hostname");
    const char *broker = cel_config_text(c, "broker_read_url");

    if (given && *given) {
        w->hostname = cel_node_name(given);
    } else {
        w->hostname = cel_node_claim(broker ? broker : cel_config_text(c, "broker_url"),
                                     &w->name_claim);
    }
    if (!w->hostname) {
        return cel_error_nomem(err);
    }
    if (w->name_claim >= 0 && strncmp(w->hostname, "celery@", 7) != 0) {
        cel_log(
            CELERY_LOG_WARNING,
            "Another worker on this host and broker is celery@%s: this one is %s. Name "
            "workers with -n.",
            strchr(w->hostname, '@') + 1, w->hostname);
    }
    return CELERY_OK;
}

celery_status cel_worker_prepare(celery_app *app, struct celery_worker **ret_worker,
                                 celery_error *err)
{
    celery_status status = cel_app_freeze(app, err);
    struct celery_worker *w = status < 0 ? NULL : cel_calloc(1, sizeof *w);

    if (status < 0) {
        return status;
    }
    if (!w) {
        return cel_error_nomem(err);
    }
    w->app = app;
    cel_list_init(&w->requests);
    cel_list_init(&w->ready);
    cel_list_init(&w->asks);
    cel_list_init(&w->suspects);
    cel_list_init(&w->lookups);
    w->name_claim = -1;
    status = make_name(w, err);
    if (status == CELERY_OK) {
        status = cel_revoked_init(&w->revoked, err);
    }
    if (status == CELERY_OK) {
        status = cel_worker_policy_init(&w->policy, app, err);
    }
    if (status == CELERY_OK && w->policy.deduplicate) {
        w->successful = cel_ageset_new(SUCCESSFUL_MAX, SUCCESSFUL_EXPIRES);
        status = w->successful ? CELERY_OK : cel_error_nomem(err);
    }
    if (status == CELERY_OK) {
        status = make_router(w, err);
    }
    if (status == CELERY_OK) {
        status = make_pool(w, err);
    }
    if (status < 0) {
        celery_worker_free(w);
        return status;
    }
    *ret_worker = w;
    return CELERY_OK;
}

/* Ready tasks may have waited for that; see cel_worker_on_dispatch(). */
static void on_fewer_results(void *ctx)
{
    struct celery_worker *w = ctx;

    if (!cel_list_empty(&w->ready)) {
        cel_worker_dispatch(w);
    }
}

static celery_status open_results(struct celery_worker *w, celery_error *err)
{
    struct cel_url **urls = NULL;
    size_t n = 0;
    celery_status status = cel_backend_urls(w->app->config, &urls, &n, err);

    if (status < 0) {
        cel_url_free_list(urls, n);
        return status;
    }
    status = cel_results_new(w->loop, urls, n, w->app->config, w->policy.store_deadline,
                             &w->results, err);
    if (status == CELERY_OK) {
        cel_results_on_fewer(w->results, on_fewer_results, w);
    }
    return status;
}

static void on_wake(void *ctx)
{
    struct celery_worker *w = ctx;

    if (w->stop_asked) {
        cel_worker_shutdown(w, CEL_SHUTDOWN_WARM);
    }
}

/* ---- the parts, each opened when those before it are there ---- */

static celery_status open_loop(struct celery_worker *w, celery_error *err)
{
    celery_status status = cel_loop_new(&w->loop, err);

    if (status == CELERY_OK) {
        status = cel_loop_add_hook(w->loop, &w->dispatch, cel_worker_on_dispatch, w);
    }
    return status == CELERY_OK ? cel_loop_add_wake(w->loop, &w->wake, on_wake, w)
                               : status;
}

static celery_status open_pool(struct celery_worker *w, celery_error *err)
{
    w->began_at = cel_loop_now(w->loop);
    w->pool->loop = w->loop;
    return w->pool->ops->start(w->pool, err);
}

static celery_status open_link(struct celery_worker *w, celery_error *err)
{
    return cel_link_new(w->loop, &w->policy, w->app->config, w->router,
                        &cel_worker_link_events, w, &w->link, err);
}

static celery_status open_statedb(struct celery_worker *w, celery_error *err)
{
    return cel_statedb_open(w, &w->statedb, err);
}

/* What talks to other workers and to those who watch: it subscribes the link. */
static celery_status open_company(struct celery_worker *w, celery_error *err)
{
    celery_status status = cel_control_new(w, &w->control, err);

    if (status == CELERY_OK) {
        status = cel_mingle_new(w, &w->mingle, err);
    }
    if (status == CELERY_OK) {
        status = cel_gossip_new(w, &w->gossip, err);
    }
    if (status == CELERY_OK) {
        status = cel_events_new(w, &w->events, err);
    }
    return status;
}

static celery_status open_otlp(struct celery_worker *w, celery_error *err)
{
    return cel_otlp_new(w, &w->otlp, err);
}

celery_status cel_worker_start(struct celery_worker *w, celery_error *err)
{
    static celery_status (*const parts[])(struct celery_worker *, celery_error *) = {
        open_loop,
        cel_shutdown_init,
        cel_schedule_init,
        open_pool,
        cel_worker_start_scaling,
        open_results,
        open_link,
        open_statedb,
        open_company,
        cel_health_start,
        open_otlp,
    };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        celery_status status = parts[i](w, err);

        if (status < 0) {
            return status;
        }
    }
    cel_redelivered_init(w);
    cel_worker_update_prefetch(w);
    cel_worker_update_credit(w);
    cel_results_connect(w->results);
    cel_link_start(w->link, w->purge);
    if (w->stop_asked) { /* before there was a loop to wake */
        cel_loop_wake(w->loop);
    }
    return CELERY_OK;
}

int cel_worker_loop(struct celery_worker *w)
{
    cel_loop_run(w->loop);
    cel_events_close(w->events);
    cel_otlp_close(w->otlp);
    w->shutdown = CEL_SHUTDOWN_DONE;
    return w->exit_code;
}

/* ---- public ---- */

celery_worker *celery_worker_new(celery_app *app, celery_error *err)
{
    struct celery_worker *w = NULL;

    if (!app) {
        return NULL;
    }
    return cel_worker_prepare(app, &w, err) < 0 ? NULL : w;
}

celery_status celery_worker_run(celery_worker *w, celery_error *err)
{
    if (!w) {
        return CELERY_EINVAL;
    }
    celery_status status = cel_worker_start(w, err);
    if (status < 0) {
        return status;
    }
    if (cel_worker_loop(w) != 0 && w->failure.status < 0) {
        if (err) {
            *err = w->failure;
        }
        return w->failure.status;
    }
    return CELERY_OK;
}

void celery_worker_stop(celery_worker *w)
{
    if (w) {
        w->stop_asked = 1;
        if (w->loop) {
            cel_loop_wake(w->loop);
        }
    }
}

static void free_requests(struct celery_worker *w)
{
    struct cel_list *it;

    while ((it = cel_list_first(&w->requests))) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        cel_list_remove(it);
        cel_schedule_remove(r);
        cel_redelivered_forget(r);
        cel_envelope_free(r->envelope);
    }
}

void celery_worker_free(celery_worker *w)
{
    if (!w) {
        return;
    }
    w->shutdown = CEL_SHUTDOWN_DONE;
    w->beat = cel_embedded_beat_free(w->beat);
    cel_health_stop(w);
    cel_sdnotify_stop(w);
    cel_vitals_fini(w);
    cel_pool_free(w->pool);
    w->link = cel_link_free(w->link);
    w->results = cel_results_free(w->results);
    w->control = cel_control_free(w->control);
    w->mingle = cel_mingle_free(w->mingle);
    w->gossip = cel_gossip_free(w->gossip);
    w->otlp = cel_otlp_free(w->otlp);
    w->events = cel_events_free(w->events);
    w->statedb = cel_statedb_close(w->statedb);
    free_requests(w);
    cel_schedule_fini(w);
    cel_source_free(w->scale);
    cel_source_free(w->dispatch);
    cel_source_free(w->wake);
    cel_source_free(w->tick);
    cel_loop_free(w->loop);
    cel_router_free(w->router);
    cel_worker_policy_fini(&w->policy);
    cel_revoked_fini(&w->revoked);
    cel_ageset_free(w->successful);
    if (w->name_claim >= 0) {
        close(w->name_claim);
    }
    cel_free(w->hostname);
    cel_free(w);
}
