/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/direct.h"

#include "base/arena.h"
#include "message/envelope_json.h"
#include "worker/admit.h"
#include "worker/cleanup.h"
#include "worker/unlock.h"

/* Results on their way to the backend; behind so many a step waits with the broker. */
enum { UNSTORED_MAX = 64 };

/* An unacknowledged one stays so until what it calls is with the broker. */
bool cel_direct_from(const struct cel_request *r)
{
    return r->outcome.kind == CEL_OUTCOME_SUCCESS && r->acknowledged && !r->void_tag &&
           !r->cancelled && !r->w->policy.every_step;
}

/* Nobody waits for the place that it would take. */
static bool is_idle(const struct celery_worker *w)
{
    return w->shutdown == CEL_SHUTDOWN_NONE && cel_list_empty(&w->ready) &&
           w->pool->ops->idle(w->pool) && cel_results_connected(w->results) &&
           cel_results_waiting(w->results) < UNSTORED_MAX;
}

/* The queue's name as the transport has it; NULL: not a quiet one of ours. */
static const char *quiet(struct celery_worker *w, const char *queue)
{
    struct cel_transport *t = cel_link_transport(w->link);

    return t->ops->quiet && cel_link_consuming(w->link) ? t->ops->quiet(t, queue) : NULL;
}

static bool may_run(const struct cel_request *r)
{
    const struct cel_task_def *task = r->job.task;

    return task && r->job.call.eta_us == INT64_MIN && !r->w->buckets[task->index] &&
           !r->w->policy.tasks[task->index].acks_late && !cel_unlock_is(r) &&
           !cel_cleanup_is(r);
}

bool cel_direct_run(struct celery_worker *w, const char *queue, struct cel_slice text)
{
    struct cel_transport *t = cel_link_transport(w->link);
    struct cel_delivery d = {.queue = is_idle(w) ? quiet(w, queue) : NULL};
    struct cel_request seen = {.w = w};

    if (!d.queue || text.len > t->max_message ||
        cel_envelope_read(text, &d.envelope, NULL) < 0) {
        cel_envelope_free(d.envelope);
        return false;
    }
    d.envelope->written = true;
    if (cel_task_call_read(d.envelope, &w->policy.limits, &seen.job.call, NULL) ==
        CEL_CALL_OK) {
        seen.job.task = cel_app_find_task(w->app, seen.job.call.task);
    }
    if (!may_run(&seen)) {
        cel_envelope_free(d.envelope);
        return false;
    }
    return cel_admit_direct(w, &d, &seen.job);
}

void cel_direct_publish(struct cel_request *r, struct cel_done done)
{
    struct cel_transport *t = cel_link_transport(r->w->link);
    const char *key = cel_arena_strndup(&r->envelope->arena, r->job.routing_key.data,
                                        r->job.routing_key.len);

    r->uncertain = true; /* what publishing answers says nothing of whose it was */
    t->ops->publish(t, "", key ? key : r->queue, r->envelope, done);
}
