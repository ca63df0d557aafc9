/* SPDX-License-Identifier: BSD-3-Clause */
/* What Python has and C has not. */
#include "tasks.h"

#include <string.h>
#include <time.h>

const char *py_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "dict";
    case JSON_ARRAY:
        return "list";
    case JSON_STRING:
        return "str";
    case JSON_INTEGER:
        return "int";
    case JSON_REAL:
        return "float";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    default:
        return "NoneType";
    }
}

static bool is_int(const json_t *value)
{
    return json_is_integer(value) || json_is_boolean(value);
}

static json_int_t int_of(const json_t *value)
{
    return json_is_true(value) ? 1 : json_integer_value(value);
}

static double double_of(const json_t *value)
{
    return json_is_real(value) ? json_real_value(value) : (double)int_of(value);
}

static json_t *joined(const json_t *x, const json_t *y)
{
    json_t *sum = json_copy((json_t *)x);

    json_array_extend(sum, (json_t *)y);
    return sum;
}

json_t *py_add(celery_task *task, const json_t *x, const json_t *y)
{
    json_int_t sum;

    if (is_int(x) && is_int(y)) {
        if (!__builtin_add_overflow(int_of(x), int_of(y), &sum)) {
            return json_integer(sum);
        }
        celery_task_fail(task, "OverflowError", "the sum has more than 64 bits");
        return NULL;
    }
    if ((is_int(x) || json_is_real(x)) && (is_int(y) || json_is_real(y))) {
        return json_real(double_of(x) + double_of(y));
    }
    if (json_is_string(x) && json_is_string(y)) {
        return json_sprintf("%s%s", json_string_value(x), json_string_value(y));
    }
    if (json_is_array(x) && json_is_array(y)) {
        return joined(x, y);
    }
    if (json_is_string(x) || json_is_array(x)) {
        celery_task_fail(task, "TypeError", "can only concatenate %s (not \"%s\") to %s",
                         py_type(x), py_type(y), py_type(x));
    } else {
        celery_task_fail(task, "TypeError",
                         "unsupported operand type(s) for +: '%s' and '%s'", py_type(x),
                         py_type(y));
    }
    return NULL;
}

json_t *py_sum(celery_task *task, const json_t *list)
{
    json_t *sum = json_integer(0), *next;
    const json_t *item;
    size_t i;

    if (!json_is_array(list)) {
        celery_task_fail(task, "TypeError", "'%s' object is not iterable", py_type(list));
        json_decref(sum);
        return NULL;
    }
    json_array_foreach((json_t *)list, i, item)
    {
        next = py_add(task, sum, item);
        json_decref(sum);
        sum = next;
        if (!sum) {
            return NULL;
        }
    }
    return sum;
}

bool py_truth(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    default:
        return json_is_true(value);
    }
}

/* bytes travel in JSON as {"__type__": "bytes", "__value__": text} (kombu/utils/json.py). */
static const celery_value *untyped(const celery_value *value)
{
    size_t len;
    const char *type = celery_value_text(celery_value_get(value, "__type__"), &len);
    bool bytes = type && len == strlen("bytes") && memcmp(type, "bytes", len) == 0;

    return bytes ? celery_value_get(value, "__value__") : value;
}

char *py_str(const celery_value *value)
{
    size_t len;
    const char *text = celery_value_text(untyped(value), &len);

    return text ? strndup(text, len) : celery_value_repr(value, 0);
}

bool py_sleep(celery_task *task, double seconds)
{
    struct timespec step = {0, 10 * 1000 * 1000}, now, start;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (celery_task_should_stop(task)) {
            return false;
        }
        nanosleep(&step, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) +
                 (double)(now.tv_nsec - start.tv_nsec) / 1e9 <
             seconds);
    return true;
}

celery_outcome py_soft_limit(celery_task *task)
{
    return celery_task_fail_args(task, "billiard.exceptions.SoftTimeLimitExceeded", NULL,
                                 NULL);
}

json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}
