/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/backends/database: results in PostgreSQL, SQLite, MariaDB and MySQL. */
#include "backend/sql.h"
#include "backend/builtin.h"
#include "base/error.h"

static celery_status sql_init(struct cel_backend *base, struct cel_url *const *urls,
                              size_t n, const struct cel_config *c, celery_error *err)
{
    struct cel_sql *b = (struct cel_sql *)base;

    cel_list_init(&b->staged);
    cel_list_init(&b->told);
    b->urls = urls;
    b->n_urls = n;
    b->config = c;
    for (size_t i = 0; i < n; i++) {
        struct cel_sql_db *db = cel_sql_db_new(urls[i], c, base->codec, err);

        if (!db) {
            return err && err->status < 0 ? err->status : CELERY_ECONFIG;
        }
        cel_sql_db_free(db);
    }
    if (cel_loop_add_hook(base->loop, &b->hook, cel_sql_flush, b) < 0 ||
        cel_loop_add_wake(base->loop, &b->wake, cel_sql_finished, b) < 0 ||
        cel_loop_add_timer(base->loop, &b->poll, 0, cel_sql_poll, b) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(b->poll);
    return CELERY_OK;
}

static void sql_fini(struct cel_backend *base)
{
    struct cel_sql *b = (struct cel_sql *)base;

    b->hook = cel_source_free(b->hook);
    b->wake = cel_source_free(b->wake);
    b->poll = cel_source_free(b->poll);
    cel_map_fini(&b->watches);
}

/* Everything that waits is answered; callbacks may already ask for a new connection. */
static void shut(struct cel_sql *b, const celery_error *why)
{
    struct cel_sql_link *link = b->link;
    struct cel_list told;
    struct cel_list *it;

    if (!b->config && !link && !b->hook) {
        return; /* init() failed */
    }
    b->state = CEL_SQL_CLOSED;
    b->link = NULL;
    cel_sql_watch_clear(b);
    cel_list_init(&told);
    while ((it = cel_list_first(&b->told)) != NULL ||
           (it = cel_list_first(&b->staged)) != NULL) {
        cel_list_remove(it);
        cel_list_append(&told, it);
    }
    if (link) {
        cel_sql_link_leave(link, why);
    }
    cel_sql_fail_all(&told, why);
}

void cel_sql_drop(struct cel_sql *b, const celery_error *why)
{
    enum cel_sql_state state = b->state;
    struct cel_done connected = b->connected;
    celery_error err = *why;

    if (state == CEL_SQL_CLOSED) {
        return;
    }
    b->connected = (struct cel_done){0};
    if (state == CEL_SQL_CONNECTING) {
        shut(b, &err);
        cel_done(connected, &err, 0);
        return;
    }
    /* What was under way may be done again. */
    err.status = CELERY_ECLOSED;
    shut(b, &err);
    if (b->base.events->lost) {
        b->base.events->lost(b->base.events_ctx, &err);
    }
}

static void sql_connect(struct cel_backend *base, size_t url_index, struct cel_done done)
{
    struct cel_sql *b = (struct cel_sql *)base;
    celery_error err = {0};
    struct cel_sql_job *job;

    if (b->state != CEL_SQL_CLOSED) {
        cel_error_set(&err, CELERY_EINVAL, "the result backend is connected already");
        cel_done(done, &err, 0);
        return;
    }
    struct cel_sql_db *db = cel_sql_db_new(b->urls[url_index < b->n_urls ? url_index : 0],
                                           b->config, base->codec, &err);
    if (!db || cel_sql_link_new(base->loop, db, &b->link, &err) < 0) {
        cel_done(done, &err, 0);
        return;
    }
    b->state = CEL_SQL_CONNECTING;
    b->connected = done;
    job = cel_sql_job_new(b, CEL_SQL_CONNECT, NULL, 0, (struct cel_done){0});
    if (job) {
        cel_sql_post(b, job);
    } else {
        cel_error_nomem(&err);
        cel_sql_drop(b, &err);
    }
}

static void sql_close(struct cel_backend *base)
{
    struct cel_sql *b = (struct cel_sql *)base;
    struct cel_done connected = b->connected;
    celery_error err = {0};

    b->connected = (struct cel_done){0};
    cel_error_set(&err, CELERY_ECLOSED, "result backend closed");
    shut(b, &err);
    cel_done(connected, &err, 0);
}

/* With the names of drivers that SQLAlchemy has; others end in a line that says what there is. */
static const char *const schemes[] = {"db+postgresql", "db+sqlite",  "db+mysql",
                                      "db+*",          "database+*", NULL};

const struct cel_backend_ops cel_backend_sql = {
    .name = "database",
    .schemes = schemes,
    .flags = CEL_BACKEND_SHARED | CEL_BACKEND_THREAD,
    .size = sizeof(struct cel_sql),
    .init = sql_init,
    .fini = sql_fini,
    .connect = sql_connect,
    .close = sql_close,
    .store = cel_sql_store,
    .load = cel_sql_load,
    .watch = cel_sql_watch,
    .unwatch = cel_sql_unwatch,
    .forget = cel_sql_forget,
    .note = cel_sql_note,
    .load_group = cel_sql_load_group,
    .forget_group = cel_sql_forget_group,
    .cleanup = cel_sql_cleanup,
};
