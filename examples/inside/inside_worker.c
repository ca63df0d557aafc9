/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks that send others, are replaced by others, and try again:
 * ./inside_worker -b redis://localhost --result-backend redis://localhost
 */
#include <celery.h>

static celery_outcome square(celery_task *task)
{
    int64_t x;

    if (celery_task_args(task, "x:I", &x) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x * x);
}

static celery_outcome sum(celery_task *task)
{
    const celery_value *numbers;
    int64_t total = 0, number;

    if (celery_task_args(task, "numbers:v", &numbers) < 0) {
        return CELERY_FAILED;
    }
    for (size_t i = 0; i < celery_value_size(numbers); i++) {
        total += celery_value_int(celery_value_at(numbers, i), &number) ? number : 0;
    }
    return celery_task_return_int(task, total);
}

/* Finds out while it runs what there is to do, and is replaced by that: 1 + 4 + ... + n * n. */
static celery_outcome squares(celery_task *task)
{
    celery_error err = {0};
    celery_sig *parts[100];
    size_t n = 0;
    int count;

    if (celery_task_args(task, "n:i", &count) < 0) {
        return CELERY_FAILED;
    }
    while (n < 100 && (int)n < count) {
        n++;
        parts[n - 1] = celery_sig_new("inside.square", &err, "[i]", (int)n);
    }
    return celery_task_replace(task,
                               celery_chord(&err, celery_group_of(&err, parts, n),
                                            celery_sig_new("inside.sum", &err, NULL)));
}

/* Sends three tasks, which become its children. */
static celery_outcome scatter(celery_task *task)
{
    celery_error err = {0};
    int sent = 0;

    for (int i = 1; i <= 3; i++) {
        celery_sig *sig = celery_sig_new("inside.square", &err, "[i]", i);

        sent += celery_task_send(task, sig, &err) ? 1 : 0;
        celery_sig_free(sig);
    }
    return sent == 3 ? celery_task_return_int(task, sent)
                     : celery_task_fail(task, "RuntimeError", "%s", err.message);
}

/* The second attempt is less important than the first, and knows why it is made. */
static celery_outcome stubborn(celery_task *task)
{
    const celery_value *reason = celery_task_header(task, "reason");

    if (celery_task_retries(task) == 0) {
        celery_task_retry_set(task, "priority", json_integer(9));
        celery_task_retry_set(task, "headers", json_pack("{ss}", "reason", "was busy"));
        celery_task_retry_set(task, "max_retries", json_integer(5));
        return celery_task_retry_exc(task, 0.1, "ConnectionError", "busy");
    }
    return celery_task_return_value(task, reason);
}

/* Fails, and is tried again because of its option autoretry_for. */
static celery_outcome unlucky(celery_task *task)
{
    if (celery_task_retries(task) < 2) {
        return celery_task_fail(task, "ConnectionResetError", "no luck");
    }
    return celery_task_return_int(task, celery_task_retries(task));
}

int main(int argc, char **argv)
{
    celery_app *app = celery_app_new("inside");

    celery_app_task(app, "inside.square", square);
    celery_app_task(app, "inside.sum", sum);
    celery_app_task(app, "inside.squares", squares);
    celery_app_task(app, "inside.scatter", scatter);
    celery_app_task(app, "inside.stubborn", stubborn);
    celery_app_task(app, "inside.unlucky", unlucky);
    celery_app_task_set(app, "inside.unlucky", "autoretry_for", "OSError", NULL);
    celery_app_task_set(app, "inside.unlucky", "retry_kwargs", "{\"countdown\": 0.1}",
                        NULL);
    return celery_worker_main(app, argc, argv);
}
