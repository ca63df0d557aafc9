/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked about the tasks that are there (celery/worker/control.py registered). */
#include "base/alloc.h"
#include "worker/control_inspect.h"

#include <stdlib.h>

/* ---- attributes ---- */

/* One task, and where the text of an attribute goes; nothing written: it is None. */
struct attribute {
    const struct celery_worker *w;
    const struct cel_task_def *def;
    const struct cel_task_policy *policy;
    struct cel_buf *out;
};

static void put_bool(const struct attribute *a, bool value)
{
    cel_buf_adds(a->out, value ? "True" : "False");
}

/* Seconds: whole ones are integers in most applications. */
static void put_seconds(const struct attribute *a, double value)
{
    char text[32];

    if (value == (double)(int64_t)value) {
        cel_buf_add_int(a->out, (int64_t)value);
    } else {
        cel_buf_add(a->out, text, cel_repr_double(value, text));
    }
}

static void put_text(const struct attribute *a, const char *own, const char *setting)
{
    const char *text = own ? own : cel_config_text(a->w->app->config, setting);

    cel_buf_adds(a->out, text ? text : "");
}

static void name_of(const struct attribute *a)
{
    cel_buf_adds(a->out, a->def->name);
}

static void rate_limit(const struct attribute *a)
{
    put_text(a, a->policy->rate_limit ? a->policy->rate_limit : a->def->rate_limit,
             "task_default_rate_limit");
}

static void serializer(const struct attribute *a)
{
    put_text(a, a->def->serializer, "task_serializer");
}

static void max_retries(const struct attribute *a)
{
    if (a->def->max_retries != CEL_RETRIES_UNLIMITED) {
        cel_buf_add_int(
            a->out, a->def->max_retries == CEL_RETRIES_UNSET ? 3 : a->def->max_retries);
    }
}

static void default_retry_delay(const struct attribute *a)
{
    put_seconds(a, a->def->default_retry_delay);
}

static void time_limit(const struct attribute *a)
{
    if (a->policy->time_limit > 0) {
        put_seconds(a, a->policy->time_limit);
    }
}

static void soft_time_limit(const struct attribute *a)
{
    if (a->policy->soft_time_limit > 0) {
        put_seconds(a, a->policy->soft_time_limit);
    }
}

static void expires(const struct attribute *a)
{
    if (a->def->expires >= 0) {
        put_seconds(a, a->def->expires);
    }
}

static void priority(const struct attribute *a)
{
    int64_t value = a->def->priority >= 0
                        ? a->def->priority
                        : cel_config_int(a->w->app->config, "task_default_priority", -1);

    if (value >= 0) {
        cel_buf_add_int(a->out, value);
    }
}

static void acks_late(const struct attribute *a)
{
    put_bool(a, a->policy->acks_late);
}

static void acks_on_failure_or_timeout(const struct attribute *a)
{
    put_bool(a, cel_task_option(a->w->app, a->def->acks_on_failure_or_timeout,
                                "task_acks_on_failure_or_timeout"));
}

static void reject_on_worker_lost(const struct attribute *a)
{
    if (a->def->reject_on_worker_lost != CEL_UNSET ||
        cel_config_is_set(a->w->app->config, "task_reject_on_worker_lost")) {
        put_bool(a, a->policy->reject_on_worker_lost);
    }
}

static void ignore_result(const struct attribute *a)
{
    put_bool(a, a->policy->ignore_result);
}

static void track_started(const struct attribute *a)
{
    put_bool(a, a->policy->track_started);
}

static void store_errors(const struct attribute *a)
{
    put_bool(a, a->policy->store_errors_even_if_ignored);
}

/* exchange and routing_key, which are asked for by default, no Celery task has either. */
static const struct {
    const char *name;
    void (*put)(const struct attribute *a);
} attributes[] = {
    {"acks_late", acks_late},
    {"acks_on_failure_or_timeout", acks_on_failure_or_timeout},
    {"default_retry_delay", default_retry_delay},
    {"expires", expires},
    {"ignore_result", ignore_result},
    {"max_retries", max_retries},
    {"name", name_of},
    {"priority", priority},
    {"rate_limit", rate_limit},
    {"reject_on_worker_lost", reject_on_worker_lost},
    {"serializer", serializer},
    {"soft_time_limit", soft_time_limit},
    {"store_errors_even_if_ignored", store_errors},
    {"time_limit", time_limit},
    {"track_started", track_started},
};

/* ---- lines ---- */

/* " [rate_limit=5/s" and so on; true when it is one more. */
static bool add_attribute(const struct attribute *a, struct cel_slice item, bool first)
{
    size_t before = a->out->len;

    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        if (cel_slice_is(item, attributes[i].name)) {
            cel_buf_adds(a->out, first ? " [" : " ");
            cel_buf_add_slice(a->out, item);
            cel_buf_addc(a->out, '=');
            size_t begin = a->out->len;
            attributes[i].put(a);
            if (a->out->len > begin) {
                return true;
            }
        }
    }
    a->out->len = before;
    return false;
}

static struct cel_node *describe(struct cel_control_call *c,
                                 const struct cel_task_def *def,
                                 const struct cel_node *items)
{
    struct cel_buf out = {0};
    const struct attribute a = {c->w, def, &c->w->policy.tasks[def->index], &out};
    bool any = false;

    cel_buf_adds(&out, def->name);
    if (items) {
        for (const struct cel_node *n = cel_node_first(items); n; n = n->next) {
            any |= add_attribute(&a, cel_node_text(n), !any);
        }
    } else {
        any = add_attribute(&a, CEL_SLICE("rate_limit"), true);
    }
    cel_buf_adds(&out, any ? "]" : "");
    struct cel_node *line = cel_control_text(c, &out);
    cel_buf_fini(&out);
    return line;
}

static int by_name(const void *a, const void *b)
{
    const struct cel_task_def *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

struct cel_node *cel_control_registered(struct cel_control_call *c)
{
    const celery_app *app = c->w->app;
    const struct cel_node *items = cel_control_arg(c, "taskinfoitems");
    bool builtins = cel_node_truth(cel_control_arg(c, "builtins"));
    struct cel_task_def **sorted =
        cel_arena_alloc(c->arena, (app->n_tasks + 1) * sizeof *sorted);
    struct cel_node *list = sorted ? cel_node_new(c->arena, CELERY_KIND_ARRAY) : NULL;

    if (!list) {
        return NULL;
    }
    for (size_t i = 0; i < app->n_tasks; i++) {
        sorted[i] = app->tasks[i];
    }
    qsort(sorted, app->n_tasks, sizeof *sorted, by_name);
    for (size_t i = 0; i < app->n_tasks; i++) {
        bool builtin = strncmp(sorted[i]->name, "celery.", 7) == 0;

        if ((builtins || !builtin) &&
            cel_node_append(
                list, describe(c, sorted[i], cel_node_truth(items) ? items : NULL)) < 0) {
            return NULL;
        }
    }
    return list;
}
