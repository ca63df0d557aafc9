/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/vitals.h"

#include "base/error.h"
#include "worker/worker.h"

#define BEAT 1.0 /* seconds */

static void on_beat(void *ctx)
{
    struct celery_worker *w = ctx;
    struct cel_vitals *v = &w->vitals;
    double now = cel_loop_now(w->loop);

    v->lag = now > v->beat_at ? now - v->beat_at : 0;
    if (v->lag > v->worst_lag) {
        v->worst_lag = v->lag;
    }
    if (v->lag > BEAT) {
        v->awake_since = now;
    }
    v->beat_at = now + BEAT;
    cel_source_rearm(v->beat, v->beat_at);
}

celery_status cel_vitals_watch(struct celery_worker *w, celery_error *err)
{
    struct cel_vitals *v = &w->vitals;

    v->timeout = cel_config_double(w->app->config, "worker_health_timeout", 300);
    if (v->beat) {
        return CELERY_OK;
    }
    v->beat_at = cel_loop_now(w->loop) + BEAT;
    return cel_loop_add_timer(w->loop, &v->beat, v->beat_at, on_beat, w) < 0
               ? cel_error_nomem(err)
               : CELERY_OK;
}

void cel_vitals_fini(struct celery_worker *w)
{
    w->vitals.beat = cel_source_free(w->vitals.beat);
}

void cel_vitals_connected(struct celery_worker *w)
{
    w->vitals.connections++;
    w->vitals.lost_at = 0;
}

void cel_vitals_lost(struct celery_worker *w)
{
    const struct cel_transport *t = cel_link_transport(w->link);

    w->vitals.silence_before = t->ops->silence(t);
    w->vitals.lost_at = cel_loop_now(w->loop);
}

double cel_vitals_silence(const struct celery_worker *w)
{
    const struct cel_transport *t = cel_link_transport(w->link);
    double now = cel_loop_now(w->loop);
    double age = now - w->began_at;
    double silence = w->vitals.lost_at > 0
                         ? now - w->vitals.lost_at + w->vitals.silence_before
                     : w->vitals.connections > 0 ? t->ops->silence(t)
                                                 : age;

    return silence < 0 ? 0 : silence > age ? age : silence;
}

/* While the loop did not run, above all for a task of the solo pool, nobody listened. */
bool cel_vitals_live(const struct celery_worker *w)
{
    const struct cel_vitals *v = &w->vitals;
    double now = cel_loop_now(w->loop);
    double since = now > v->beat_at + BEAT ? now : v->awake_since;
    double silence = cel_vitals_silence(w);

    return v->timeout <= 0 || silence <= v->timeout || now - since <= v->timeout;
}

bool cel_vitals_ready(const struct celery_worker *w)
{
    return w->shutdown == CEL_SHUTDOWN_NONE && cel_link_consuming(w->link);
}
