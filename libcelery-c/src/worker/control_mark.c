/* SPDX-License-Identifier: BSD-3-Clause */
/* What a revoke writes about tasks that wait elsewhere. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/control_revoke.h"

/* So many are under way at once: a flood of ids is no reason for tasks to wait. */
#define WINDOW 500

struct mark {
    struct celery_worker *w;
    struct cel_arena arena;
    struct cel_errand load;
    struct cel_results_listener listener;
    struct cel_slice *ids;
    struct cel_store *stores;
    struct cel_map known; /* ids that have a state that stays, to nothing */
    size_t n;
    size_t next; /* of ids, to be looked at */
    size_t left; /* being stored */
    bool failed; /* it has been said */
};

#define REVOKED_JSON                                                        \
    "{\"exc_type\": \"TaskRevokedError\", \"exc_message\": [\"revoked\"], " \
    "\"exc_module\": \"celery.exceptions\"}"

static void mark_free(struct mark *m)
{
    cel_list_remove(&m->listener.node);
    cel_map_fini(&m->known);
    cel_arena_fini(&m->arena);
    cel_free(m);
}

static bool stays(struct cel_slice state)
{
    static const char *const passing[] = {"PENDING", "RECEIVED", "RETRY", "REJECTED"};

    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        if (cel_slice_is(state, passing[i])) {
            return false;
        }
    }
    return state.len > 0;
}

static void on_meta(struct cel_results_listener *listener, struct cel_slice task_id,
                    const struct cel_node *doc)
{
    struct mark *m = cel_container_of(listener, struct mark, listener);

    if (stays(cel_meta_status(doc))) {
        cel_map_set(&m->known, task_id, m, NULL);
    }
}

static void store_more(struct mark *m);

static void on_stored(void *ctx, const celery_error *err)
{
    struct mark *m = ctx;

    if (err && !m->failed) {
        m->failed = true;
        cel_log(CELERY_LOG_WARNING, "Failed to mark a task as revoked in backend: %s",
                err->message);
        m->next = m->n;
    }
    if (--m->left == 0) {
        store_more(m);
    }
}

static void store(struct mark *m, size_t i)
{
    m->stores[i] = (struct cel_store){
        .errand = {.done = on_stored, .ctx = m},
        .meta =
            {
                .task_id = m->ids[i],
                .status = CEL_SLICE("REVOKED"),
                .result_json = CEL_SLICE(REVOKED_JSON),
                .children_json = CEL_SLICE("[]"),
                .date_done_us = cel_clock_wall_us(),
                .retries = INT64_MIN,
            },
    };
    m->left++;
    cel_results_store(m->w->results, &m->stores[i]);
}

/* The next ones; without any left m is gone. */
static void store_more(struct mark *m)
{
    m->left = 1; /* ours, so that it stays until all of them are asked for */
    while (m->next < m->n && m->left <= WINDOW) {
        size_t i = m->next++;

        if (!cel_map_get(&m->known, m->ids[i])) {
            store(m, i);
        }
    }
    if (--m->left > 0) {
        return;
    }
    if (m->next < m->n) {
        store_more(m);
    } else {
        mark_free(m);
    }
}

static void on_loaded(void *ctx, const celery_error *err)
{
    struct mark *m = ctx;

    cel_list_remove(&m->listener.node);
    m->next = err ? m->n : 0;
    store_more(m);
}

static void start_load(struct cel_errand *errand, struct cel_backend *b)
{
    struct mark *m = cel_container_of(errand, struct mark, load);

    b->ops->load(b, m->ids, m->n, (struct cel_done){cel_errand_answer, errand});
}

/* False: no memory. */
static bool copy_ids(struct mark *m, const struct cel_slice *ids, size_t n)
{
    m->ids = cel_arena_alloc(&m->arena, n * sizeof *m->ids);
    m->stores = cel_arena_alloc(&m->arena, n * sizeof *m->stores);
    for (size_t i = 0; m->ids && i < n; i++) {
        const char *copy = cel_arena_strndup(&m->arena, ids[i].data, ids[i].len);

        if (!copy) {
            return false;
        }
        m->ids[i] = cel_slice(copy, ids[i].len);
    }
    m->n = n;
    return m->ids && m->stores;
}

void cel_control_mark_revoked(struct celery_worker *w, const struct cel_slice *ids,
                              size_t n)
{
    const struct cel_backend_ops *ops = cel_results_ops(w->results);

    if (n == 0 || !ops || !(ops->flags & CEL_BACKEND_SHARED) ||
        !cel_results_connected(w->results)) {
        return;
    }
    struct mark *m = cel_calloc(1, sizeof *m);
    if (!m) {
        return;
    }
    m->w = w;
    cel_list_init(&m->listener.node);
    if (!copy_ids(m, ids, n)) {
        mark_free(m);
        return;
    }
    m->listener.meta = on_meta;
    cel_results_listen(w->results, &m->listener);
    m->load = (struct cel_errand){.start = start_load, .done = on_loaded, .ctx = m};
    cel_results_run(w->results, &m->load);
}
