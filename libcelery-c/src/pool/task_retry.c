/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether and when a task is tried again (celery/app/task.py Task.retry,
 * celery/app/autoretry.py).
 */
#include "base/error.h"
#include "base/uuid.h"
#include "message/meta.h"
#include "pool/exception_kind.h"
#include "pool/task.h"
#include <math.h>

#define CELERY_ERRORS       "celery.exceptions"
#define DEFAULT_MAX_RETRIES 3 /* Task.max_retries */

/* ---- asking for it ---- */

static celery_outcome retry(celery_task *task, double countdown)
{
    /* NaN is no time either. */
    task->retry.countdown = countdown >= 0 && !isinf(countdown) ? countdown : -1;
    task->record = CEL_RECORD_RETRY;
    return CELERY_RETRY;
}

celery_outcome celery_task_retry(celery_task *task, double countdown)
{
    cel_buf_clear(&task->exc_name);
    return retry(task, countdown);
}

celery_outcome celery_task_retry_exc(celery_task *task, double countdown,
                                     const char *type, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    cel_task_set_formatted(task, type, fmt, args);
    va_end(args);
    return retry(task, countdown);
}

/* Python shows 1 and not 1.0: countdowns are written as ints there. */
static void add_seconds(struct cel_buf *out, double countdown)
{
    char seconds[32];
    size_t len = cel_repr_double(countdown, seconds);
    if (len > 2 && memcmp(seconds + len - 2, ".0", 2) == 0) {
        len -= 2;
    }
    cel_buf_adds(out, "in ");
    cel_buf_add(out, seconds, len);
    cel_buf_addc(out, 's');
}

/* ---- deciding ---- */

bool cel_task_retry_allowed(int64_t max_retries, int64_t retries)
{
    if (max_retries == CEL_RETRIES_UNLIMITED) {
        return true;
    }
    return retries < (max_retries < 0 ? DEFAULT_MAX_RETRIES : max_retries);
}

static void add_tuple(struct cel_buf *out, const struct cel_node *array)
{
    cel_buf_addc(out, '(');
    for (const struct cel_node *n = cel_node_first(array); n; n = n->next) {
        cel_repr(out, n, 0);
        cel_buf_adds(out, n->next ? ", " : array->size == 1 ? "," : "");
    }
    cel_buf_addc(out, ')');
}

static const struct cel_node *option_or(const celery_task *task, const char *name,
                                        const struct cel_node *otherwise)
{
    const struct cel_node *given = cel_node_get(task->retry.options, cel_slice_of(name));
    return given ? given : otherwise;
}

/* The given exception, or else one that says what could not be retried. */
static void give_up(celery_task *task)
{
    task->record = CEL_RECORD_FAILURE;
    if (task->exc_name.len > 0) {
        return;
    }
    struct cel_buf text = {0};
    cel_buf_addf(&text, "Can't retry %s[", task->job->task->name);
    cel_buf_add_slice(&text, task->call.id);
    cel_buf_adds(&text, "] args:");
    add_tuple(&text, option_or(task, "args", task->call.args));
    cel_buf_adds(&text, " kwargs:");
    cel_repr(&text, option_or(task, "kwargs", task->call.kwargs), 0);
    cel_task_fail_line(task, CELERY_ERRORS ".MaxRetriesExceededError",
                       cel_buf_slice(&text));
    cel_buf_fini(&text);
}

static void settle_asked(celery_task *task)
{
    const struct cel_task_retry *r = &task->retry;
    const struct cel_task_def *def = task->job->task;
    if (r->failed.status < 0) {
        cel_task_fail_line(task, "TypeError", cel_slice_of(r->failed.message));
        return;
    }
    if (!cel_task_retry_allowed(r->has_max ? r->max_retries : def->max_retries,
                                task->call.retries)) {
        give_up(task);
        return;
    }
    bool has_eta = cel_node_get(r->options, CEL_SLICE("eta"));
    task->countdown = r->countdown >= 0 ? r->countdown
                      : has_eta         ? 0
                                        : def->default_retry_delay;
}

/* celery/utils/time.py get_exponential_backoff_interval: whole seconds. */
static double backoff(const struct cel_task_def *def, int64_t retries)
{
    double factor = floor(fmax(1, def->retry_backoff));
    double most = (double)def->retry_backoff_max;
    double seconds = fmin(most, factor * exp2((double)retries));
    if (def->retry_jitter != CEL_NO) {
        seconds = floor(cel_random_double() * (seconds + 1));
    }
    return seconds;
}

static bool is_caught(const celery_task *task)
{
    const struct cel_task_def *def = task->job->task;
    struct cel_slice module, type;
    cel_exception_split(cel_buf_slice(&task->exc_name), &module, &type);
    return cel_exception_is_any(module, type, def->autoretry_for) &&
           !cel_exception_is_any(module, type, def->dont_autoretry_for);
}

/* A failure that autoretry_for names: `task.retry(exc=exc, **retry_kwargs)`. */
static void settle_failure(celery_task *task)
{
    const struct cel_task_def *def = task->job->task;
    const struct cel_task_retry *r = &task->retry;
    if (!is_caught(task)) {
        return;
    }
    int64_t most = r->has_max ? r->max_retries
                   : def->retry_kwargs.max_retries != CEL_RETRIES_UNSET
                       ? def->retry_kwargs.max_retries
                       : def->max_retries;
    if (!cel_task_retry_allowed(most, task->call.retries)) {
        return;
    }
    double countdown = def->retry_backoff > 0 ? backoff(def, task->call.retries)
                                              : def->retry_kwargs.countdown;
    task->retry.options = NULL; /* they were for the retry that the function asked for */
    task->countdown = countdown >= 0 ? countdown : def->default_retry_delay;
    task->record = CEL_RECORD_RETRY;
}

/* celery.exceptions.Retry.__str__: "Retry in 1s: ValueError('x')". */
static void tell(celery_task *task)
{
    struct cel_buf *out = &task->reason;
    struct cel_slice eta = cel_node_text(option_or(task, "eta", NULL));
    cel_buf_clear(out);
    cel_buf_adds(out, "Retry ");
    if (eta.data && task->countdown <= 0) {
        cel_buf_adds(out, "at ");
        cel_buf_add_slice(out, eta);
    } else {
        add_seconds(out, task->countdown);
    }
    if (task->exc_name.len > 0) {
        struct cel_slice module, type;
        cel_exception_split(cel_buf_slice(&task->exc_name), &module, &type);
        cel_buf_adds(out, ": ");
        cel_exception_repr(out, type, cel_buf_slice(&task->exc_args));
    }
}

/* Task.retry(): a message that cannot be made rejects the request. */
static void send(celery_task *task)
{
    celery_error err = {0};
    cel_effects_clear(&task->effects);
    if (cel_task_retry_message(task, &err) < 0) {
        cel_effects_clear(&task->effects);
        celery_task_reject(task, false, err.message);
        return;
    }
    tell(task);
}

void cel_task_settle_retry(celery_task *task)
{
    if (task->record == CEL_RECORD_RETRY) {
        settle_asked(task);
    }
    if (task->record == CEL_RECORD_FAILURE && task->job->task->autoretry_for &&
        !task->retry.useless) {
        settle_failure(task);
    }
    if (task->record == CEL_RECORD_RETRY) {
        send(task);
    }
}
