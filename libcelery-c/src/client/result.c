/* SPDX-License-Identifier: BSD-3-Clause */
/* The future of a task: pushed by the backend, kept once the task has ended. */
#include "client/result.h"
#include "base/alloc.h"
#include "base/error.h"

/* ---- tracking ---- */

static struct cel_tracked *track(celery_client *client, struct cel_slice id)
{
    struct cel_tracked *t = cel_map_get(&client->tracked, id);
    if (t) {
        return t;
    }
    t = cel_alloc(sizeof *t + id.len);
    if (!t) {
        return NULL;
    }
    cel_list_init(&t->results);
    t->watched = false;
    t->len = id.len;
    memcpy(t->id, id.data, id.len);
    if (cel_map_set(&client->tracked, id, t, NULL) < 0) {
        cel_free(t);
        return NULL;
    }
    return t;
}

static struct cel_slice tracked_id(const struct cel_tracked *t)
{
    return cel_slice(t->id, t->len);
}

static void unwatch(celery_client *client, struct cel_tracked *t)
{
    if (t->watched) {
        t->watched = false;
        client->backend->ops->unwatch(client->backend, tracked_id(t));
    }
}

static void untrack(celery_result *r)
{
    struct cel_tracked *t = r->tracked;
    celery_client *client = r->client;
    cel_list_remove(&r->node);
    r->tracked = NULL;
    r->client = NULL;
    if (t && cel_list_empty(&t->results)) {
        unwatch(client, t);
        cel_map_del(&client->tracked, tracked_id(t));
        cel_free(t);
    }
}

static celery_result *new_result(celery_client *client, struct cel_slice id,
                                 celery_error *err)
{
    celery_result *r = cel_calloc(1, sizeof *r);
    if (!r) {
        cel_error_nomem(err);
        return NULL;
    }
    cel_list_init(&r->node);
    cel_list_init(&r->ended);
    cel_list_init(&r->ended_node);
    r->state = "PENDING";
    r->id = cel_strndup(id.data, id.len);
    if (!r->id) {
        cel_error_nomem(err);
        celery_result_free(r);
        return NULL;
    }
    return r;
}

celery_result *cel_result_new(celery_client *client, struct cel_slice id, bool ignored,
                              celery_error *err)
{
    celery_result *r = new_result(client, id, err);
    if (!r) {
        return NULL;
    }
    r->ignored = ignored;
    r->tracked = track(client, id);
    if (!r->tracked) {
        cel_error_nomem(err);
        celery_result_free(r);
        return NULL;
    }
    r->client = client;
    cel_list_append(&r->tracked->results, &r->node);
    return r;
}

celery_result *cel_result_new_group(celery_client *client, struct cel_slice id,
                                    size_t room, celery_error *err)
{
    celery_result *r = new_result(client, id, err);
    if (!r) {
        return NULL;
    }
    r->group = true;
    r->children = cel_calloc(room ? room : 1, sizeof *r->children);
    if (!r->children) {
        cel_error_nomem(err);
        celery_result_free(r);
        return NULL;
    }
    r->client = client;
    cel_list_append(&client->groups, &r->node);
    return r;
}

celery_result *celery_result_new(celery_client *client, const char *task_id,
                                 celery_error *err)
{
    if (!client) {
        return NULL;
    }
    if (!task_id || !*task_id) {
        cel_error_set(err, CELERY_EINVAL, "a result needs a task id");
        return NULL;
    }
    return cel_result_new(client, cel_slice_of(task_id), false, err);
}

static void free_children(celery_result *r)
{
    for (size_t i = 0; i < r->n_children; i++) {
        celery_result_free(r->children[i]);
    }
    cel_free(r->children);
    r->children = NULL;
    r->n_children = 0;
}

void celery_result_free(celery_result *result)
{
    /* A chain's parents are many, a group's depth is that of a document. */
    while (result) {
        celery_result *parent = result->parent;
        untrack(result);
        free_children(result);
        cel_arena_fini(&result->arena);
        cel_arena_fini(&result->tree);
        cel_free(result->id);
        cel_free(result);
        result = parent;
    }
}

void cel_result_orphan_all(celery_client *client)
{
    size_t at = 0;
    void *value;
    while (cel_map_next(&client->tracked, &at, NULL, &value)) {
        struct cel_tracked *t = value;
        struct cel_list *first;
        while ((first = cel_list_first(&t->results)) != NULL) {
            celery_result *r = cel_container_of(first, celery_result, node);
            cel_list_remove(first);
            r->client = NULL;
            r->tracked = NULL;
        }
        cel_free(t);
    }
    cel_map_fini(&client->tracked);
    struct cel_list *first;
    while ((first = cel_list_first(&client->groups)) != NULL) {
        cel_container_of(first, celery_result, node)->client = NULL;
        cel_list_remove(first);
    }
}

/* ---- groups ---- */

/* A part has ended; and with it perhaps its group, that group's group ... */
static void tell_owners(celery_result *r)
{
    celery_result *failed = r->group ? r->failed : cel_result_propagates(r) ? r : NULL;
    for (celery_result *g = r->owner; failed && g && !g->failed; g = g->owner) {
        g->failed = failed;
    }
    for (celery_result *g = r->owner; g; r = g, g = g->owner) {
        cel_list_append(&g->ended, &r->ended_node);
        if (++g->n_ready < g->n_children) {
            return;
        }
        g->ready = true;
    }
}

/* It has not ended after all: it was forgotten. */
static void untell_owners(celery_result *r)
{
    for (celery_result *g = r->owner; g && g->failed == r; g = g->owner) {
        g->failed = NULL;
    }
    for (celery_result *g = r->owner; g; r = g, g = g->owner) {
        bool was_ready = g->ready;
        cel_list_remove(&r->ended_node);
        g->n_ready--;
        g->ready = false;
        if (!was_ready) {
            return;
        }
    }
}

void cel_result_adopt(celery_result *group, celery_result *give_child)
{
    give_child->owner = group;
    group->children[group->n_children++] = give_child;
}

void cel_result_complete(celery_result *group)
{
    for (size_t i = 0; i < group->n_children; i++) {
        if (group->children[i]->ready) {
            cel_list_append(&group->ended, &group->children[i]->ended_node);
            group->n_ready++;
        }
    }
    group->ready = group->n_ready == group->n_children;
}

/* ---- what the backend reports ---- */

static const char *keep_text(celery_result *r, const struct cel_node *object,
                             const char *key)
{
    const struct cel_node *node = cel_node_get(object, cel_slice_of(key));
    if (!cel_node_is_string(node)) {
        return NULL;
    }
    struct cel_slice text = cel_node_text(node);
    return cel_arena_strndup(&r->arena, text.data, text.len);
}

void cel_result_clear(celery_result *r)
{
    if (r->ready) {
        untell_owners(r);
    }
    free_children(r);
    cel_arena_reset(&r->arena);
    r->doc = NULL;
    r->ready = false;
    r->state = "PENDING";
    r->traceback = r->exc_type = r->exc_module = r->date_done = NULL;
}

const struct cel_node *cel_result_member(const celery_result *r, const char *key)
{
    return r && r->doc ? cel_node_get(r->doc, cel_slice_of(key)) : NULL;
}

static bool is_exception(const celery_result *r)
{
    return cel_state_is_exception(cel_slice_of(r->state));
}

bool cel_result_propagates(const celery_result *r)
{
    return r->ready && is_exception(r);
}

/* A document that does not fit into memory is as if it had not come. */
static void take(celery_result *r, const struct cel_node *doc)
{
    r->reported = true;
    if (r->ready) {
        return;
    }
    cel_result_clear(r);
    struct cel_node *copy = doc ? cel_node_copy(&r->arena, doc) : NULL;
    const char *state = copy ? keep_text(r, copy, "status") : NULL;
    if (!state) {
        return;
    }
    r->doc = copy;
    r->state = state;
    r->ready = cel_state_is_ready(cel_slice_of(state));
    r->traceback = keep_text(r, copy, "traceback");
    r->date_done = keep_text(r, copy, "date_done");
    if (is_exception(r)) {
        r->exc_type = keep_text(r, cel_result_member(r, "result"), "exc_type");
        r->exc_module = keep_text(r, cel_result_member(r, "result"), "exc_module");
    }
    if (r->ready) {
        tell_owners(r);
    }
}

void cel_result_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
    celery_client *client = ctx;
    struct cel_tracked *t = cel_map_get(&client->tracked, task_id);
    struct cel_list *it;
    struct cel_list *tmp;
    bool ready = false;
    if (!t) {
        return;
    }
    cel_list_foreach(it, tmp, &t->results) {
        celery_result *r = cel_container_of(it, celery_result, node);
        take(r, doc);
        ready = r->ready;
    }
    if (ready) {
        unwatch(client, t);
    }
}

void cel_result_watch_again(void *ctx)
{
    celery_client *client = ctx;
    size_t at = 0;
    void *value;
    while (cel_map_next(&client->tracked, &at, NULL, &value)) {
        struct cel_tracked *t = value;
        if (t->watched) {
            client->backend->ops->watch(client->backend, tracked_id(t));
        }
    }
}

void cel_result_unwatch(celery_result *r)
{
    unwatch(r->client, r->tracked);
}

/* ---- what is known ---- */

const char *celery_result_id(const celery_result *result)
{
    return result ? result->id : NULL;
}

const celery_value *celery_result_value(const celery_result *result)
{
    return result && !is_exception(result) ? cel_result_member(result, "result") : NULL;
}

const char *celery_result_traceback(const celery_result *result)
{
    return result ? result->traceback : NULL;
}

const char *celery_result_exc_type(const celery_result *result)
{
    return result ? result->exc_type : NULL;
}

const char *celery_result_exc_module(const celery_result *result)
{
    return result ? result->exc_module : NULL;
}

const celery_value *celery_result_exc_args(const celery_result *result)
{
    return result && is_exception(result)
               ? cel_node_get(cel_result_member(result, "result"),
                              CEL_SLICE("exc_message"))
               : NULL;
}

const char *celery_result_date_done(const celery_result *result)
{
    return result ? result->date_done : NULL;
}

const celery_value *celery_result_children(const celery_result *result)
{
    const struct cel_node *children = cel_result_member(result, "children");
    return cel_node_is_null(children) ? NULL : children;
}

const celery_value *celery_result_document(const celery_result *result)
{
    return result ? result->doc : NULL;
}
