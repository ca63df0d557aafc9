/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of a registered task, by the names of Celery's Task attributes. */
#include "app/app.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "codec/codec.h"
#include "config/value.h"
#include <math.h>

enum { PRIORITY_MAX = 255 };

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

/* Exception types, separated by commas; NULL: none. */
static celery_status set_types(char ***field, const char *value, celery_error *err)
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
            cel_task_texts_free(texts);
            texts = NULL;
        }
    }
    if (!texts) {
        return cel_error_nomem(err);
    }
    cel_task_texts_free(*field);
    *field = texts;
    return CELERY_OK;
}

/* float(retry_backoff): True is 1, False is none (celery/app/autoretry.py). */
static celery_status set_backoff(struct cel_task_def *def, const char *value,
                                 celery_error *err)
{
    bool truth;
    double factor;
    if (is_none(value)) {
        def->retry_backoff = 0;
        return CELERY_OK;
    }
    if (cel_slice_to_double(cel_slice_of(value), &factor)) {
        if (!(factor >= 0) || isinf(factor)) {
            return wrong(value, "factor", err);
        }
        def->retry_backoff = factor;
        return CELERY_OK;
    }
    if (!cel_value_parse_bool(value, &truth)) {
        return wrong(value, "factor or truth value", err);
    }
    def->retry_backoff = truth ? 1 : 0;
    return CELERY_OK;
}

static celery_status set_backoff_max(struct cel_task_def *def, const char *value,
                                     celery_error *err)
{
    return set_count(&def->retry_backoff_max, CEL_RETRY_BACKOFF_MAX, INT32_MAX, value,
                     err);
}

/* None is no limit in Celery; unset, which is 3, has no spelling. */
static celery_status set_max_retries(struct cel_task_def *def, const char *value,
                                     celery_error *err)
{
    return set_count(&def->max_retries, CEL_RETRIES_UNLIMITED, INT64_MAX, value, err);
}

/* Of Task.retry()'s arguments those that make sense for every attempt. */
static bool read_retry_kwarg(struct cel_retry_kwargs *kw, struct cel_slice name,
                             const struct cel_node *value)
{
    bool number = value->kind == CELERY_KIND_INT || value->kind == CELERY_KIND_FLOAT;
    if (cel_slice_is(name, "countdown")) {
        kw->countdown = cel_node_double(value, -1);
        return number && kw->countdown >= 0 && !isinf(kw->countdown);
    }
    if (cel_slice_is(name, "max_retries") && cel_node_is_null(value)) {
        kw->max_retries = CEL_RETRIES_UNSET; /* the task's own, as in Task.retry() */
        return true;
    }
    kw->max_retries = cel_node_int(value, -1);
    return cel_slice_is(name, "max_retries") && value->kind == CELERY_KIND_INT &&
           kw->max_retries >= 0;
}

static celery_status set_retry_kwargs(struct cel_task_def *def, const char *value,
                                      celery_error *err)
{
    struct cel_retry_kwargs kw = {.max_retries = CEL_RETRIES_UNSET, .countdown = -1};
    struct cel_arena a;
    struct cel_node *map = NULL;
    cel_arena_init(&a, 0);
    celery_status st = CELERY_OK;
    if (!is_none(value)) {
        st = cel_json_parse(&a, cel_slice_of(value), NULL, &map, err);
    }
    if (st == CELERY_OK && map && map->kind != CELERY_KIND_OBJECT) {
        st = wrong(value, "JSON object", err);
    }
    for (const struct cel_node *k = cel_node_first(map), *v; st == CELERY_OK && k;
         k = v->next) {
        v = k->next;
        if (!read_retry_kwarg(&kw, cel_node_text(k), v)) {
            st = wrong(value, "map of countdown and max_retries", err);
        }
    }
    if (st == CELERY_OK) {
        def->retry_kwargs = kw;
    }
    cel_arena_fini(&a);
    return st == CELERY_EMESSAGE ? wrong(value, "JSON object", err) : st;
}

static celery_status set_retry_delay(struct cel_task_def *def, const char *value,
                                     celery_error *err)
{
    if (is_none(value)) {
        def->default_retry_delay = CEL_RETRY_DELAY;
        return CELERY_OK;
    }
    return set_seconds(&def->default_retry_delay, value, err);
}

/* One option: either a field of a simple kind, or a function. */
struct option {
    const char *name;
    enum { FLAG, SECONDS, TEXT, TYPES, OTHER } kind;
    size_t offset;
    celery_status (*set)(struct cel_task_def *, const char *, celery_error *);
};

#define FIELD(kind, name)                                      \
    {                                                          \
#name, kind, offsetof(struct cel_task_def, name), NULL \
    }
#define CALL(name, fn)      \
    {                       \
#name, OTHER, 0, fn \
    }

static const struct option options[] = {
    FIELD(FLAG, acks_late),
    FIELD(FLAG, acks_on_failure),
    FIELD(FLAG, acks_on_failure_or_timeout),
    FIELD(FLAG, acks_on_timeout),
    FIELD(TYPES, autoretry_for),
    CALL(compression, set_compression),
    CALL(default_retry_delay, set_retry_delay),
    FIELD(TYPES, dont_autoretry_for),
    FIELD(SECONDS, expires),
    FIELD(FLAG, ignore_result),
    CALL(max_retries, set_max_retries),
    FIELD(FLAG, new_style_errback),
    CALL(priority, set_priority),
    FIELD(TEXT, queue),
    CALL(rate_limit, set_rate),
    FIELD(FLAG, reject_on_worker_lost),
    CALL(retry_backoff, set_backoff),
    CALL(retry_backoff_max, set_backoff_max),
    FIELD(FLAG, retry_jitter),
    CALL(retry_kwargs, set_retry_kwargs),
    FIELD(FLAG, retry_on_worker_lost),
    CALL(serializer, set_serializer),
    FIELD(SECONDS, soft_time_limit),
    FIELD(FLAG, store_errors_even_if_ignored),
    FIELD(TYPES, throws),
    FIELD(SECONDS, time_limit),
    FIELD(FLAG, track_started),
    FIELD(FLAG, send_events),
    CALL(typing_name, set_function),
};

enum { N_OPTIONS = sizeof options / sizeof options[0] };

static celery_status unknown(const char *name, celery_error *err)
{
    const char *nearest = NULL;
    int best = (int)strlen(name) / 4 + 2;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        int distance = cel_config_distance(name, options[i].name);
        if (distance < best) {
            best = distance;
            nearest = options[i].name;
        }
    }
    const char *shown = cel_log_safe(cel_slice_of(name));
    return nearest ? cel_error_set(err, CELERY_ECONFIG,
                                   "unknown option %s: did you mean %s?", shown, nearest)
                   : cel_error_set(err, CELERY_ECONFIG, "unknown option %s", shown);
}

static celery_status set_option(struct cel_task_def *def, const char *name,
                                const char *value, celery_error *err)
{
    const struct option *o = options;
    while (o < options + N_OPTIONS && strcmp(o->name, name) != 0) {
        o++;
    }
    if (o == options + N_OPTIONS) {
        return unknown(name, err);
    }
    void *field = (char *)def + o->offset;
    switch (o->kind) {
    case FLAG:
        return set_bool(field, value, err);
    case SECONDS:
        return set_seconds(field, value, err);
    case TEXT:
        return set_text(field, value, err);
    case TYPES:
        return set_types(field, value, err);
    case OTHER:
        break;
    }
    return o->set(def, value, err);
}

celery_status cel_task_def_set(struct cel_task_def *def, const char *option,
                               const char *value, celery_error *err)
{
    celery_status st = set_option(def, option, value, err);
    return st < 0 ? cel_error_prefix(err, st, "task %s: %.40s: ", def->name, option) : st;
}
