/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Databases tell nobody: watched results are looked at again and again, all in one question, soon
 * at first and then every half second, as often as upstream looks (celery/backends/database
 * DatabaseBackend.subpolling_interval, base.py SyncBackendMixin.wait_for).
 */
#include "backend/sql.h"
#include "base/alloc.h"

#define LOOK_FIRST 0.02
#define LOOK_MOST  0.5

struct cel_sql_watch {
    uint64_t hash;
    bool told; /* of what is there, since it was asked for */
};

static void look_soon(struct cel_sql *b)
{
    b->pause = LOOK_FIRST;
    if (!b->polling) {
        cel_source_rearm(b->poll, cel_loop_now(b->base.loop));
    }
}

celery_status cel_sql_watch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_sql *b = (struct cel_sql *)base;
    struct cel_sql_watch *w;

    if (b->state != CEL_SQL_OPEN) {
        return CELERY_ECLOSED;
    }
    w = cel_map_get(&b->watches, task_id);
    if (!w) {
        w = cel_calloc(1, sizeof *w);
        if (!w || cel_map_set(&b->watches, task_id, w, NULL) < 0) {
            cel_free(w);
            return CELERY_ENOMEM;
        }
    }
    w->told = false;
    look_soon(b);
    return CELERY_OK;
}

void cel_sql_unwatch(struct cel_backend *base, struct cel_slice task_id)
{
    cel_free(cel_map_del(&((struct cel_sql *)base)->watches, task_id));
}

static void on_polled(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_sql *b = ctx;

    b->polling = false;
    if (b->state == CEL_SQL_OPEN && b->watches.count > 0) {
        cel_source_rearm(b->poll, cel_loop_now(b->base.loop) + b->pause);
        b->pause = b->pause * 1.5 < LOOK_MOST ? b->pause * 1.5 : LOOK_MOST;
    }
}

void cel_sql_poll(void *ctx)
{
    struct cel_sql *b = ctx;
    size_t n = b->watches.count;
    size_t at = 0;
    size_t i = 0;

    if (b->polling || b->state != CEL_SQL_OPEN || n == 0) {
        return;
    }
    struct cel_slice *ids = cel_alloc(n * sizeof *ids);
    while (ids && i < n && cel_map_next(&b->watches, &at, &ids[i], NULL)) {
        i++;
    }
    struct cel_sql_job *job =
        ids ? cel_sql_job_new(b, CEL_SQL_POLL, ids, i, (struct cel_done){on_polled, b})
            : NULL;
    cel_free(ids);
    if (job) {
        b->polling = true;
        cel_sql_post(b, job);
    } else {
        cel_source_rearm(b->poll, cel_loop_now(b->base.loop) + LOOK_MOST);
    }
}

/* What cannot be read is not reported; a load() says what is wrong with it. */
void cel_sql_polled(struct cel_sql *b, const struct cel_sql_job *job)
{
    for (size_t i = 0; i < job->n_ids && b->state == CEL_SQL_OPEN; i++) {
        const struct cel_sql_found *found = &job->found[i];
        struct cel_sql_watch *w = cel_map_get(&b->watches, job->ids[i]);

        if (job->err.status < 0 && !found->doc) {
            continue;
        }
        if (w && (!w->told || w->hash != found->hash)) {
            w->told = true;
            w->hash = found->hash;
            b->base.events->meta(b->base.events_ctx, job->ids[i], found->doc);
        }
    }
}

void cel_sql_watch_clear(struct cel_sql *b)
{
    size_t at = 0;
    void *w;

    while (cel_map_next(&b->watches, &at, NULL, &w)) {
        cel_free(w);
    }
    cel_map_fini(&b->watches);
    b->polling = false;
    if (b->poll) {
        cel_source_disarm(b->poll);
    }
}
