/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches a cluster: tells of each task that ends, and after some seconds who is there and what
 * ran.  ./watch redis://localhost 10
 */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

static void on_event(void *ctx, const celery_event *event)
{
    celery_state *state = ctx;
    celery_state_event(state, event, NULL);

    const celery_state_task *task =
        event->uuid ? celery_state_task_of(state, event->uuid) : NULL;
    if (task && task->timestamp == event->timestamp &&
        (task->succeeded > 0 || task->failed > 0)) {
        printf("%s %s: %s\n", task->name ? task->name : task->uuid, task->state,
               task->result ? task->result : task->exception);
        fflush(stdout);
    }
}

static bool print_worker(void *ctx, const celery_state_worker *worker)
{
    printf("%s is %s\n", worker->hostname, worker->alive ? "there" : "away");
    return true;
}

static bool print_type(void *ctx, const celery_state_type *type)
{
    printf("%s: %zu seen, %zu succeeded, %zu failed\n", type->name, type->total,
           type->succeeded, type->failed);
    return true;
}

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 10;
    celery_error err = {0};
    celery_state *state = celery_state_new(0, 0, &err);
    celery_events *events =
        state ? celery_events_open_url(broker, NULL, on_event, state, &err) : NULL;

    if (!events || celery_events_run(events, seconds, &err) < 0) {
        fprintf(stderr, "watch: %s\n", err.message);
    } else {
        celery_state_each_worker(state, 0, print_worker, NULL);
        celery_state_each_type(state, print_type, NULL, NULL);
    }
    celery_events_close(events);
    celery_state_free(state);
    return err.status < 0 ? 1 : 0;
}
