/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/schedules.py is_due() of both kinds, celery/utils/time.py remaining(). */
#include "beat/schedule.h"
#include "base/error.h"
#include "base/log.h"
#include "beat/civil.h"

#include <math.h>
#include <stdio.h>

enum { FOLDS = 2, MAX_CANDIDATES = 6 };

#define MINUTE (60 * CEL_SECOND)
#define HOUR   (60 * MINUTE)

/* ---- relative intervals ---- */

/* delta_resolution(): to the day, hour or minute, and without microseconds. */
static int64_t rounded(int64_t wall, int64_t every)
{
    int64_t unit = every >= CEL_DAY  ? CEL_DAY
                   : every >= HOUR   ? HOUR
                   : every >= MINUTE ? MINUTE
                                     : CEL_SECOND;
    return cel_civil_floor(wall, unit);
}

/* _relative_end_dates(): the instants of a rounded clock on the wall; a gap moves it. */
static size_t end_dates(const struct cel_zone *zone, int64_t wall, int64_t every,
                        int64_t *ret)
{
    int64_t at = rounded(wall, every);

    if (cel_zone_skips(zone, at)) {
        int64_t resolved = cel_zone_resolve(zone, at);

        if (resolved > at) {
            ret[0] = ret[1] = cel_zone_utc(zone, resolved, 0);
            return FOLDS;
        }
    }
    ret[0] = cel_zone_utc(zone, at, 0);
    ret[1] = cel_zone_utc(zone, at, 1);
    return FOLDS;
}

/* The latest of those after start and not behind end, otherwise the first after start. */
static int64_t choose(const int64_t *at, size_t n, int64_t start, int64_t end,
                      int64_t otherwise)
{
    int64_t before = INT64_MIN;
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < n; i++) {
        if (at[i] > start && at[i] <= end && at[i] > before) {
            before = at[i];
        }
        if (at[i] > start && at[i] < first) {
            first = at[i];
        }
    }
    if (before != INT64_MIN) {
        return before;
    }
    return first != INT64_MAX ? first : otherwise;
}

static int64_t relative_end(const struct cel_schedule *s, const struct cel_zone *zone,
                            int64_t start)
{
    int64_t at[MAX_CANDIDATES];
    int64_t start_wall = cel_zone_wall(zone, start, NULL);
    int64_t end = start + s->every;

    if (s->every >= CEL_DAY) {
        size_t n = end_dates(zone, start_wall + s->every, s->every, at);

        return choose(at, n, start, start, cel_zone_utc(zone, start_wall + s->every, 0));
    }
    int64_t end_wall = cel_zone_wall(zone, end, NULL);
    size_t n = end_dates(zone, end_wall, s->every, at);
    int64_t first = at[0] < at[1] ? at[0] : at[1];
    int64_t last = choose(at, n, INT64_MIN, end, first);

    if (s->every < MINUTE || last > start) {
        return last;
    }
    /* A rollback of less than an hour can put the boundary before the start. */
    n += end_dates(zone, end_wall + (s->every >= HOUR ? HOUR : MINUTE), s->every, at + n);
    n += end_dates(zone, start_wall + s->every, s->every, at + n);
    return choose(at, n, start, end, end);
}

static int64_t every_end(const struct cel_schedule *s, const struct cel_zone *zone,
                         int64_t start)
{
    return s->relative ? relative_end(s, zone, start) : start + s->every;
}

static void every_due(const struct cel_schedule *s, const struct cel_schedule_env *env,
                      int64_t last, bool *ret_due, int64_t *ret_wait)
{
    int64_t left = every_end(s, env->zone, last) - env->now;

    *ret_due = left <= 0;
    *ret_wait = left;
    if (left <= 0) {
        *ret_wait = s->every > 0 ? s->every : 0;
        if (s->relative) {
            left = every_end(s, env->zone, env->now) - env->now;
            *ret_wait = left > 0 ? left : *ret_wait;
        }
    }
}

/* ---- crontabs ---- */

static celery_status crontab_due(const struct cel_schedule *s,
                                 const struct cel_schedule_env *env, int64_t last,
                                 bool *ret_due, int64_t *ret_wait, celery_error *err)
{
    int64_t next;
    celery_status status = cel_crontab_next(&s->crontab, env->zone, last, &next, err);

    if (status < 0) {
        return status;
    }
    bool due = next <= env->now;
    bool stale = false;

    if (env->deadline >= 0 && next < env->now) {
        int64_t since;

        status = cel_crontab_next(&s->crontab, env->zone, env->now - env->deadline - 1,
                                  &since, err);
        stale = status == CELERY_OK && since > env->now;
    }
    if (status == CELERY_OK && due) {
        status = cel_crontab_next(&s->crontab, env->zone, env->now, &next, err);
    }
    if (status == CELERY_OK) {
        *ret_due = due && !stale;
        *ret_wait = next > env->now ? next - env->now : 0;
    }
    return status;
}

celery_status cel_schedule_due(const struct cel_schedule *s,
                               const struct cel_schedule_env *env, int64_t last,
                               bool *ret_due, int64_t *ret_wait, celery_error *err)
{
    if (s->kind == CEL_CRONTAB) {
        return crontab_due(s, env, last, ret_due, ret_wait, err);
    }
    every_due(s, env, last, ret_due, ret_wait);
    return CELERY_OK;
}

bool cel_schedule_equal(const struct cel_schedule *a, const struct cel_schedule *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    return a->kind == CEL_CRONTAB ? cel_crontab_equal(&a->crontab, &b->crontab)
                                  : a->every == b->every && a->relative == b->relative;
}

/* ---- reading and showing ---- */

/* timedelta(seconds=x) rounds to microseconds. */
static celery_status read_every(struct cel_schedule *s, const struct cel_node *n,
                                celery_error *err)
{
    double seconds = cel_node_double(n, NAN);

    if (!n || (n->kind != CELERY_KIND_INT && n->kind != CELERY_KIND_FLOAT) ||
        !(seconds >= 0) || seconds > 1e10) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "an interval is a number of seconds from 0 to 1e10");
    }
    s->kind = CEL_EVERY;
    s->every = (int64_t)nearbyint(seconds * 1e6);
    return CELERY_OK;
}

static celery_status read_object(struct cel_schedule *s, const struct cel_node *doc,
                                 celery_error *err)
{
    const struct cel_node *crontab = cel_node_get(doc, CEL_SLICE("crontab"));
    const struct cel_node *every = cel_node_get(doc, CEL_SLICE("every"));
    const struct cel_node *relative = cel_node_get(doc, CEL_SLICE("relative"));
    uint32_t known = relative ? 2 : 1;

    if (cel_node_get(doc, CEL_SLICE("solar"))) {
        return cel_error_set(err, CELERY_ENOTSUP,
                             "solar schedules need Python's ephem: give this entry to "
                             "`celery beat`, or use a crontab");
    }
    if (every && doc->size == known &&
        (!relative || relative->kind == CELERY_KIND_TRUE ||
         relative->kind == CELERY_KIND_FALSE)) {
        s->relative = cel_node_bool(relative, false);
        return read_every(s, every, err);
    }
    if (crontab && doc->size == 1 && cel_node_is_string(crontab)) {
        s->kind = CEL_CRONTAB;
        return cel_crontab_from_text(&s->crontab, cel_node_text(crontab), err);
    }
    if (crontab && doc->size == 1 && crontab->kind == CELERY_KIND_OBJECT) {
        s->kind = CEL_CRONTAB;
        return cel_crontab_from_doc(&s->crontab, crontab, err);
    }
    return cel_error_set(err, CELERY_ECONFIG,
                         "give {\"every\": seconds, \"relative\": bool} or {\"crontab\": "
                         "{\"minute\": ...}}");
}

celery_status cel_schedule_read(struct cel_schedule *s, const struct cel_node *doc,
                                celery_error *err)
{
    *s = (struct cel_schedule){0};
    if (cel_node_is_string(doc)) {
        s->kind = CEL_CRONTAB;
        return cel_crontab_from_text(&s->crontab, cel_node_text(doc), err);
    }
    if (doc && doc->kind == CELERY_KIND_OBJECT) {
        return read_object(s, doc, err);
    }
    return read_every(s, doc, err);
}

void cel_schedule_text(const struct cel_schedule *s, char *text, size_t size)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};

    if (s->kind == CEL_CRONTAB) {
        snprintf(text, size, "<crontab>");
        return;
    }
    double seconds = (double)s->every / 1e6;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (seconds >= units[i].seconds) {
            double n = seconds / units[i].seconds;

            snprintf(text, size, "<freq: %.2f %s%s>", n, units[i].name, n > 1 ? "s" : "");
            return;
        }
    }
    snprintf(text, size, "<freq: %.2f seconds>", seconds);
}
