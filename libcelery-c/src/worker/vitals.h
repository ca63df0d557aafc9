/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the worker is: what /healthz, /readyz, /metrics and the service manager are told.  Asked
 * seldom; nothing here is on a message's way.
 */
#ifndef CEL_WORKER_VITALS_H
#define CEL_WORKER_VITALS_H

#include <celery/error.h>
#include <stdbool.h>
#include <stdint.h>

struct celery_worker;
struct cel_source;

struct cel_vitals {
    struct cel_source *beat; /* timer, once a second; NULL: nobody asks */
    double beat_at;          /* loop time when it was to fire */
    double awake_since; /* the loop was late by more than a second until then; 0: never */
    double lag;         /* seconds by which it came late, the last time */
    double worst_lag;   /* of all */
    double lost_at; /* loop time when the connection to the broker went; 0: it stands */
    double silence_before; /* of the broker at that time, seconds */
    uint64_t connections;  /* that came about */
    double timeout;        /* worker_health_timeout */
};

/* Looks at the loop's lag from now on.  Idempotent. */
celery_status cel_vitals_watch(struct celery_worker *w, celery_error *err);
void cel_vitals_fini(struct celery_worker *w);

/* Told by the link. */
void cel_vitals_connected(struct celery_worker *w);
void cel_vitals_lost(struct celery_worker *w);

/* Seconds since the broker was last heard, or since the worker began. */
double cel_vitals_silence(const struct celery_worker *w);

/* Not stuck: the broker has been heard within worker_health_timeout. */
bool cel_vitals_live(const struct celery_worker *w);

/* It consumes, and is not shutting down. */
bool cel_vitals_ready(const struct celery_worker *w);

#endif
