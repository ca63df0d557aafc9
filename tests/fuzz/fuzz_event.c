/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of a message: any events; what is given can be used, and made a picture of. */
#include "client/events.h"
#include <celery/log.h>
#include <celery/state.h>

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static celery_state *state;

static void on_event(void *ctx, const celery_event *e)
{
    if (!e->type || !*e->type || e->clock <= 0 || !isfinite(e->timestamp) ||
        celery_value_kind(e->fields) != CELERY_KIND_OBJECT ||
        !celery_value_get(e->fields, "local_received")) {
        abort();
    }
    celery_state_event(state, e, NULL);
    const celery_state_task *task = e->uuid ? celery_state_task_of(state, e->uuid) : NULL;
    if (task && (!task->state || !isfinite(task->runtime))) {
        abort();
    }
}

static void nobody(void *ctx, celery_log_level level, const char *message)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cel_loop *loop;
    struct celery_events ev = {.fn = on_event, .accept = {"json"}};
    struct cel_envelope *env = cel_envelope_new();
    celery_state_counts counts;

    if (!loop) {
        celery_log_set(nobody, NULL, CELERY_LOG_WARNING);
        cel_loop_new(&loop, NULL);
    }
    ev.loop = loop;
    ev.limits.accept = ev.accept;
    ev.limits.json.depth = 200;
    ev.limits.json.elements = CEL_EVENTS_NODES;
    state = celery_state_new(4, 8, NULL);
    env->content_type = CEL_SLICE("application/json");
    env->body = cel_slice(cel_arena_strndup(&env->arena, (const char *)data, size), size);
    cel_events_receive(&ev, env);
    celery_state_count(state, 0, &counts);
    if (counts.workers > 4 || counts.tasks > 8 || counts.alive > counts.workers) {
        abort();
    }
    celery_state_free(state);
    return 0;
}
