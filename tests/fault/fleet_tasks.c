/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tasks of fleet_pytasks.py in C.  Each run is noted in Redis before it ends.
 */
#include <celery.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PRIME 1000003
#define OPTION(app, name, option, value) \
    celery_app_task_set(app, name, option, value, NULL)

struct step {
    json_t *x;
    int64_t flow, no, ms, factor;
    int tries;
};

/* Of this thread, or of the child that was forked before it ran anything. */
static _Thread_local redisContext *notes;

static bool note(celery_task *task, int64_t flow, int64_t no)
{
    const char *path = getenv("FLEET_REDIS");
    redisReply *reply;
    char text[128];
    bool ok;

    if (!notes && path) {
        notes = redisConnectUnix(path);
        reply = notes ? redisCommand(notes, "SELECT 2") : NULL;
        freeReplyObject(reply);
    }
    if (!notes || notes->err) {
        return false;
    }
    snprintf(text, sizeof(text), "%lld %lld c %d %d %d", (long long)flow, (long long)no,
             celery_task_retries(task), celery_task_redelivered(task), (int)getpid());
    reply = redisCommand(notes, "RPUSH ran %s", text);
    ok = reply && reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    return ok;
}

static int64_t fold(const json_t *x)
{
    int64_t value = 7;
    const json_t *item;
    size_t i;

    if (!json_is_array(x)) {
        return json_integer_value(x);
    }
    json_array_foreach(x, i, item)
    {
        value = (value * 33 + fold(item) + 5 * json_is_array(item)) % PRIME;
    }
    return value;
}

/* False when the task has to fail with what was recorded. */
static bool work(celery_task *task, const char *fmt, struct step *s, int64_t *ret_value)
{
    struct timespec t;

    if (celery_task_args(task, fmt, &s->x, &s->flow, &s->no, &s->ms, &s->factor,
                         &s->tries) < 0) {
        return false;
    }
    t = (struct timespec){s->ms / 1000, s->ms % 1000 * 1000000};
    nanosleep(&t, NULL);
    if (!note(task, s->flow, s->no)) {
        celery_task_fail(task, "RuntimeError", "the run cannot be noted");
        return false;
    }
    *ret_value = (fold(s->x) * 31 + s->factor) % PRIME;
    return true;
}

static celery_outcome step(celery_task *task)
{
    struct step s;
    int64_t value;

    if (!work(task, "x:j flow:I no:I ms:I factor:I", &s, &value)) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, value);
}

static celery_outcome flaky(celery_task *task)
{
    struct step s;
    int64_t value;

    if (!work(task, "x:j flow:I no:I ms:I factor:I tries:i", &s, &value)) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) < s.tries) {
        return celery_task_retry_exc(task, 0.3, "ValueError", "bad %d", (int)s.no);
    }
    return celery_task_return_int(task, value);
}

static celery_outcome auto_retry(celery_task *task)
{
    struct step s;
    int64_t value;

    if (!work(task, "x:j flow:I no:I ms:I factor:I tries:i", &s, &value)) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) < s.tries) {
        return celery_task_fail(task, "OSError", "bad %d", (int)s.no);
    }
    return celery_task_return_int(task, value);
}

static celery_outcome boom(celery_task *task)
{
    struct step s;
    int64_t value;

    if (!work(task, "x:j flow:I no:I ms:I factor:I", &s, &value)) {
        return CELERY_FAILED;
    }
    return celery_task_fail(task, "ValueError", "bad %d", (int)s.no);
}

static celery_outcome err(celery_task *task)
{
    const char *failed_id;
    int64_t flow, no;

    if (celery_task_args(task, "failed_id:s | flow:I no:I", &failed_id, &flow, &no) < 0) {
        return CELERY_FAILED;
    }
    if (!note(task, flow, no)) {
        return celery_task_fail(task, "RuntimeError", "the run cannot be noted");
    }
    return celery_task_return_int(task, no);
}

static const struct {
    const char *name;
    celery_task_fn fn;
} tasks[] = {
    {"f.step", step}, {"f.flaky", flaky}, {"f.auto", auto_retry},
    {"f.boom", boom}, {"f.err", err},
};

CELERY_API celery_status celery_register(celery_app *app);

celery_status celery_register(celery_app *app)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]) && status == CELERY_OK; i++) {
        status = celery_app_task(app, tasks[i].name, tasks[i].fn);
        OPTION(app, tasks[i].name, "acks_late", "true");
        OPTION(app, tasks[i].name, "reject_on_worker_lost", "true");
    }
    OPTION(app, "f.flaky", "max_retries", "4");
    OPTION(app, "f.auto", "autoretry_for", "OSError");
    OPTION(app, "f.auto", "retry_kwargs", "{\"max_retries\": 4, \"countdown\": 0.3}");
    return status;
}
