/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings as the worker uses them: read once, so that the hot path asks no names. */
#ifndef CEL_WORKER_POLICY_H
#define CEL_WORKER_POLICY_H

#include "app/app.h"
#include "worker/autoscale.h"

/* What holds for one registered task: its own options over the settings. */
struct cel_task_policy {
    bool acks_late;
    bool acks_on_failure;
    bool acks_on_timeout;
    bool reject_on_worker_lost;
    bool retry_on_worker_lost;
    bool ignore_result;
    bool store_errors_even_if_ignored;
    bool track_started;
    bool send_events;
    double time_limit;      /* seconds; 0: none */
    double soft_time_limit; /* seconds; 0: none */
    double rate;            /* starts per second; 0: no limit */
    char *rate_limit;       /* as told at run time; NULL: as it was registered */
    uint64_t total;         /* starts */
    double average;         /* recent run time in seconds, for the automatic prefetch */
};

struct cel_worker_policy {
    unsigned concurrency; /* slots, at most */
    struct cel_autoscale autoscale;
    double prefetch_multiplier; /* 0: no limit */
    bool prefetch_auto;
    bool disable_prefetch; /* worker_disable_prefetch */
    size_t eta_limit;      /* messages held for their ETA */
    bool every_step;       /* worker_publish_every_step */
    bool result_extended;
    bool send_task_repr;     /* result repr wanted: INFO is logged */
    int64_t crash_budget;    /* worker_redelivery_budget */
    bool count_starts;       /* of redelivered messages: a task may end this process */
    bool cancel_void;        /* worker_cancel_long_running_tasks_on_connection_loss */
    bool deduplicate;        /* worker_deduplicate_successful_tasks */
    double store_deadline;   /* worker_result_store_deadline */
    double soft_shutdown;    /* worker_soft_shutdown_timeout */
    bool soft_shutdown_idle; /* worker_enable_soft_shutdown_on_idle */
    double shutdown_timeout; /* worker_shutdown_timeout; 0: wait for running tasks */
    bool connection_retry;
    bool connection_retry_on_startup;
    bool channel_error_retry;       /* broker_channel_error_retry */
    int64_t connection_max_retries; /* 0: no limit */
    struct cel_call_limits limits;
    struct cel_task_policy *tasks; /* by cel_task_def.index */
    size_t n_tasks;
};

/* Reads everything; the app is frozen.  CELERY_ECONFIG, CELERY_ENOMEM. */
celery_status cel_worker_policy_init(struct cel_worker_policy *p, const celery_app *app,
                                     celery_error *err);
void cel_worker_policy_fini(struct cel_worker_policy *p);

#endif
