/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/beat.py Service: from settings to a loop that ends when it is told to. */
#include "beat/beat.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/backoff.h"

#include <math.h>
#include <poll.h>

extern char **environ;

#define MAX_INTERVAL 300.0 /* DEFAULT_MAX_INTERVAL */
#define SYNC_EVERY   180.0 /* Scheduler.sync_every */
#define FAREWELL     10.0  /* seconds for what is on its way */

/* ---- settings ---- */

static celery_status read_plan(celery_beat *b, const struct cel_node *doc,
                               struct cel_plan *ret, celery_error *err)
{
    int64_t now = cel_clock_wall_us();
    celery_status status =
        cel_plan_read(ret, doc, cel_repr_levels(b->app->config), now, err);

    if (status == CELERY_OK) {
        status = cel_plan_add_defaults(ret, b->app->config, now, err);
    }
    if (status == CELERY_OK && cel_plan_wake(ret) < 0) {
        status = cel_error_nomem(err);
    }
    if (status < 0) {
        cel_plan_fini(ret);
    }
    return status;
}

static celery_status read_settings(celery_beat *b, celery_error *err)
{
    const struct cel_config *c = b->app->config;
    double interval = cel_config_double(c, "beat_max_loop_interval", 0);
    double deadline = cel_config_double(c, "beat_cron_starting_deadline", -1);

    b->settings.timezone = cel_config_text(c, "timezone");
    b->settings.enable_utc = cel_config_bool(c, "enable_utc");
    b->path = cel_config_text(c, "beat_schedule_filename");
    b->max_interval = interval > 0 ? interval : MAX_INTERVAL;
    b->sync_every = SYNC_EVERY;
    b->sync_every_tasks = cel_config_int(c, "beat_sync_every", 0);
    b->deadline = deadline < 0 ? -1 : (int64_t)nearbyint(deadline * 1e6);
    /* Celery.timezone: UTC, unless that is switched off; then the system's. */
    if (b->settings.timezone || b->settings.enable_utc) {
        return cel_zone_open(b->settings.timezone, &b->zone, err);
    }
    return cel_zone_open_local(&b->zone, err);
}

celery_beat *celery_beat_new(celery_app *app, celery_error *err)
{
    celery_beat *b = app ? cel_calloc(1, sizeof *b) : NULL;

    if (!b) {
        cel_error_nomem(err);
        return NULL;
    }
    b->app = app;
    celery_status status = CELERY_OK;

    if (!app->frozen) {
        status = cel_config_load_env(app->config, environ, err);
    }
    if (status == CELERY_OK) {
        status = cel_app_freeze(app, err);
    }
    if (status == CELERY_OK) {
        status = read_settings(b, err);
    }
    if (status == CELERY_OK) {
        status =
            read_plan(b, cel_config_doc(app->config, "beat_schedule"), &b->plan, err);
    }
    if (status < 0) {
        celery_beat_free(b);
        return NULL;
    }
    return b;
}

celery_status celery_beat_set_schedule(celery_beat *b, const char *json,
                                       celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    struct cel_plan plan;

    if (!b || !json) {
        return cel_error_set(err, CELERY_EINVAL, "celery_beat_set_schedule: no schedule");
    }
    celery_status status = cel_json_parse(&a, cel_slice_of(json), NULL, &doc, err);

    if (status < 0) {
        status = cel_error_prefix(err, CELERY_ECONFIG, "beat_schedule: ");
    } else {
        status = read_plan(b, doc, &plan, err);
    }
    cel_arena_fini(&a);
    if (status == CELERY_OK) {
        cel_plan_merge(&plan, &b->plan);
        cel_plan_fini(&b->plan);
        b->plan = plan;
        b->n_reserved = b->n_sending = b->n_ready = 0;
        for (size_t i = 0; i < plan.n; i++) {
            b->n_ready += plan.entries[i]->state == CEL_RUN_READY;
        }
        b->dirty = true;
        b->tasks_since_save = b->sync_every_tasks;
    }
    return status;
}

bool celery_beat_leads(const celery_beat *b)
{
    return b && b->lock && b->lock->held;
}

size_t celery_beat_n_entries(const celery_beat *b)
{
    return b ? b->plan.n : 0;
}

const char *celery_beat_where(const celery_beat *b)
{
    return b && b->lock ? b->lock->where : "";
}

/* ---- running ---- */

/* Seconds, cut short by stop() within a tenth. */
static void rest(const celery_beat *b, double seconds)
{
    double until = cel_clock_mono() + seconds;

    while (!atomic_load(&b->stopping) && cel_clock_mono() < until) {
        poll(NULL, 0, 100);
    }
}

/* Scheduler._ensure_connected(); CELERY_NONE: stopped before. */
static celery_status open_client(celery_beat *b, celery_error *err)
{
    struct cel_backoff backoff = CEL_BACKOFF_INIT(0.5, 30.0);

    while (!b->client && !atomic_load(&b->stopping)) {
        celery_error why = {0};

        b->client = celery_client_open_app(b->app, &why);
        if (b->client) {
            break;
        }
        if (!celery_error_retriable(&why)) {
            return cel_error_set(err, why.status, "%s", why.message);
        }
        double wait = cel_backoff_next(&backoff);

        cel_log(CELERY_LOG_ERROR,
                "beat: Connection error: %s. Trying again in %.1f seconds...",
                why.message, wait);
        rest(b, wait);
    }
    return b->client ? CELERY_OK : CELERY_NONE;
}

static celery_status start(celery_beat *b, celery_error *err)
{
    celery_status status = open_client(b, err);

    if (status != CELERY_OK || b->lock) {
        return status;
    }
    b->last_save = cel_loop_now(b->client->loop);
    status = cel_beat_lock_new(b->client->loop, b->app->config, b->path,
                               &cel_beat_lock_events, b, &b->lock, err);
    return status == CELERY_OK ? b->lock->ops->start(b->lock, err) : status;
}

static void loop(celery_beat *b)
{
    while (!atomic_load(&b->stopping)) {
        double wait = cel_beat_tick(b);

        if (cel_loop_pass(b->client->loop, wait) < 0) {
            break;
        }
    }
}

/* What has begun comes to its end, and is written down. */
static void say_goodbye(celery_beat *b)
{
    double until = cel_clock_mono() + FAREWELL;

    b->sync_every_tasks = b->sync_every_tasks ? 1 : 0;
    while (b->lock->held && cel_clock_mono() < until &&
           (b->n_reserved > 0 || b->n_ready > 0 || b->n_sending > 0 || b->saving ||
            b->dirty)) {
        double wait = cel_beat_tick(b);

        cel_loop_pass(b->client->loop, wait < 0.05 ? wait : 0.05);
    }
    b->sync_every_tasks =
        cel_config_int(b->app->config, "beat_sync_every", b->sync_every_tasks);
}

celery_status celery_beat_run(celery_beat *b, celery_error *err)
{
    if (!b) {
        return cel_error_set(err, CELERY_EINVAL, "celery_beat_run: no beat");
    }
    celery_status status = start(b, err);

    if (status == CELERY_OK) {
        atomic_store(&b->loop, b->client->loop);
        loop(b);
        atomic_store(&b->loop, NULL);
        say_goodbye(b);
    }
    atomic_store(&b->stopping, false);
    return status < 0 ? status : CELERY_OK;
}

void celery_beat_stop(celery_beat *b)
{
    struct cel_loop *loop = NULL;

    if (b) {
        atomic_store(&b->stopping, true);
        loop = atomic_load(&b->loop);
    }
    if (loop) {
        cel_loop_wake(loop);
    }
}

void celery_beat_free(celery_beat *b)
{
    if (b) {
        cel_beat_lock_free(b->lock);
        b->lock = NULL;
        celery_client_close(b->client);
        cel_plan_fini(&b->plan);
        cel_zone_free(b->zone);
        cel_free(b);
    }
}
