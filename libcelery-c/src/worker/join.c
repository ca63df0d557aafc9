/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/join.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/map.h"

/* Seconds between looks at results that are not ready. */
#define LOOK_FIRST 0.02
#define LOOK_MOST  0.5

#define LEAVES_MAX 1000000
#define DEPTH_MAX  100

struct leaf {
    struct cel_slice id;
    bool ready;
    bool failed;
    const struct cel_node *result;
};

struct join {
    struct cel_loop *loop;
    struct cel_results *results;
    struct cel_join_done done;
    struct cel_results_listener listener;
    struct cel_errand errand;
    struct cel_source *timer;
    struct cel_arena arena;
    struct cel_node *tuple;
    struct cel_map by_id;    /* struct leaf */
    struct cel_slice *ids;   /* in the order of the tuple */
    struct cel_slice *asked; /* those not ready, of the present look */
    size_t n, cap;
    size_t n_asked;
    double until; /* loop time; negative: for ever */
    double pause;
};

static void end(struct join *j, const struct cel_joined *joined)
{
    struct cel_join_done done = j->done;

    cel_list_remove(&j->listener.node);
    cel_source_free(j->timer);
    done.fn(done.ctx, joined);
    cel_map_fini(&j->by_id);
    cel_free(j->ids);
    cel_free(j->asked);
    cel_arena_fini(&j->arena);
    cel_free(j);
}

static void end_error(struct join *j, celery_status status, const char *text)
{
    celery_error err = {0};

    cel_error_set(&err, status, "%s", text);
    end(j, &(struct cel_joined){.end = CEL_JOIN_ERROR, .err = &err});
}

/* ---- the tuple ---- */

/* [[id, parent], children], or "id": false when it is neither. */
static bool read_tuple(const struct cel_node *n, struct cel_slice *ret_id,
                       const struct cel_node **ret_children)
{
    *ret_children = NULL;
    if (cel_node_is_string(n)) {
        *ret_id = cel_node_text(n);
        return ret_id->len > 0;
    }
    const struct cel_node *first = cel_node_first(n);

    if (!first || n->kind != CELERY_KIND_ARRAY) {
        return false;
    }
    if (first->next && first->next->kind == CELERY_KIND_ARRAY) {
        *ret_children = first->next;
    }
    if (first->kind == CELERY_KIND_ARRAY) {
        first = cel_node_first(first);
    }
    *ret_id = cel_node_is_string(first) ? cel_node_text(first) : CEL_SLICE_NULL;
    return ret_id->len > 0;
}

static celery_status add_leaf(struct join *j, struct cel_slice id)
{
    if (cel_map_get(&j->by_id, id)) {
        return CELERY_OK;
    }
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 16;
        struct cel_slice *ids = cel_realloc(j->ids, cap, sizeof *ids);
        struct cel_slice *asked = ids ? cel_realloc(j->asked, cap, sizeof *asked) : NULL;

        j->ids = ids ? ids : j->ids;
        if (!asked) {
            return CELERY_ENOMEM;
        }
        j->asked = asked;
        j->cap = cap;
    }
    struct leaf *leaf = cel_arena_alloc(&j->arena, sizeof *leaf);

    if (!leaf || j->n >= LEAVES_MAX || cel_map_set(&j->by_id, id, leaf, NULL) < 0) {
        return CELERY_ENOMEM;
    }
    *leaf = (struct leaf){.id = id};
    j->ids[j->n++] = id;
    return CELERY_OK;
}

static celery_status add_leaves(struct join *j, const struct cel_node *tuple,
                                unsigned depth)
{
    struct cel_slice id;
    const struct cel_node *children;

    if (depth > DEPTH_MAX || !read_tuple(tuple, &id, &children)) {
        return CELERY_EMESSAGE;
    }
    if (!children) {
        return add_leaf(j, id);
    }
    celery_status status = CELERY_OK;

    for (const struct cel_node *k = cel_node_first(children); k && status == CELERY_OK;
         k = k->next) {
        status = add_leaves(j, k, depth + 1);
    }
    return status;
}

/* ---- the value ---- */

static struct cel_node *value_of(struct join *j, const struct cel_node *tuple)
{
    struct cel_slice id;
    const struct cel_node *children;

    if (!read_tuple(tuple, &id, &children)) {
        return NULL;
    }
    if (!children) {
        const struct leaf *leaf = cel_map_get(&j->by_id, id);

        return leaf->result ? cel_node_copy(&j->arena, leaf->result)
                            : cel_node_new(&j->arena, CELERY_KIND_NULL);
    }
    struct cel_node *list = cel_node_new(&j->arena, CELERY_KIND_ARRAY);

    for (const struct cel_node *k = cel_node_first(children); k && list; k = k->next) {
        if (cel_node_append(list, value_of(j, k)) < 0) {
            list = NULL;
        }
    }
    return list;
}

static const struct leaf *first_failed(const struct join *j)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct leaf *leaf = cel_map_get(&j->by_id, j->ids[i]);

        if (leaf->failed) {
            return leaf;
        }
    }
    return NULL;
}

/* ---- looking ---- */

static void on_meta(struct cel_results_listener *l, struct cel_slice task_id,
                    const struct cel_node *doc)
{
    struct join *j = cel_container_of(l, struct join, listener);
    struct leaf *leaf = cel_map_get(&j->by_id, task_id);
    struct cel_slice status = cel_meta_status(doc);

    if (!leaf || leaf->ready || !cel_state_is_ready(status)) {
        return;
    }
    leaf->result = cel_node_copy(&j->arena, cel_node_get(doc, CEL_SLICE("result")));
    leaf->ready = true;
    leaf->failed = cel_state_is_exception(status);
}

static void start_look(struct cel_errand *e, struct cel_backend *backend)
{
    struct join *j = cel_container_of(e, struct join, errand);

    backend->ops->load(backend, j->asked, j->n_asked,
                       (struct cel_done){cel_errand_answer, e});
}

static void look(void *ctx)
{
    struct join *j = ctx;

    j->n_asked = 0;
    for (size_t i = 0; i < j->n; i++) {
        const struct leaf *leaf = cel_map_get(&j->by_id, j->ids[i]);

        if (!leaf->ready) {
            j->asked[j->n_asked++] = j->ids[i];
        }
    }
    cel_results_run(j->results, &j->errand);
}

static bool all_ready(const struct join *j)
{
    for (size_t i = 0; i < j->n; i++) {
        if (!((const struct leaf *)cel_map_get(&j->by_id, j->ids[i]))->ready) {
            return false;
        }
    }
    return true;
}

/* A failure ends the waiting: join(propagate=True). */
static void on_looked(void *ctx, const celery_error *err)
{
    struct join *j = ctx;
    const struct leaf *failed = first_failed(j);
    double now = cel_loop_now(j->loop);

    if (err) {
        end(j, &(struct cel_joined){.end = CEL_JOIN_ERROR, .err = err});
    } else if (failed && (j->until != 0 || all_ready(j))) {
        end(j, &(struct cel_joined){.end = CEL_JOIN_FAILED,
                                    .task_id = failed->id,
                                    .exception = failed->result});
    } else if (all_ready(j)) {
        const struct cel_node *value = value_of(j, j->tuple);

        if (value) {
            end(j, &(struct cel_joined){.end = CEL_JOIN_READY, .value = value});
        } else {
            end_error(j, CELERY_ENOMEM, "out of memory");
        }
    } else if (j->until >= 0 && now >= j->until) {
        end(j, &(struct cel_joined){.end = CEL_JOIN_NOT_READY});
    } else {
        cel_source_rearm(j->timer, now + j->pause);
        j->pause = j->pause * 2 < LOOK_MOST ? j->pause * 2 : LOOK_MOST;
    }
}

void cel_join_start(struct cel_loop *loop, struct cel_results *results,
                    const struct cel_node *tuple, double seconds,
                    struct cel_join_done done)
{
    struct join *j = cel_calloc(1, sizeof *j);

    if (!j) {
        static const celery_error nomem = {CELERY_ENOMEM, 0, "out of memory"};

        done.fn(done.ctx, &(struct cel_joined){.end = CEL_JOIN_ERROR, .err = &nomem});
        return;
    }
    j->loop = loop;
    j->results = results;
    j->done = done;
    j->pause = LOOK_FIRST;
    j->until = seconds > 0 ? cel_loop_now(loop) + seconds : seconds;
    j->listener.meta = on_meta;
    j->errand.start = start_look;
    j->errand.done = on_looked;
    j->errand.ctx = j;
    cel_list_init(&j->listener.node);
    j->tuple = cel_node_copy(&j->arena, tuple);
    celery_status status = j->tuple ? add_leaves(j, j->tuple, 0) : CELERY_ENOMEM;

    if (status == CELERY_OK && cel_loop_add_timer(loop, &j->timer, 0, look, j) < 0) {
        status = CELERY_ENOMEM;
    }
    if (status < 0) {
        end_error(j, status,
                  status == CELERY_EMESSAGE ? "a result tuple that is none"
                                            : "out of memory");
        return;
    }
    cel_source_disarm(j->timer);
    cel_results_listen(results, &j->listener);
    look(j);
}
