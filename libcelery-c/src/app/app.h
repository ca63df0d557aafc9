/* SPDX-License-Identifier: BSD-3-Clause */
/* The frozen bundle: settings, registry, router. */
#ifndef CEL_APP_APP_H
#define CEL_APP_APP_H

#include "base/map.h"
#include "config/config.h"
#include "message/queue.h"
#include "message/task.h"
#include <celery/app.h>
#include <celery/control.h>

#define CEL_RETRIES_UNLIMITED (-1)
#define CEL_RETRIES_UNSET     (-2) /* 3: celery/app/task.py Task.max_retries */
#define CEL_RETRY_DELAY       180  /* Task.default_retry_delay */
#define CEL_RETRY_BACKOFF_MAX 600  /* celery/app/autoretry.py */

/* What autoretry_for passes to Task.retry(). */
struct cel_retry_kwargs {
    int64_t max_retries; /* CEL_RETRIES_UNSET: the task's */
    double countdown;    /* < 0: the task's default_retry_delay */
};

/* A registered task and its options; unset ones follow the settings (see cel_task_option). */
struct cel_task_def {
    char *name;
    celery_task_fn fn;
    void *context;
    char *function; /* typing_name: name in TypeErrors; default: last part of name */
    enum cel_tristate acks_late;
    enum cel_tristate acks_on_failure_or_timeout;
    enum cel_tristate acks_on_failure; /* unset: acks_on_failure_or_timeout */
    enum cel_tristate acks_on_timeout;
    enum cel_tristate reject_on_worker_lost;
    enum cel_tristate retry_on_worker_lost;
    enum cel_tristate ignore_result;
    enum cel_tristate new_style_errback; /* takes request, exception, traceback */
    enum cel_tristate store_errors_even_if_ignored;
    enum cel_tristate track_started;
    enum cel_tristate send_events; /* unset: yes (celery/app/task.py) */
    double time_limit;             /* < 0: unset */
    double soft_time_limit;        /* < 0: unset */
    int64_t max_retries;           /* or CEL_RETRIES_UNLIMITED, CEL_RETRIES_UNSET */
    double default_retry_delay;    /* seconds */
    char *
        *autoretry_for; /* exception types; NULL-terminated or NULL, as all lists here */
    char **dont_autoretry_for;
    double retry_backoff; /* factor; 0: none */
    int64_t retry_backoff_max;
    enum cel_tristate retry_jitter; /* unset: yes */
    struct cel_retry_kwargs retry_kwargs;
    double rate;      /* starts per second; 0: none; < 0: unset */
    char *rate_limit; /* as written; NULL: unset */
    char *serializer;
    char *compression;
    char *queue;
    int priority;   /* -1: unset */
    double expires; /* < 0: unset */
    char **throws;  /* exception types logged at INFO */
    uint32_t index; /* position in celery_app.tasks, the same in parent and child */
};

/* A command of remote control that the application brought. */
struct cel_control_def {
    celery_control_method method; /* its texts are owned */
    char *checked;                /* the parameters without types, with "|" and "*" */
    celery_control_fn fn;
    void *ctx;
};

struct celery_app {
    char *name;
    struct cel_config *config;
    struct cel_map by_name; /* struct cel_task_def */
    struct cel_task_def **tasks;
    size_t n_tasks;
    struct cel_control_def **controls;
    size_t n_controls;
    bool frozen;
    celery_error failed; /* first failed registration, or setting that was not told */
};

/* NULL: not registered. */
struct cel_task_def *cel_app_find_task(const celery_app *app, struct cel_slice name);

/* NULL: the application has no such command. */
const struct cel_control_def *cel_app_find_control(const celery_app *app,
                                                   struct cel_slice name);
void cel_app_free_controls(celery_app *app);

/* For the calls that change an app: whether it still may be, and the first failure. */
celery_status cel_app_writable(const celery_app *app, celery_error *err);
celery_status cel_app_remember(celery_app *app, celery_status st,
                               const celery_error *err);

/* Ends the writing phase; reports a remembered failure. */
celery_status cel_app_freeze(celery_app *app, celery_error *err);

/* A task with all options unset; NULL: no memory. */
struct cel_task_def *cel_task_def_new(const char *name, celery_task_fn fn);
struct cel_task_def *cel_task_def_free(struct cel_task_def *def);
void cel_task_texts_free(char **texts);

/* Sets one option by name, see celery_app_task_set(). */
celery_status cel_task_def_set(struct cel_task_def *def, const char *option,
                               const char *value, celery_error *err);

/*
 * Starts per second of "10/s", "100/m", "1000/h" or "5" (celery/utils/time.py rate); "0" and
 * "none": 0, no limit.  False: it is none of these.
 */
bool cel_rate_parse(const char *text, double *ret);

/* task_repr_maxlevels as cel_saferepr() takes it; config may be NULL. */
int cel_repr_levels(const struct cel_config *config);

/* The option where the task says so, otherwise the setting. */
bool cel_task_option(const celery_app *app, enum cel_tristate own, const char *setting);

/* ---- queues and routes (celery/app/amqp.py, celery/app/routes.py) ---- */

struct cel_router;

/*
 * From task_queues, task_default_queue/_exchange/_routing_key, task_routes ...  Borrows the
 * settings, which must not change any more.
 */
celery_status cel_router_new(const struct cel_config *config, struct cel_router **ret,
                             celery_error *err);
struct cel_router *cel_router_free(struct cel_router *router);

/*
 * The queues a worker consumes: all defined ones, or those of select without those of exclude
 * (-Q, -X; each NULL or NULL-terminated).  Unknown ones are made as for cel_router_route().
 */
celery_status cel_router_select(struct cel_router *router, const char *const *select,
                                const char *const *exclude, celery_error *err);

/* Adds <nodename>.dq2 to them (worker_direct; celery/utils/nodenames.py). */
celery_status cel_router_add_direct(struct cel_router *router, const char *nodename,
                                    celery_error *err);

/*
 * One queue more to consume, while the worker runs (Consumer.add_task_queue); like->name is
 * looked up, and made as like if there is no such queue.  Its texts are copied.  *ret_queue: NULL
 * when it is consumed already.  CELERY_ELIMIT: there are too many.
 */
celery_status cel_router_start(struct cel_router *router, const struct cel_queue *like,
                               const struct cel_queue **ret_queue, celery_error *err);

/* One less; NULL: it was not consumed. */
const struct cel_queue *cel_router_stop(struct cel_router *router, struct cel_slice name);

size_t cel_router_count(const struct cel_router *router);
const struct cel_queue *cel_router_at(const struct cel_router *router, size_t i);

/*
 * True: messages with an ETA go through native delayed delivery.  The broker is RabbitMQ and
 * there is a quorum queue (celery/utils/quorum_queues.py detect_quorum_queues).
 */
bool cel_router_delays(const struct cel_router *router);

/*
 * True if what was delivered from this exchange with this key can go the same way with a
 * delay: it is known that the delayed bindings take the key.
 */
bool cel_router_can_delay(const struct cel_router *router, struct cel_slice exchange,
                          struct cel_slice routing_key);

/* Where a task goes; texts are the router's, not NULL. */
struct cel_route {
    const struct cel_queue *queue;
    struct cel_slice exchange;
    struct cel_slice routing_key;
    int priority; /* -1: unset */
};

/*
 * The route of a task to the given queue, or (NULL) to that of task_routes or the default
 * one.  CELERY_ECONFIG: an unknown queue while task_create_missing_queues is off.
 */
celery_status cel_router_route(struct cel_router *router, struct cel_slice task,
                               const char *queue, struct cel_route *ret_route,
                               celery_error *err);

#endif
