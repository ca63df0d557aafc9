/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that need nothing but their arguments. */
#include "tasks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static celery_outcome identity(celery_task *task)
{
    const celery_value *x;

    if (celery_task_args(task, "x:v", &x) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_value(task, x);
}

static celery_outcome finish(celery_task *task, json_t *give_value)
{
    return give_value ? celery_task_return(task, give_value) : CELERY_FAILED;
}

static celery_outcome add(celery_task *task)
{
    json_t *x, *y, *z = NULL, *sum, *all;

    if (celery_task_args(task, "x:j y:j | z:j", &x, &y, &z) < 0) {
        return CELERY_FAILED;
    }
    sum = py_add(task, x, y);
    if (!sum || !z || !py_truth(z)) {
        return finish(task, sum);
    }
    all = py_add(task, sum, z);
    json_decref(sum);
    return finish(task, all);
}

static celery_outcome add_two(celery_task *task)
{
    json_t *x, *y;

    if (celery_task_args(task, "x:j y:j", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return finish(task, py_add(task, x, y));
}

static celery_outcome mul(celery_task *task)
{
    int64_t x, y, product;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    if (__builtin_mul_overflow(x, y, &product)) {
        return celery_task_fail(task, "OverflowError", "the product has over 64 bits");
    }
    return celery_task_return_int(task, product);
}

static celery_outcome write_to_file_and_return_int(celery_task *task)
{
    const char *path;
    int64_t i;
    char line[32];
    int fd, len;
    ssize_t written;

    if (celery_task_args(task, "file_name:s i:I", &path, &i) < 0) {
        return CELERY_FAILED;
    }
    len = snprintf(line, sizeof line, "%lld\n", (long long)i);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    written = fd < 0 ? -1 : write(fd, line, (size_t)len);
    if (fd >= 0) {
        close(fd);
    }
    if (written != len) {
        return celery_task_fail(task, "OSError", "cannot write to '%s'", path);
    }
    return celery_task_return_int(task, i);
}

static celery_outcome raise_error(celery_task *task)
{
    if (celery_task_args(task, "*") < 0) {
        return CELERY_FAILED;
    }
    return celery_task_fail(task, "ValueError", "deliberate error");
}

static celery_outcome delayed_sum(celery_task *task)
{
    json_t *numbers;
    double pause = 1;

    if (celery_task_args(task, "numbers:j | pause_time:d", &numbers, &pause) < 0) {
        return CELERY_FAILED;
    }
    if (!py_sleep(task, pause)) {
        return py_soft_limit(task);
    }
    return finish(task, py_sum(task, numbers));
}

static celery_outcome delayed_sum_with_soft_guard(celery_task *task)
{
    json_t *numbers;
    double pause = 1;

    if (celery_task_args(task, "numbers:j | pause_time:d", &numbers, &pause) < 0) {
        return CELERY_FAILED;
    }
    if (!py_sleep(task, pause)) {
        return celery_task_return_int(task, 0);
    }
    return finish(task, py_sum(task, numbers));
}

static celery_outcome tsum(celery_task *task)
{
    json_t *nums;

    if (celery_task_args(task, "nums:j", &nums) < 0) {
        return CELERY_FAILED;
    }
    return finish(task, py_sum(task, nums));
}

/* sum(sum(num) if isinstance(num, Iterable) else num for num in nums) */
static celery_outcome xsum(celery_task *task)
{
    json_t *nums, *flat, *num, *sum;
    size_t i;

    if (celery_task_args(task, "nums:j", &nums) < 0) {
        return CELERY_FAILED;
    }
    flat = json_array();
    json_array_foreach(nums, i, num)
    {
        sum = json_is_array(num) ? py_sum(task, num) : json_incref(num);
        if (!sum) {
            json_decref(flat);
            return CELERY_FAILED;
        }
        json_array_append_new(flat, sum);
    }
    sum = py_sum(task, flat);
    json_decref(flat);
    return finish(task, sum);
}

static celery_outcome print_unicode(celery_task *task)
{
    const char *log = "håå®ƒ valmuefrø", *print = "hiöäüß";

    if (celery_task_args(task, "| log_message:s print_message:s", &log, &print) < 0) {
        return CELERY_FAILED;
    }
    celery_task_log(task, CELERY_LOG_WARNING, "%s", log);
    printf("%s\n", print);
    fflush(stdout);
    return celery_task_return_none(task);
}

static celery_outcome return_exception(celery_task *task)
{
    json_t *e;

    if (celery_task_args(task, "e:j", &e) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return(task, json_pack("[Ob]", e, true));
}

static celery_outcome sleeping(celery_task *task)
{
    double i;

    if (celery_task_args(task, "i:d **", &i) < 0) {
        return CELERY_FAILED;
    }
    return py_sleep(task, i) ? celery_task_return_none(task) : py_soft_limit(task);
}

static celery_outcome fail(celery_task *task)
{
    json_t *args;

    if (celery_task_args(task, "*") < 0) {
        return CELERY_FAILED;
    }
    args = json_array();
    json_array_append_new(args, json_string("Task expected to fail"));
    json_array_extend(args, json_array_get(celery_task_json(task, NULL), 0));
    return celery_task_fail_args(task, EXPECTED, args, NULL);
}

static celery_outcome fail_unpickleable(celery_task *task)
{
    json_t *foo, *bar;

    if (celery_task_args(task, "foo:j bar:j", &foo, &bar) < 0) {
        return CELERY_FAILED;
    }
    /* UnpickleableException keeps bar beside its args. */
    return celery_task_fail_args(task, UNPICKLEABLE, json_pack("[O]", foo), NULL);
}

static celery_outcome return_true(celery_task *task)
{
    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_bool(task, true);
}

static celery_outcome nothing(celery_task *task)
{
    if (celery_task_args(task, "") < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_none(task);
}

/* With pydantic=True: a model goes in, a model comes out, both as their dicts. */
static celery_outcome add_pydantic(celery_task *task)
{
    json_t *data, *sum;

    if (celery_task_args(task, "data:j", &data) < 0) {
        return CELERY_FAILED;
    }
    if (!json_is_integer(json_object_get(data, "x")) ||
        !json_is_integer(json_object_get(data, "y"))) {
        return celery_task_fail(task, "pydantic_core._pydantic_core.ValidationError",
                                "AddParameterModel: x and y must be integers");
    }
    sum = py_add(task, json_object_get(data, "x"), json_object_get(data, "y"));
    return finish(task, sum ? json_pack("{so}", "result", sum) : NULL);
}

static celery_outcome reject_then_succeed(celery_task *task)
{
    if (!celery_task_redelivered(task)) {
        return celery_task_reject(task, true, "None");
    }
    return celery_task_return_string(task, "second-pass", strlen("second-pass"));
}

static celery_outcome store_success_then_reject(celery_task *task)
{
    if (!celery_task_redelivered(task)) {
        celery_task_update_state(task, "SUCCESS", json_string("first-pass"));
        return celery_task_reject(task, true, "None");
    }
    return celery_task_return_string(task, "dedup-pass", strlen("dedup-pass"));
}

static celery_outcome reject_without_requeue(celery_task *task)
{
    return celery_task_reject(task, false, "rejected");
}

static const struct suite_task tasks[] = {
    {"identity", identity, NULL},
    {"add", add, NULL},
    {"mul", mul, NULL},
    {"write_to_file_and_return_int", write_to_file_and_return_int, NULL},
    {"add_not_typed", add_two, NULL},
    {"add_ignore_result", add_two, "ignore_result=true"},
    {"add_with_result", add_two, "ignore_result=false"},
    {"raise_error", raise_error, NULL},
    {"delayed_sum", delayed_sum, NULL},
    {"delayed_sum_with_soft_guard", delayed_sum_with_soft_guard, NULL},
    {"tsum", tsum, NULL},
    {"xsum", xsum, NULL},
    {"print_unicode", print_unicode, NULL},
    {"return_exception", return_exception, NULL},
    {"sleeping", sleeping, NULL},
    {"fail", fail, NULL},
    {"fail_unpickleable", fail_unpickleable, NULL},
    {"replaced_with_me", return_true, NULL},
    {"soft_time_limit_must_exceed_time_limit", nothing, "soft_time_limit=2 time_limit=1"},
    {"add_pydantic", add_pydantic, NULL},
    {"add_pydantic_string_annotations", add_pydantic, NULL},
    {"reject_then_succeed", reject_then_succeed, "acks_late=true"},
    {"store_success_then_reject", store_success_then_reject, "acks_late=true"},
    {"reject_without_requeue", reject_without_requeue, NULL},
};

void register_plain(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
}
