/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop's side: jobs are made, handed over once in a pass, and their ends told. */
#include "backend/sql.h"
#include "base/alloc.h"
#include "base/error.h"

/* What may wait for the database; whoever stores more is told to come back. */
enum { MOST_WAITING = 100000 };
static const size_t MOST_BYTES = (size_t)256 << 20;

/* ---- jobs ---- */

struct cel_sql_job *cel_sql_job_free(struct cel_sql_job *job)
{
    if (job) {
        cel_arena_fini(&job->arena);
        cel_free(job);
    }
    return NULL;
}

static bool keep(struct cel_sql_job *job, struct cel_slice *s)
{
    if (!s->data) {
        return true;
    }
    s->data = cel_arena_strndup(&job->arena, s->len ? s->data : "", s->len);
    job->bytes += s->len;
    return s->data != NULL;
}

struct cel_sql_job *cel_sql_job_new(struct cel_sql *b, enum cel_sql_job_kind kind,
                                    const struct cel_slice *ids, size_t n,
                                    struct cel_done done)
{
    struct cel_sql_job *job = cel_calloc(1, sizeof *job);
    bool ok = job != NULL;

    if (!job) {
        return NULL;
    }
    cel_list_init(&job->node);
    job->kind = kind;
    job->done = done;
    job->n_ids = n;
    job->bytes = sizeof *job;
    if (n > 0) {
        job->ids = cel_arena_alloc(&job->arena, n * sizeof *job->ids);
        ok = job->ids != NULL;
    }
    for (size_t i = 0; ok && i < n; i++) {
        job->ids[i] = ids[i];
        ok = keep(job, &job->ids[i]);
    }
    if (ok && (kind == CEL_SQL_LOAD || kind == CEL_SQL_POLL)) {
        job->found = cel_arena_alloc(&job->arena, n * sizeof *job->found + 1);
        ok = job->found != NULL;
    }
    return ok ? job : cel_sql_job_free(job);
}

void cel_sql_refuse(struct cel_done done, celery_status status)
{
    celery_error err = {0};

    cel_error_set(&err, status, "result backend: %s",
                  status == CELERY_ECLOSED   ? "not connected"
                  : status == CELERY_ESYSTEM ? "too many results wait for the database"
                                             : celery_status_text(status));
    cel_done(done, &err, 0);
}

void cel_sql_fail_all(struct cel_list *jobs, const celery_error *why)
{
    struct cel_list *it;

    while ((it = cel_list_first(jobs)) != NULL) {
        struct cel_sql_job *job = cel_container_of(it, struct cel_sql_job, node);
        struct cel_done done = job->done;

        cel_list_remove(it);
        cel_sql_job_free(job);
        cel_done(done, why, 0);
    }
}

/* ---- handing over ---- */

void cel_sql_post(struct cel_sql *b, struct cel_sql_job *give_job)
{
    cel_list_append(&b->staged, &give_job->node);
    cel_source_schedule(b->hook);
}

void cel_sql_flush(void *ctx)
{
    struct cel_sql *b = ctx;
    struct cel_sql_link *link = b->link;
    struct cel_list refused;
    struct cel_list *it;
    celery_error full = {CELERY_ESYSTEM, 0,
                         "result backend: too many results wait for the database"};

    if (!link) {
        return;
    }
    cel_list_init(&refused);
    pthread_mutex_lock(&link->lock);
    while ((it = cel_list_first(&b->staged)) != NULL) {
        struct cel_sql_job *job = cel_container_of(it, struct cel_sql_job, node);
        bool fits = link->n_waiting < MOST_WAITING && link->bytes_waiting < MOST_BYTES;

        cel_list_remove(it);
        cel_list_append(fits ? &link->queue : &refused, it);
        link->n_waiting += fits;
        link->bytes_waiting += fits ? job->bytes : 0;
    }
    pthread_cond_signal(&link->changed);
    pthread_mutex_unlock(&link->lock);
    cel_sql_fail_all(&refused, &full);
}

/* ---- ends ---- */

static void report_found(struct cel_sql *b, const struct cel_sql_job *job)
{
    for (size_t i = 0; i < job->n_ids && b->state == CEL_SQL_OPEN; i++) {
        b->base.events->meta(b->base.events_ctx, job->ids[i], job->found[i].doc);
    }
}

static void tell(struct cel_sql *b, struct cel_sql_job *job)
{
    bool ok = job->err.status >= 0;
    struct cel_done done = job->done;

    if (job->kind == CEL_SQL_CONNECT) {
        if (!ok) {
            cel_sql_job_free(job);
            return; /* the link is lost, which is told */
        }
        b->state = CEL_SQL_OPEN;
        done = b->connected;
        b->connected = (struct cel_done){0};
    } else if (job->kind == CEL_SQL_LOAD && job->found) {
        report_found(b, job);
    } else if (job->kind == CEL_SQL_POLL) {
        cel_sql_polled(b, job);
    } else if (job->kind == CEL_SQL_LOAD_GROUP && ok && b->base.events->group) {
        b->base.events->group(b->base.events_ctx, job->ids[0], job->tuple);
    }
    celery_error err = job->err;
    int64_t answer = job->answer;
    cel_sql_job_free(job);
    cel_done(done, ok ? NULL : &err, ok ? answer : 0);
}

/* Callbacks may close the backend, which answers what is left in b->told. */
void cel_sql_finished(void *ctx)
{
    struct cel_sql *b = ctx;
    struct cel_sql_link *link = b->link;
    struct cel_list *it;
    celery_error lost;

    if (!link) {
        return;
    }
    pthread_mutex_lock(&link->lock);
    while ((it = cel_list_first(&link->finished)) != NULL) {
        cel_list_remove(it);
        cel_list_append(&b->told, it);
    }
    lost = link->lost;
    pthread_mutex_unlock(&link->lock);
    while (b->link == link && (it = cel_list_first(&b->told)) != NULL) {
        cel_list_remove(it);
        tell(b, cel_container_of(it, struct cel_sql_job, node));
    }
    if (b->link == link && lost.status < 0) {
        cel_sql_drop(b, &lost);
    }
}

/* ---- slots ---- */

static struct cel_sql *self(struct cel_backend *base)
{
    return (struct cel_sql *)base;
}

static void start(struct cel_sql *b, enum cel_sql_job_kind kind,
                  const struct cel_slice *ids, size_t n, struct cel_done done)
{
    struct cel_sql_job *job =
        b->state == CEL_SQL_OPEN ? cel_sql_job_new(b, kind, ids, n, done) : NULL;

    if (job) {
        cel_sql_post(b, job);
    } else {
        cel_sql_refuse(done, b->state == CEL_SQL_OPEN ? CELERY_ENOMEM : CELERY_ECLOSED);
    }
}

static bool keep_meta(struct cel_sql_job *job, const struct cel_task_meta *meta)
{
    struct cel_task_meta *m = &job->meta;
    struct cel_slice *const texts[] = {
        &m->task_id,       &m->status,      &m->result_json, &m->traceback,
        &m->children_json, &m->group_id,    &m->parent_id,   &m->name,
        &m->args_json,     &m->kwargs_json, &m->worker,      &m->queue,
    };
    bool ok = true;

    *m = *meta;
    m->reply_to = m->correlation_id = CEL_SLICE_NULL;
    for (size_t i = 0; ok && i < sizeof texts / sizeof texts[0]; i++) {
        ok = keep(job, texts[i]);
    }
    if (meta->stamps) {
        m->stamps = cel_node_copy(&job->arena, meta->stamps);
        m->stamped_headers = meta->stamped_headers
                                 ? cel_node_copy(&job->arena, meta->stamped_headers)
                                 : NULL;
        ok = ok && m->stamps;
    }
    return ok;
}

void cel_sql_store(struct cel_backend *base, const struct cel_task_meta *meta,
                   struct cel_done done)
{
    struct cel_sql *b = self(base);
    struct cel_sql_job *job = b->state == CEL_SQL_OPEN
                                  ? cel_sql_job_new(b, CEL_SQL_STORE, NULL, 0, done)
                                  : NULL;

    if (job && keep_meta(job, meta)) {
        cel_sql_post(b, job);
        return;
    }
    cel_sql_job_free(job);
    cel_sql_refuse(done, b->state == CEL_SQL_OPEN ? CELERY_ENOMEM : CELERY_ECLOSED);
}

void cel_sql_load(struct cel_backend *base, const struct cel_slice *task_ids, size_t n,
                  struct cel_done done)
{
    if (n == 0 && self(base)->state == CEL_SQL_OPEN) {
        cel_done(done, NULL, 0);
    } else {
        start(self(base), CEL_SQL_LOAD, task_ids, n, done);
    }
}

void cel_sql_forget(struct cel_backend *base, struct cel_slice task_id,
                    struct cel_done done)
{
    start(self(base), CEL_SQL_FORGET, &task_id, 1, done);
}

void cel_sql_note(struct cel_backend *base, const struct cel_group_note *note,
                  struct cel_done done)
{
    struct cel_sql *b = self(base);
    struct cel_sql_job *job = NULL;

    if (note->kind != CEL_NOTE_SAVE_GROUP) {
        cel_sql_refuse(done, CELERY_ENOTSUP);
        return;
    }
    if (b->state == CEL_SQL_OPEN) {
        job = cel_sql_job_new(b, CEL_SQL_SAVE_GROUP, &note->group_id, 1, done);
    }
    if (job) {
        job->json = note->json;
    }
    if (job && keep(job, &job->json)) {
        cel_sql_post(b, job);
        return;
    }
    cel_sql_job_free(job);
    cel_sql_refuse(done, b->state == CEL_SQL_OPEN ? CELERY_ENOMEM : CELERY_ECLOSED);
}

void cel_sql_load_group(struct cel_backend *base, struct cel_slice group_id,
                        struct cel_done done)
{
    start(self(base), CEL_SQL_LOAD_GROUP, &group_id, 1, done);
}

void cel_sql_forget_group(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_done done)
{
    start(self(base), CEL_SQL_FORGET_GROUP, &group_id, 1, done);
}

void cel_sql_cleanup(struct cel_backend *base, struct cel_done done)
{
    start(self(base), CEL_SQL_CLEANUP, NULL, 0, done);
}
