/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/policy.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/transport.h"
#include "worker/identity.h"

static double or_zero(double own, double setting)
{
    return own >= 0 ? own : setting;
}

/* celery/app/task.py Task.bind (5.7): the one flag split in two, with the old as fallback. */
static bool acks_on(const celery_app *app, const struct cel_task_def *t,
                    enum cel_tristate own, const char *setting)
{
    if (own == CEL_UNSET && !cel_config_is_set(app->config, setting)) {
        own = t->acks_on_failure_or_timeout;
        setting = "task_acks_on_failure_or_timeout";
    }
    return cel_task_option(app, own, setting);
}

static void task_policy(struct cel_task_policy *p, const celery_app *app,
                        const struct cel_task_def *t, double default_rate)
{
    const struct cel_config *c = app->config;

    *p = (struct cel_task_policy){
        .acks_late = cel_task_option(app, t->acks_late, "task_acks_late"),
        .acks_on_failure = acks_on(app, t, t->acks_on_failure, "task_acks_on_failure"),
        .acks_on_timeout = acks_on(app, t, t->acks_on_timeout, "task_acks_on_timeout"),
        .reject_on_worker_lost =
            cel_task_option(app, t->reject_on_worker_lost, "task_reject_on_worker_lost"),
        .retry_on_worker_lost =
            cel_task_option(app, t->retry_on_worker_lost, "task_retry_on_worker_lost"),
        .ignore_result = cel_task_option(app, t->ignore_result, "task_ignore_result"),
        .store_errors_even_if_ignored = cel_task_option(
            app, t->store_errors_even_if_ignored, "task_store_errors_even_if_ignored"),
        .send_events = t->send_events != CEL_NO,
        .track_started = cel_task_option(app, t->track_started, "task_track_started"),
        .time_limit = or_zero(t->time_limit, cel_config_double(c, "task_time_limit", 0)),
        .soft_time_limit =
            or_zero(t->soft_time_limit, cel_config_double(c, "task_soft_time_limit", 0)),
        .rate = cel_config_bool(c, "worker_disable_rate_limits")
                    ? 0
                    : or_zero(t->rate, default_rate),
    };
}

static void prefetch_policy(struct cel_worker_policy *p, const struct cel_config *c)
{
    const char *text = cel_config_text(c, "worker_prefetch_multiplier");

    p->disable_prefetch = cel_config_bool(c, "worker_disable_prefetch");
    p->prefetch_auto = text && strcmp(text, "auto") == 0;
    p->prefetch_multiplier =
        p->prefetch_auto ? 4 : cel_config_double(c, "worker_prefetch_multiplier", 4);
}

static void connection_policy(struct cel_worker_policy *p, const struct cel_config *c)
{
    p->connection_retry = cel_config_bool(c, "broker_connection_retry");
    p->channel_error_retry = cel_config_bool(c, "broker_channel_error_retry");
    p->connection_retry_on_startup =
        cel_config_is_set(c, "broker_connection_retry_on_startup")
            ? cel_config_bool(c, "broker_connection_retry_on_startup")
            : p->connection_retry;
    p->connection_max_retries = cel_config_int(c, "broker_connection_max_retries", 100);
}

static void limits_policy(struct cel_worker_policy *p, const struct cel_config *c)
{
    p->limits.max_body = (size_t)cel_config_int(c, "worker_max_body_bytes", 16 << 20);
    p->limits.json.depth = (unsigned)cel_config_int(c, "worker_max_depth", 0);
    p->limits.accept = cel_config_list(c, "accept_content");
    p->eta_limit = (size_t)cel_config_int(c, "worker_eta_task_limit", 10000);
    p->crash_budget = cel_config_int(c, "worker_redelivery_budget", 3);
    p->store_deadline = cel_config_double(c, "worker_result_store_deadline", 900);
}

celery_status cel_worker_policy_init(struct cel_worker_policy *p, const celery_app *app,
                                     celery_error *err)
{
    const struct cel_config *c = app->config;

    *p = (struct cel_worker_policy){
        .result_extended = cel_config_bool(c, "result_extended"),
        .soft_shutdown = cel_config_double(c, "worker_soft_shutdown_timeout", 0),
        .soft_shutdown_idle = cel_config_bool(c, "worker_enable_soft_shutdown_on_idle"),
        .shutdown_timeout = cel_config_double(c, "worker_shutdown_timeout", 0),
        .every_step = cel_config_bool(c, "worker_publish_every_step"),
        .cancel_void =
            cel_config_bool(c, "worker_cancel_long_running_tasks_on_connection_loss"),
        .deduplicate = cel_config_bool(c, "worker_deduplicate_successful_tasks"),
        .send_task_repr = cel_log_on(CELERY_LOG_INFO),
    };
    int64_t concurrency = cel_config_int(c, "worker_concurrency", 0);
    p->concurrency = concurrency > 0 ? (unsigned)concurrency : cel_cpu_count();
    const char *scale = cel_config_text(c, "worker_autoscale");
    if (scale && !cel_autoscale_parse(scale, &p->autoscale)) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "worker_autoscale: %.40s is not MAX,MIN, two numbers of slots", scale);
    }
    if (scale) {
        p->concurrency = p->autoscale.max;
    }
    prefetch_policy(p, c);
    connection_policy(p, c);
    limits_policy(p, c);
    p->n_tasks = app->n_tasks;
    p->tasks = cel_calloc(app->n_tasks + 1, sizeof *p->tasks);
    if (!p->tasks) {
        return cel_error_nomem(err);
    }
    const char *text = cel_config_text(c, "task_default_rate_limit");
    double rate = 0;
    if (text && !cel_rate_parse(text, &rate)) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "task_default_rate_limit: %.40s is no rate (10/s, 100/m, 1000/h)", text);
    }
    for (size_t i = 0; i < app->n_tasks; i++) {
        task_policy(&p->tasks[i], app, app->tasks[i], rate);
    }
    return CELERY_OK;
}

void cel_worker_policy_fini(struct cel_worker_policy *p)
{
    for (size_t i = 0; p->tasks && i < p->n_tasks; i++) {
        cel_free(p->tasks[i].rate_limit);
    }
    cel_free(p->tasks);
    *p = (struct cel_worker_policy){0};
}
