/* SPDX-License-Identifier: BSD-3-Clause */
#include <celery.h>

static celery_outcome add(celery_task *task)
{
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED; /* the caller sees a TypeError */
    }
    return celery_task_return_int(task, x + y);
}

int main(int argc, char **argv)
{
    celery_app *app = celery_app_new("hello");

    celery_app_task(app, "hello.add", add);
    return celery_worker_main(app, argc, argv);
}
