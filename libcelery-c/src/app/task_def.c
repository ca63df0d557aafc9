/* SPDX-License-Identifier: BSD-3-Clause */
/* A registered task and its options. */
#include "app/app.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "codec/codec.h"
#include "config/value.h"
#include <math.h>

enum { PRIORITY_MAX = 255 };

/* The function's name in Python is mostly the last part of the task's. */
static char *function_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return cel_strdup(dot && dot[1] ? dot + 1 : name);
}

struct cel_task_def *cel_task_def_new(const char *name, celery_task_fn fn)
{
    struct cel_task_def *def = cel_calloc(1, sizeof *def);
    if (!def) {
        return NULL;
    }
    *def = (struct cel_task_def){
        .name = cel_strdup(name),
        .function = function_of(name),
        .fn = fn,
        .acks_late = CEL_UNSET,
        .acks_on_failure_or_timeout = CEL_UNSET,
        .reject_on_worker_lost = CEL_UNSET,
        .ignore_result = CEL_UNSET,
        .store_errors_even_if_ignored = CEL_UNSET,
        .track_started = CEL_UNSET,
        .time_limit = -1,
        .soft_time_limit = -1,
        .max_retries = -2,
        .default_retry_delay = 180,
        .rate = -1,
        .priority = -1,
        .expires = -1,
    };
    return def->name && def->function ? def : cel_task_def_free(def);
}

static void free_texts(char **texts)
{
    for (char **t = texts; t && *t; t++) {
        cel_free(*t);
    }
    cel_free(texts);
}

struct cel_task_def *cel_task_def_free(struct cel_task_def *def)
{
    if (def) {
        free_texts(def->throws);
        cel_free(def->name);
        cel_free(def->function);
        cel_free(def->rate_limit);
        cel_free(def->serializer);
        cel_free(def->compression);
        cel_free(def->queue);
        cel_free(def);
    }
    return NULL;
}

/* ---- parsing ---- */

static bool is_none(const char *value)
{
    return !value || !*value || strcmp(value, "none") == 0 ||
           strcmp(value, "None") == 0 || strcmp(value, "null") == 0;
}

bool cel_rate_parse(const char *text, double *ret)
{
    struct cel_slice unit = cel_slice_trim(cel_slice_of(text)), number;
    double per = 1, count;
    if (!cel_slice_split(&unit, '/', &number) || !cel_slice_to_double(number, &count) ||
        count < 0) {
        return false;
    }
    if (unit.data && !cel_slice_is(unit, "s")) {
        per = cel_slice_is(unit, "m") ? 60 : cel_slice_is(unit, "h") ? 3600 : 0;
    }
    if (per == 0) {
        return false;
    }
    *ret = count / per;
    return true;
}

static celery_status wrong(const char *value, const char *want, celery_error *err)
{
    return cel_error_set(err, CELERY_ECONFIG, "%s is no %s",
                         cel_log_safe(cel_slice_of(value)), want);
}

static celery_status set_text(char **field, const char *value, celery_error *err)
{
    char *copy = is_none(value) ? NULL : cel_strdup(value);
    if (!copy && !is_none(value)) {
        return cel_error_nomem(err);
    }
    cel_free(*field);
    *field = copy;
    return CELERY_OK;
}

static celery_status set_bool(enum cel_tristate *field, const char *value,
                              celery_error *err)
{
    bool truth;
    if (is_none(value)) {
        *field = CEL_UNSET;
        return CELERY_OK;
    }
    if (!cel_value_parse_bool(value, &truth)) {
        return wrong(value, "truth value (true or false)", err);
    }
    *field = truth ? CEL_YES : CEL_NO;
    return CELERY_OK;
}

static celery_status set_seconds(double *field, const char *value, celery_error *err)
{
    double seconds;
    if (is_none(value)) {
        *field = -1;
        return CELERY_OK;
    }
    if (!cel_value_parse_seconds(value, &seconds) || !(seconds >= 0) || isinf(seconds)) {
        return wrong(value, "number of seconds", err);
    }
    *field = seconds;
    return CELERY_OK;
}

static celery_status set_count(int64_t *field, int64_t none, int64_t max,
                               const char *value, celery_error *err)
{
    int64_t count;
    if (is_none(value)) {
        *field = none;
        return CELERY_OK;
    }
    if (!cel_slice_to_int(cel_slice_of(value), &count) || count < 0 || count > max) {
        return wrong(value, "count", err);
    }
    *field = count;
    return CELERY_OK;
}

/* ---- the options ---- */

static celery_status set_rate(struct cel_task_def *def, const char *value,
                              celery_error *err)
{
    double rate = 0;
    if (!is_none(value) && !cel_rate_parse(value, &rate)) {
        return wrong(value, "rate (10/s, 100/m, 1000/h)", err);
    }
    celery_status st = set_text(&def->rate_limit, value, err);
    if (st == CELERY_OK) {
        def->rate = rate;
    }
    return st;
}

static celery_status set_serializer(struct cel_task_def *def, const char *value,
                                    celery_error *err)
{
    if (!is_none(value) && !cel_codec_find(cel_slice_of(value))) {
        return wrong(value, "serializer of this build", err);
    }
    return set_text(&def->serializer, value, err);
}

static celery_status set_compression(struct cel_task_def *def, const char *value,
                                     celery_error *err)
{
    if (!is_none(value) && !cel_compression_find(cel_slice_of(value))) {
        return wrong(value, "compression of this build", err);
    }
    return set_text(&def->compression, value, err);
}

static celery_status set_function(struct cel_task_def *def, const char *value,
                                  celery_error *err)
{
    if (is_none(value)) {
        return wrong("", "function name", err);
    }
    return set_text(&def->function, value, err);
}

static celery_status set_priority(struct cel_task_def *def, const char *value,
                                  celery_error *err)
{
    int64_t priority = -1;
    celery_status st = set_count(&priority, -1, PRIORITY_MAX, value, err);
    if (st == CELERY_OK) {
        def->priority = (int)priority;
    }
    return st;
}

/* Exception types, separated by commas. */
static celery_status set_throws(struct cel_task_def *def, const char *value,
                                celery_error *err)
{
    struct cel_slice rest = is_none(value) ? CEL_SLICE_NULL : cel_slice_of(value), word;
    size_t n = 0, max = 1;
    for (const char *p = rest.data; p && *p; p++) {
        max += *p == ',';
    }
    char **texts = cel_calloc(max + 1, sizeof *texts);
    while (texts && cel_slice_split(&rest, ',', &word)) {
        word = cel_slice_trim(word);
        texts[n] = cel_strndup(word.data, word.len);
        if (!texts[n++]) {
            free_texts(texts);
            texts = NULL;
        }
    }
    if (!texts) {
        return cel_error_nomem(err);
    }
    free_texts(def->throws);
    def->throws = texts;
    return CELERY_OK;
}

static const char *const option_names[] = {
    "acks_late",
    "acks_on_failure_or_timeout",
    "compression",
    "default_retry_delay",
    "expires",
    "ignore_result",
    "max_retries",
    "priority",
    "queue",
    "rate_limit",
    "reject_on_worker_lost",
    "serializer",
    "soft_time_limit",
    "store_errors_even_if_ignored",
    "throws",
    "time_limit",
    "track_started",
    "typing_name",
};

static celery_status unknown(const char *option, celery_error *err)
{
    const char *nearest = NULL;
    int best = (int)strlen(option) / 4 + 2;
    for (size_t i = 0; i < sizeof option_names / sizeof option_names[0]; i++) {
        int distance = cel_config_distance(option, option_names[i]);
        if (distance < best) {
            best = distance;
            nearest = option_names[i];
        }
    }
    const char *shown = cel_log_safe(cel_slice_of(option));
    return nearest ? cel_error_set(err, CELERY_ECONFIG,
                                   "unknown option %s: did you mean %s?", shown, nearest)
                   : cel_error_set(err, CELERY_ECONFIG, "unknown option %s", shown);
}

static enum cel_tristate *bool_field(struct cel_task_def *def, const char *option)
{
    struct {
        const char *name;
        enum cel_tristate *field;
    } fields[] = {
        {"acks_late", &def->acks_late},
        {"acks_on_failure_or_timeout", &def->acks_on_failure_or_timeout},
        {"ignore_result", &def->ignore_result},
        {"reject_on_worker_lost", &def->reject_on_worker_lost},
        {"store_errors_even_if_ignored", &def->store_errors_even_if_ignored},
        {"track_started", &def->track_started},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(option, fields[i].name) == 0) {
            return fields[i].field;
        }
    }
    return NULL;
}

static double *seconds_field(struct cel_task_def *def, const char *option)
{
    return strcmp(option, "time_limit") == 0            ? &def->time_limit
           : strcmp(option, "soft_time_limit") == 0     ? &def->soft_time_limit
           : strcmp(option, "default_retry_delay") == 0 ? &def->default_retry_delay
           : strcmp(option, "expires") == 0             ? &def->expires
                                                        : NULL;
}

static celery_status set_option(struct cel_task_def *def, const char *option,
                                const char *value, celery_error *err)
{
    static const struct {
        const char *name;
        celery_status (*set)(struct cel_task_def *, const char *, celery_error *);
    } setters[] = {
        {"rate_limit", set_rate},         {"serializer", set_serializer},
        {"compression", set_compression}, {"typing_name", set_function},
        {"priority", set_priority},       {"throws", set_throws},
    };
    enum cel_tristate *flag = bool_field(def, option);
    double *seconds = seconds_field(def, option);
    if (flag) {
        return set_bool(flag, value, err);
    }
    if (seconds == &def->default_retry_delay && is_none(value)) {
        value = "180"; /* Task.default_retry_delay */
    }
    if (seconds) {
        return set_seconds(seconds, value, err);
    }
    for (size_t i = 0; i < sizeof setters / sizeof setters[0]; i++) {
        if (strcmp(option, setters[i].name) == 0) {
            return setters[i].set(def, value, err);
        }
    }
    if (strcmp(option, "queue") == 0) {
        return set_text(&def->queue, value, err);
    }
    if (strcmp(option, "max_retries") == 0) {
        /* None is no limit in Celery; unset, which is 3, has no spelling. */
        return set_count(&def->max_retries, -1, INT64_MAX, value, err);
    }
    return unknown(option, err);
}

celery_status cel_task_def_set(struct cel_task_def *def, const char *option,
                               const char *value, celery_error *err)
{
    celery_status st = set_option(def, option, value, err);
    return st < 0 ? cel_error_prefix(err, st, "task %s: %.40s: ", def->name, option) : st;
}
