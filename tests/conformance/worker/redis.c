/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that leave a trace in the tests' Redis (REDIS_HOST, REDIS_PORT). */
#include "tasks.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

/* One connection for one command, as get_redis_connection() is used. */
static bool command(celery_task *task, const char *name, const char *key,
                    const char *value)
{
    const char *host = getenv("REDIS_HOST"), *port = getenv("REDIS_PORT");
    struct timeval patience = {10, 0};
    redisContext *redis =
        redisConnectWithTimeout(host ? host : "localhost",
                                (int)strtoul(port ? port : "6379", NULL, 10), patience);
    redisReply *reply = NULL;
    bool done;

    if (redis && !redis->err) {
        redisSetTimeout(redis, patience);
        reply = value ? redisCommand(redis, "%s %s %s", name, key, value)
                      : redisCommand(redis, "%s %s", name, key);
    }
    done = reply && reply->type != REDIS_REPLY_ERROR;
    if (!done) {
        celery_task_fail(task, "redis.exceptions.ConnectionError", "%s: %s", name,
                         reply   ? reply->str
                         : redis ? redis->errstr
                                 : "no memory");
    }
    freeReplyObject(reply);
    if (redis) {
        redisFree(redis);
    }
    return done;
}

bool redis_push(celery_task *task, const char *key, const char *text)
{
    return command(task, "RPUSH", key, text);
}

static celery_outcome push(celery_task *task, const char *key,
                           const celery_value *message)
{
    char *text = py_str(message);
    bool done = redis_push(task, key, text);

    free(text);
    return done ? celery_task_return_none(task) : CELERY_FAILED;
}

static celery_outcome redis_echo(celery_task *task)
{
    const celery_value *message;
    const char *key = "redis-echo";

    if (celery_task_args(task, "message:v | redis_key:s", &message, &key) < 0) {
        return CELERY_FAILED;
    }
    return push(task, key, message);
}

static celery_outcome redis_echo_group_id(celery_task *task)
{
    const celery_value *ignored;
    const char *key = "redis-group-ids", *group;

    if (celery_task_args(task, "_:v | redis_key:s", &ignored, &key) < 0) {
        return CELERY_FAILED;
    }
    group = celery_task_group_id(task);
    return redis_push(task, key, group ? group : "") ? celery_task_return_none(task)
                                                     : CELERY_FAILED;
}

static celery_outcome redis_count(celery_task *task)
{
    const char *key = "redis-count";

    if (celery_task_args(task, "| redis_key:s", &key) < 0) {
        return CELERY_FAILED;
    }
    return command(task, "INCR", key, NULL) ? celery_task_return_none(task)
                                            : CELERY_FAILED;
}

static celery_outcome sum_and_record(celery_task *task)
{
    json_t *values, *sum;
    const char *key;

    if (celery_task_args(task, "values:j redis_key:s", &values, &key) < 0) {
        return CELERY_FAILED;
    }
    sum = py_sum(task, values);
    if (sum && redis_push(task, key, celery_task_id(task))) {
        return celery_task_return(task, sum);
    }
    json_decref(sum);
    return CELERY_FAILED;
}

static celery_outcome errback_old_style(celery_task *task)
{
    const char *id;

    if (celery_task_args(task, "request_id:s", &id) < 0 ||
        !command(task, "INCR", id, NULL)) {
        return CELERY_FAILED;
    }
    return celery_task_return(task, json_string(id));
}

static celery_outcome errback_old_style_with_args(celery_task *task)
{
    const char *id;
    const celery_value *label;

    if (celery_task_args(task, "request_id:s label:v", &id, &label) < 0) {
        return CELERY_FAILED;
    }
    return push(task, id, label);
}

static celery_outcome errback_new_style(celery_task *task)
{
    json_t *request, *exc, *tb;
    const char *id;

    if (celery_task_args(task, "request:j exc:j tb:j", &request, &exc, &tb) < 0) {
        return CELERY_FAILED;
    }
    id = json_string_value(json_object_get(request, "id"));
    if (!id || !command(task, "INCR", id, NULL)) {
        return CELERY_FAILED;
    }
    return celery_task_return(task, json_string(id));
}

static celery_outcome errback_new_style_with_args(celery_task *task)
{
    json_t *request, *exc, *tb;
    const celery_value *label;

    if (celery_task_args(task, "request:j exc:j tb:j label:v", &request, &exc, &tb,
                         &label) < 0) {
        return CELERY_FAILED;
    }
    return push(task, json_string_value(json_object_get(request, "id")), label);
}

static const struct suite_task tasks[] = {
    {"redis_echo", redis_echo, NULL},
    {"redis_echo_group_id", redis_echo_group_id, NULL},
    {"redis_count", redis_count, NULL},
    {"sum_and_record", sum_and_record, NULL},
    {"errback_old_style", errback_old_style, NULL},
    {"errback_old_style_with_args", errback_old_style_with_args, NULL},
    {"errback_new_style", errback_new_style, "new_style_errback=true"},
    {"errback_new_style_with_args", errback_new_style_with_args,
     "new_style_errback=true"},
};

void register_redis(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
}
