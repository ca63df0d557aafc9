/* SPDX-License-Identifier: BSD-3-Clause */
/* From the bytes of a dead letter to what people want to know of it. */
#include "base/log.h"
#include "client/dead.h"
#include "message/envelope_json.h"
#include "transport/redis_dead.h"

/* Escaped, in the arena; NULL when out of memory. */
static const char *shown(struct cel_arena *a, struct cel_slice text)
{
    const char *safe = cel_log_safe(text);

    return cel_arena_strndup(a, safe, strlen(safe));
}

/* Finds task, id and priority of a message; what cannot be read stays unset. */
static celery_status look_inside(struct cel_arena *a, struct cel_slice message,
                                 const char *const *accept, struct cel_dead_record *r)
{
    struct cel_call_limits limits = {.accept = accept};
    struct cel_envelope *env = NULL;
    struct cel_task_call call;
    celery_status status = cel_envelope_read(message, &env, NULL);

    if (!env) {
        return status == CELERY_ENOMEM ? status : CELERY_OK;
    }
    cel_task_call_read(env, &limits, &call, NULL);
    status = CELERY_OK;
    r->priority = env->priority;
    if (call.task.len) {
        r->entry.task = shown(a, call.task);
        status = r->entry.task ? status : CELERY_ENOMEM;
    }
    if (call.id.len) {
        const char *id = cel_arena_strndup(a, call.id.data, call.id.len);

        r->entry.task_id = shown(a, call.id);
        r->id = cel_slice(id, call.id.len);
        status = id && r->entry.task_id ? status : CELERY_ENOMEM;
    }
    cel_envelope_free(env);
    return status;
}

celery_status cel_dead_record_read(struct cel_arena *a, struct cel_slice text,
                                   size_t size, const char *list,
                                   const char *const *accept, struct cel_dead_record *ret)
{
    struct cel_redis_dead dead;
    bool ours = cel_redis_dead_read(a, text, &dead);

    *ret = (struct cel_dead_record){.list = list};
    ret->head = ours ? text.len - dead.raw.len : 0;
    ret->entry.time = ours ? dead.time : 0;
    ret->entry.reason = shown(a, dead.reason);
    ret->entry.queue = shown(a, dead.queue.len ? dead.queue : cel_slice_of(list));
    ret->entry.size = size - ret->head;
    ret->entry.message = dead.raw.data ? dead.raw.data : "";
    ret->entry.message_size = dead.raw.len;
    if (!ret->entry.reason || !ret->entry.queue) {
        return CELERY_ENOMEM;
    }
    return text.len == size ? look_inside(a, dead.raw, accept, ret) : CELERY_OK;
}
