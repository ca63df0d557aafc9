/* SPDX-License-Identifier: BSD-3-Clause */
/* What a retry changes: the keyword arguments of Task.retry(). */
#include "base/error.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "codec/codec.h"
#include "pool/task.h"

enum { PRIORITY_MAX = 255 };

static bool is_number(const struct cel_node *n)
{
    return (n->kind == CELERY_KIND_INT || n->kind == CELERY_KIND_FLOAT) &&
           cel_node_double(n, -1) >= 0;
}

static bool is_text(const struct cel_node *n)
{
    struct cel_slice text = cel_node_text(n);
    return cel_node_is_string(n) && text.len > 0 && !memchr(text.data, '\0', text.len);
}

static bool is_instant(const struct cel_node *n)
{
    int64_t us;
    bool aware;
    return cel_node_is_string(n) && cel_iso8601_parse(cel_node_text(n), &us, &aware);
}

static bool is_expiry(const struct cel_node *n)
{
    return is_number(n) || is_instant(n);
}

static bool is_limit(const struct cel_node *n)
{
    return is_number(n) || cel_node_is_null(n);
}

static bool is_count(const struct cel_node *n)
{
    return cel_node_is_null(n) ||
           (n->kind == CELERY_KIND_INT && cel_node_int(n, -1) >= 0);
}

static bool is_priority(const struct cel_node *n)
{
    int64_t priority = n->kind == CELERY_KIND_INT ? cel_node_int(n, -1) : -1;
    return priority >= 0 && priority <= PRIORITY_MAX;
}

static bool is_array(const struct cel_node *n)
{
    return n->kind == CELERY_KIND_ARRAY;
}

static bool is_object(const struct cel_node *n)
{
    return n->kind == CELERY_KIND_OBJECT;
}

static bool is_bool(const struct cel_node *n)
{
    return n->kind == CELERY_KIND_TRUE || n->kind == CELERY_KIND_FALSE;
}

static bool is_serializer(const struct cel_node *n)
{
    return is_text(n) && cel_codec_find(cel_node_text(n));
}

static bool is_compression(const struct cel_node *n)
{
    return is_text(n) && cel_compression_find(cel_node_text(n));
}

static const struct {
    const char *name;
    bool (*fits)(const struct cel_node *n);
    const char *wanted;
} options[] = {
    {"args", is_array, "a list"},
    {"kwargs", is_object, "a map"},
    {"eta", is_instant, "an ISO 8601 time"},
    {"max_retries", is_count, "a count or null"},
    {"headers", is_object, "a map"},
    {"priority", is_priority, "0 to 255"},
    {"expires", is_expiry, "seconds or an ISO 8601 time"},
    {"queue", is_text, "a text"},
    {"exchange", is_text, "a text"},
    {"routing_key", is_text, "a text"},
    {"serializer", is_serializer, "a serializer of this build"},
    {"compression", is_compression, "a compression of this build"},
    {"time_limit", is_limit, "seconds"},
    {"soft_time_limit", is_limit, "seconds"},
    {"shadow", is_text, "a text"},
    {"reply_to", is_text, "a text"},
    {"ignore_result", is_bool, "a truth value"},
};

static celery_status check(const char *option, const struct cel_node *value,
                           celery_error *err)
{
    const char *name = option ? option : "";
    if (!value) {
        return cel_error_set(err, CELERY_EINVAL, "retry() option %s: no value",
                             cel_log_safe(cel_slice_of(name)));
    }
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(options[i].name, name) != 0) {
            continue;
        }
        return options[i].fits(value)
                   ? CELERY_OK
                   : cel_error_set(err, CELERY_EINVAL, "retry() option %s is not %s",
                                   name, options[i].wanted);
    }
    return cel_error_set(err, CELERY_EINVAL, "retry() has no option %s",
                         cel_log_safe(cel_slice_of(name)));
}

static celery_status put(celery_task *task, const char *option, struct cel_node *value)
{
    struct cel_task_retry *r = &task->retry;
    if (strcmp(option, "max_retries") == 0) {
        r->has_max = true;
        r->max_retries = cel_node_int(value, CEL_RETRIES_UNLIMITED);
        return CELERY_OK;
    }
    if (!r->options) {
        r->options = cel_node_new(&task->arena, CELERY_KIND_OBJECT);
    }
    if (!r->options ||
        cel_node_put(&task->arena, r->options, cel_slice_of(option), value) < 0) {
        return CELERY_ENOMEM;
    }
    return CELERY_OK;
}

static celery_status set(celery_task *task, const char *option, struct cel_node *value)
{
    celery_error err = {0};
    celery_status status = check(option, value, &err);
    if (status == CELERY_OK) {
        status = put(task, option, value);
        if (status < 0) {
            cel_error_nomem(&err);
        }
    }
    if (status < 0 && task->retry.failed.status == CELERY_OK) {
        task->retry.failed = err;
    }
    return status;
}

celery_status celery_task_retry_set(celery_task *task, const char *option,
                                    json_t *give_value)
{
    struct cel_node *value =
        give_value ? cel_doc_from_json(&task->arena, give_value) : NULL;
    json_decref(give_value);
    return set(task, option, value);
}

celery_status celery_task_retry_set_value(celery_task *task, const char *option,
                                          const celery_value *value)
{
    return set(task, option, value ? cel_node_copy(&task->arena, value) : NULL);
}
