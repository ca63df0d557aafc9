/* SPDX-License-Identifier: BSD-3-Clause */
/* The picture of a cluster: what it holds, and where its events go (celery/events/state.py). */
#include "client/state.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

/* max_workers_in_memory, max_tasks_in_memory */
enum { WORKERS = 5000, TASKS = 10000 };

celery_state *celery_state_new(size_t max_workers, size_t max_tasks, celery_error *err)
{
    struct celery_state *s = cel_calloc(1, sizeof *s);

    if (!s) {
        cel_error_nomem(err);
        return NULL;
    }
    s->max_workers = max_workers ? max_workers : WORKERS;
    s->max_tasks = max_tasks ? max_tasks : TASKS;
    cel_list_init(&s->workers);
    cel_list_init(&s->tasks);
    return s;
}

static void drop_task(struct celery_state *s, struct cel_state_task *t)
{
    cel_map_del(&s->by_uuid, cel_slice_of(t->pub.uuid));
    cel_list_remove(&t->node);
    s->bytes -= t->bytes;
    cel_state_task_free(t);
}

void celery_state_free(celery_state *s)
{
    struct cel_list *it, *tmp;

    if (!s) {
        return;
    }
    cel_list_foreach(it, tmp, &s->workers) {
        cel_state_worker_free(cel_container_of(it, struct cel_state_worker, node));
    }
    cel_list_foreach(it, tmp, &s->tasks) {
        cel_state_task_free(cel_container_of(it, struct cel_state_task, node));
    }
    cel_map_fini(&s->by_hostname);
    cel_map_fini(&s->by_uuid);
    cel_free(s);
}

static bool has_ended(const struct cel_state_task *t)
{
    static const char *const ready[] = {"SUCCESS", "FAILURE", "REVOKED"};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(t->pub.state, ready[i]) == 0) {
            return true;
        }
    }
    return false;
}

void celery_state_clear_tasks(celery_state *s, bool ended)
{
    struct cel_list *it, *tmp;

    if (!s) {
        return;
    }
    cel_list_foreach(it, tmp, &s->tasks) {
        struct cel_state_task *t = cel_container_of(it, struct cel_state_task, node);

        if (!ended || has_ended(t)) {
            drop_task(s, t);
        }
    }
}

/* ---- events ---- */

static struct cel_state_task *oldest(struct celery_state *s)
{
    return cel_container_of(cel_list_first(&s->tasks), struct cel_state_task, node);
}

static struct cel_state_task *get_task(struct celery_state *s, const char *uuid,
                                       celery_error *err)
{
    struct cel_slice key = cel_slice_of(uuid);
    struct cel_state_task *t = cel_map_get(&s->by_uuid, key);

    if (t) {
        return t;
    }
    while (s->by_uuid.count >= s->max_tasks) {
        drop_task(s, oldest(s));
    }
    t = cel_calloc(1, sizeof *t);
    if (t) {
        t->pub.uuid = cel_strdup(uuid);
        t->pub.state = "PENDING";
        t->pub.runtime = -1;
        t->pub.retries = -1;
    }
    if (!t || !t->pub.uuid || cel_map_set(&s->by_uuid, key, t, NULL) < 0) {
        cel_state_task_free(t);
        cel_error_nomem(err);
        return NULL;
    }
    cel_list_append(&s->tasks, &t->node);
    return t;
}

/* The newest of its events decides the order of tasks; clocks first (kombu/clocks.py timetuple). */
static void note_time(struct cel_state_task *t, const celery_event *event)
{
    if (event->clock > t->newest_clock ||
        (event->clock == t->newest_clock && event->timestamp > t->newest_time)) {
        t->newest_clock = event->clock;
        t->newest_time = event->timestamp;
    }
}

/* State._create_dispatcher() looks the parent up in a cache, which keeps it longer for that. */
static void keep_parent(struct celery_state *s, const struct cel_state_task *t)
{
    struct cel_slice id = cel_slice_of(t->pub.parent_id);
    struct cel_state_task *parent = id.data ? cel_map_get(&s->by_uuid, id) : NULL;

    if (parent) {
        cel_list_remove(&parent->node);
        cel_list_append(&s->tasks, &parent->node);
    }
}

static celery_status task_event(struct celery_state *s, const char *subject,
                                const celery_event *event, celery_error *err)
{
    bool by_client = strcmp(subject, "sent") == 0;
    celery_status status = CELERY_OK;
    struct cel_state_task *t;
    size_t before;

    t = get_task(s, event->uuid, err);
    if (!t) {
        return CELERY_ENOMEM;
    }
    if (!by_client) {
        status = cel_state_worker_works(s, event, err);
    }
    before = t->bytes;
    if (status == CELERY_OK) {
        status = cel_state_task_merge(t, subject, event, err);
    }
    s->bytes = s->bytes - before + t->bytes;
    note_time(t, event);
    s->received += strcmp(subject, "received") == 0;
    keep_parent(s, t);
    while (s->bytes > CEL_STATE_BYTES && s->by_uuid.count > 1 && oldest(s) != t) {
        drop_task(s, oldest(s));
    }
    return status;
}

static bool is_name(const char *text)
{
    return text && *text && strlen(text) <= CEL_STATE_NAME;
}

celery_status celery_state_event(celery_state *s, const celery_event *event,
                                 celery_error *err)
{
    const char *dash = s && event && event->type ? strchr(event->type, '-') : NULL;

    if (!s || !event) {
        return CELERY_EINVAL;
    }
    s->events++;
    if (!dash || !is_name(event->hostname)) {
        return CELERY_NONE;
    }
    if (cel_slice_is(cel_slice(event->type, (size_t)(dash - event->type)), "worker")) {
        return cel_state_worker_event(s, dash + 1, event, err);
    }
    if (cel_slice_is(cel_slice(event->type, (size_t)(dash - event->type)), "task") &&
        is_name(event->uuid) && event->timestamp != 0) {
        return task_event(s, dash + 1, event, err);
    }
    return CELERY_NONE;
}
