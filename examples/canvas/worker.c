/* SPDX-License-Identifier: BSD-3-Clause */
/* The tasks that the programs of this folder call: ./canvas_worker -b redis://localhost */
#include <celery.h>

static celery_outcome add(celery_task *task)
{
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

static celery_outcome sum(celery_task *task)
{
    const celery_value *numbers;
    int64_t total = 0, number;

    if (celery_task_args(task, "numbers:v", &numbers) < 0) {
        return CELERY_FAILED;
    }
    for (const celery_value *n = celery_value_first(numbers); n;
         n = celery_value_next(n)) {
        if (!celery_value_int(n, &number)) {
            return celery_task_fail(task, "TypeError", "not a number");
        }
        total += number;
    }
    return celery_task_return_int(task, total);
}

static celery_outcome fail(celery_task *task)
{
    const char *text;

    if (celery_task_args(task, "text:s", &text) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_fail(task, "ValueError", "%s", text);
}

/* An errback: called with the id of the task that failed. */
static celery_outcome note_error(celery_task *task)
{
    const celery_value *id;

    if (celery_task_args(task, "failed_id:v", &id) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_value(task, id);
}

/* Succeeds at the third attempt. */
static celery_outcome flaky(celery_task *task)
{
    int retries = celery_task_retries(task);

    if (retries < 2) {
        return celery_task_retry_exc(task, 0.1, "ConnectionError", "attempt %d", retries);
    }
    return celery_task_return_int(task, retries);
}

static celery_outcome stamps(celery_task *task)
{
    return celery_task_return_value(task, celery_task_header(task, "stamps"));
}

/* Any canvas may take the place of a task: its caller gets that one's result. */
static celery_outcome add_all(celery_task *task)
{
    const celery_value *pairs;
    celery_error err = {0};
    celery_sig *parts[100];
    size_t n = 0;

    if (celery_task_args(task, "pairs:v", &pairs) < 0) {
        return CELERY_FAILED;
    }
    for (const celery_value *p = celery_value_first(pairs); p && n < 100;
         p = celery_value_next(p)) {
        parts[n] = celery_sig_new("canvas.add", &err, NULL);
        celery_sig_set_args(parts[n++], celery_value_to_json(p, &err));
    }
    return celery_task_replace(task,
                               celery_chord(&err, celery_group_of(&err, parts, n),
                                            celery_sig_new("canvas.sum", &err, NULL)));
}

int main(int argc, char **argv)
{
    celery_app *app = celery_app_new("canvas");

    celery_app_task(app, "canvas.add", add);
    celery_app_task(app, "canvas.sum", sum);
    celery_app_task(app, "canvas.fail", fail);
    celery_app_task(app, "canvas.note_error", note_error);
    celery_app_task(app, "canvas.flaky", flaky);
    celery_app_task(app, "canvas.stamps", stamps);
    celery_app_task(app, "canvas.add_all", add_all);
    return celery_worker_main(app, argc, argv);
}
