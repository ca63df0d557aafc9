/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/contrib/migrate.py migrate_tasks(): what is to go where, and the two connections. */
#include "client/migrate.h"
#include "base/alloc.h"
#include "base/error.h"

/* Larger messages than workers take are migrated, too. */
#define MAX_MESSAGE ((size_t)1 << 30)

/* ---- names ---- */

static celery_status add_task_names(struct cel_migrate *m, const char *text)
{
    struct cel_slice rest = cel_slice_of(text), name;

    while (cel_slice_split(&rest, ',', &name)) {
        name = cel_slice_trim(name);
        if (name.len && cel_map_set(&m->tasks, name, m, NULL) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return CELERY_OK;
}

/* "from:to" or "from"; the new name in *ret_to, {NULL, 0} if there is none. */
static struct cel_slice split_pair(struct cel_slice word, struct cel_slice *ret_to)
{
    const char *colon = word.len ? memchr(word.data, ':', word.len) : NULL;
    size_t len = colon ? (size_t)(colon - word.data) : word.len;

    *ret_to =
        colon ? cel_slice_trim(cel_slice(colon + 1, word.len - len - 1)) : CEL_SLICE_NULL;
    return cel_slice_trim(cel_slice(word.data, len));
}

/* The queues of -Q are selected as a worker does it; NULL: all of the settings are. */
static celery_status select_queues(struct cel_migrate *m, celery_error *err)
{
    const char *text = m->what->queues;
    struct cel_slice rest = cel_slice_of(text ? text : ""), word, to;
    size_t n = 0, most = 2;
    const char **names;

    for (const char *p = text; p && *p; p++) {
        most += *p == ',';
    }
    names = cel_arena_alloc(&m->arena, most * sizeof *names);
    if (!names) {
        return cel_error_nomem(err);
    }
    while (text && cel_slice_split(&rest, ',', &word)) {
        struct cel_slice from = split_pair(cel_slice_trim(word), &to);

        if (from.len == 0) {
            continue;
        }
        names[n] = cel_arena_strndup(&m->arena, from.data, from.len);
        if (!names[n++]) {
            return cel_error_nomem(err);
        }
    }
    names[n] = NULL;
    return cel_router_select(m->router, n ? names : NULL, NULL, err);
}

/* The destination's name for a queue; its own if -Q says nothing else. */
static const char *new_name(struct cel_migrate *m, const char *name)
{
    struct cel_slice rest = cel_slice_of(m->what->queues ? m->what->queues : "");
    struct cel_slice word, to;

    while (m->what->queues && cel_slice_split(&rest, ',', &word)) {
        if (cel_slice_is(split_pair(cel_slice_trim(word), &to), name) && to.len) {
            return cel_arena_strndup(&m->arena, to.data, to.len);
        }
    }
    return name;
}

static celery_status make_plan(struct cel_migrate *m, celery_error *err)
{
    celery_status status = cel_router_new(m->app->config, &m->router, err);

    if (status == CELERY_OK) {
        status = select_queues(m, err);
    }
    if (status < 0) {
        return status;
    }
    m->n_queues = cel_router_count(m->router);
    m->queues = cel_arena_alloc(&m->arena, (m->n_queues + 1) * sizeof *m->queues);
    if (!m->queues || add_task_names(m, m->what->tasks ? m->what->tasks : "") < 0) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < m->n_queues; i++) {
        m->queues[i].from = cel_router_at(m->router, i);
        m->queues[i].to = new_name(m, m->queues[i].from->name);
        if (!m->queues[i].to) {
            return cel_error_nomem(err);
        }
    }
    return CELERY_OK;
}

/* ---- the two brokers ---- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* A queue that is moved onto itself would never end. */
static bool is_circle(const struct cel_migrate *m)
{
    const struct cel_url *a = m->source.urls[0], *b = m->destination.urls[0];

    if (!same_text(a->scheme, b->scheme) || !same_text(a->host, b->host) ||
        a->port != b->port || !same_text(a->path, b->path)) {
        return false;
    }
    for (size_t i = 0; i < m->n_queues; i++) {
        if (same_text(m->queues[i].from->name, m->queues[i].to)) {
            return true;
        }
    }
    return false;
}

/* on_declare_queue(): exchange and key that are called like the queue follow its name. */
static celery_status declare_all(struct cel_migrate *m, celery_error *err)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < m->n_queues && status == CELERY_OK; i++) {
        const struct cel_migrate_queue *pair = &m->queues[i];
        struct cel_queue to = *pair->from;
        size_t waiting = 0;

        to.name = pair->to;
        to.exchange = same_text(to.exchange, pair->from->name) ? pair->to : to.exchange;
        to.routing_key =
            same_text(to.routing_key, pair->from->name) ? pair->to : to.routing_key;
        status = cel_broker_declare(&m->destination, &to, err);
        if (status == CELERY_OK) {
            status = cel_broker_declare(&m->source, pair->from, err);
        }
        if (status == CELERY_OK) {
            status = cel_broker_count(&m->source, pair->from->name, &waiting, err);
        }
        m->now.total += waiting;
    }
    return status;
}

static celery_status connect_both(struct cel_migrate *m, const char *source_url,
                                  const char *destination_url, celery_error *err)
{
    const struct cel_config *config = m->app->config;
    celery_status status = cel_loop_new(&m->loop, err);

    m->source.loop = m->destination.loop = m->loop;
    m->source.what = "source";
    m->source.delivered = cel_migrate_delivered;
    m->source.ctx = m;
    m->destination.what = "destination";
    if (status == CELERY_OK) {
        status = cel_broker_open(&m->source, source_url, MAX_MESSAGE, config, err);
    }
    if (status == CELERY_OK) {
        status =
            cel_broker_open(&m->destination, destination_url, MAX_MESSAGE, config, err);
    }
    if (status == CELERY_OK && is_circle(m)) {
        status = cel_error_set(err, CELERY_ECONFIG,
                               "source and destination are the same broker; give queues "
                               "other names, as in old:new");
    }
    return status;
}

celery_status celery_migrate(celery_app *app, const char *source_url,
                             const char *destination_url,
                             const celery_migration *migration, celery_migrated *ret,
                             celery_error *err)
{
    static const celery_migration all = {0};
    struct cel_migrate m = {.app = app, .what = migration ? migration : &all};
    celery_status status;

    if (!app || !source_url || !destination_url) {
        return cel_error_set(err, CELERY_EINVAL, "celery_migrate: an argument is NULL");
    }
    status = cel_client_ready(app, err);
    if (status == CELERY_OK) {
        status = make_plan(&m, err);
    }
    if (status == CELERY_OK) {
        status = connect_both(&m, source_url, destination_url, err);
    }
    if (status == CELERY_OK) {
        status = declare_all(&m, err);
    }
    if (status == CELERY_OK) {
        status = cel_migrate_flow(&m, err);
    }
    cel_broker_close(&m.source);
    cel_broker_close(&m.destination);
    cel_loop_free(m.loop);
    cel_router_free(m.router);
    cel_map_fini(&m.tasks);
    cel_arena_fini(&m.arena);
    cel_free(m.kept);
    if (ret) {
        m.now.task = m.now.task_id = NULL;
        *ret = m.now;
    }
    return status;
}
