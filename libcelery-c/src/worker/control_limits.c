/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits of a task, told at run time. */
#include "base/alloc.h"
#include "base/log.h"
#include "worker/control_change.h"
#include "worker/request.h"
#include "worker/schedule.h"

#include <math.h>

static struct cel_task_def *find_task(struct cel_control_call *c, const char *what)
{
    struct cel_slice name = cel_node_text(cel_control_arg(c, "task_name"));
    struct cel_task_def *def = cel_app_find_task(c->w->app, name);

    if (!def) {
        cel_log(CELERY_LOG_ERROR, "%s attempt for unknown task %s", what,
                cel_log_safe(name));
    }
    return def;
}

/* ---- rate_limit ---- */

/* celery/utils/time.py rate() of a text; false: *ret_error is what it raises, or makes. */
static bool read_rate(struct cel_control_call *c, struct cel_slice text, double *ret,
                      struct cel_node **ret_error)
{
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    size_t before = slash ? (size_t)(slash - text.data) : text.len;
    struct cel_slice unit =
        slash ? cel_slice(slash + 1, text.len - before - 1) : CEL_SLICE("s");
    double divisor = unit.len == 0 || cel_slice_is(unit, "s") ? 1
                     : cel_slice_is(unit, "m")                ? 60
                     : cel_slice_is(unit, "h")                ? 3600
                                                              : 0;

    if (divisor == 0) {
        *ret_error = cel_control_raise(c, "KeyError", "%s", cel_log_safe(unit));
        return false;
    }
    text = cel_slice(text.data, before);
    if (!cel_slice_to_double(cel_slice_trim(text), ret) || !(*ret >= 0) || isinf(*ret)) {
        *ret_error =
            cel_control_error(c,
                              "Invalid rate limit string: "
                              "ValueError(\"could not convert string to float: '%s'\")",
                              cel_log_safe(text));
        return false;
    }
    *ret /= divisor;
    return true;
}

/* Python's truth decides whether there is a limit; numbers are starts in a second. */
static bool read_limit(struct cel_control_call *c, const struct cel_node *n, double *ret,
                       struct cel_node **ret_error)
{
    *ret = 0;
    if (!cel_node_truth(n)) {
        return true;
    }
    if (cel_node_is_string(n)) {
        return read_rate(c, cel_node_text(n), ret, ret_error);
    }
    *ret = cel_node_double(n, -1);
    if (!(*ret >= 0) || isinf(*ret)) {
        *ret_error =
            cel_control_raise(c, "TypeError", "a rate limit is a text or a number");
        return false;
    }
    return true;
}

static char *limit_text(const struct cel_node *n)
{
    struct cel_slice text = cel_node_text(n);

    return n ? cel_strndup(text.data ? text.data : "0", text.data ? text.len : 1)
             : cel_strdup("");
}

struct cel_node *cel_control_rate_limit(struct cel_control_call *c)
{
    const struct cel_node *n = cel_control_arg(c, "rate_limit");
    struct cel_node *error = NULL;
    double rate;

    if (!read_limit(c, n, &rate, &error)) {
        return error;
    }
    const struct cel_task_def *def = find_task(c, "Rate limit");
    if (!def) {
        return cel_control_error(c, "unknown task");
    }
    struct cel_task_policy *policy = &c->w->policy.tasks[def->index];
    char *text = limit_text(n);
    bool off = cel_config_bool(c->w->app->config, "worker_disable_rate_limits");
    if (!text || cel_schedule_set_rate(c->w, def->index, off ? 0 : rate) < 0) {
        cel_free(text);
        return NULL;
    }
    cel_free(policy->rate_limit);
    policy->rate_limit = text;
    if (!cel_node_truth(n)) {
        cel_log(CELERY_LOG_INFO, "Rate limits disabled for tasks of type %s", def->name);
        return cel_control_ok(c, "rate limit disabled successfully");
    }
    cel_log(CELERY_LOG_INFO, "New rate limit for tasks of type %s: %s.", def->name,
            cel_log_safe(cel_slice_of(text)));
    return cel_control_ok(c, "new rate limit set successfully");
}

/* ---- time_limit ---- */

/* Seconds; None and 0: no limit.  False: neither. */
static bool read_seconds(struct cel_control_call *c, const char *name, double *ret)
{
    const struct cel_node *n = cel_control_arg(c, name);
    bool number = n && (n->kind == CELERY_KIND_INT || n->kind == CELERY_KIND_FLOAT);

    *ret = number ? cel_node_double(n, -1) : 0;
    return (!n || number) && *ret >= 0 && *ret < 1e9;
}

/* What has not been handed to the pool gets the new limits too, as there. */
static void update_waiting(struct celery_worker *w, const struct cel_task_policy *policy)
{
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->policy != policy || r->state > CEL_REQ_READY) {
            continue;
        }
        if (r->job.call.time_limit < 0) {
            r->job.hard_limit = policy->time_limit;
        }
        if (r->job.call.soft_time_limit < 0) {
            r->job.soft_limit = policy->soft_time_limit;
        }
    }
}

struct cel_node *cel_control_time_limit(struct cel_control_call *c)
{
    const struct cel_task_def *def = find_task(c, "Change time limit");
    double hard, soft;

    if (!def) {
        return cel_control_error(c, "unknown task");
    }
    if (!read_seconds(c, "hard", &hard) || !read_seconds(c, "soft", &soft)) {
        return cel_control_raise(c, "ValueError", "a time limit is a number of seconds");
    }
    struct cel_task_policy *policy = &c->w->policy.tasks[def->index];
    policy->time_limit = hard;
    policy->soft_time_limit = soft;
    update_waiting(c->w, policy);
    cel_log(CELERY_LOG_INFO, "New time limits for tasks of type %s: soft=%g hard=%g",
            def->name, soft, hard);
    return cel_control_ok(c, "time limits set successfully");
}
