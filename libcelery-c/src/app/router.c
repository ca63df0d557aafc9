/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues and where tasks go (celery/app/amqp.py Queues, celery/app/routes.py Router). */
#include "app/app.h"
#include "app/route.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

struct cel_router {
    struct cel_arena arena; /* every queue and every text */
    const struct cel_config *config;
    struct cel_map by_name;        /* struct cel_queue_def */
    struct cel_queue_def **queues; /* defined ones, in their order */
    size_t n_queues, cap;
    struct cel_queue_def **chosen; /* to be consumed */
    size_t n_chosen;
    struct cel_route_table routes;
};

/* ---- queues ---- */

static const char *setting_or(const struct cel_router *r, const char *name,
                              const char *otherwise)
{
    const char *text = cel_config_text(r->config, name);
    return text && *text ? text : otherwise;
}

static const char *default_queue(const struct cel_router *r)
{
    return setting_or(r, "task_default_queue", "celery");
}

static char *keep(struct cel_router *r, struct cel_slice text)
{
    return cel_arena_strndup(&r->arena, text.data, text.len);
}

static struct cel_queue_def *find_queue(const struct cel_router *r, struct cel_slice name)
{
    return cel_map_get(&r->by_name, name);
}

static celery_status add_queue(struct cel_router *r, const struct cel_queue_def *like,
                               struct cel_queue_def **ret, celery_error *err)
{
    struct cel_queue_def *q = cel_arena_alloc(&r->arena, sizeof *q);
    if (q) {
        *q = *like;
        if (q->max_priority < 0) {
            q->max_priority =
                (int)cel_config_int(r->config, "task_queue_max_priority", -1);
        }
    }
    if (r->n_queues == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        struct cel_queue_def **grown = cel_arena_alloc(&r->arena, cap * sizeof *grown);
        if (!grown) {
            return cel_error_nomem(err);
        }
        if (r->n_queues > 0) {
            memcpy(grown, r->queues, r->n_queues * sizeof *grown);
        }
        r->queues = grown;
        r->cap = cap;
    }
    void *old = NULL;
    if (!q || !q->name || !q->exchange || !q->exchange_type || !q->routing_key ||
        cel_map_set(&r->by_name, cel_slice_of(q->name), q, &old) < 0) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; old && i < r->n_queues; i++) {
        if (r->queues[i] == old) {
            r->queues[i] = q;
        }
    }
    if (!old) {
        r->queues[r->n_queues++] = q;
    }
    if (ret) {
        *ret = q;
    }
    return CELERY_OK;
}

/* Queues.new_missing(): exchange and routing key are the queue's name. */
static celery_status add_missing(struct cel_router *r, struct cel_slice name,
                                 struct cel_queue_def **ret, celery_error *err)
{
    struct cel_queue_def q = {.name = keep(r, name), .max_priority = -1};
    q.exchange = q.routing_key = q.name;
    q.exchange_type = keep(
        r,
        cel_slice_of(setting_or(r, "task_create_missing_queue_exchange_type", "direct")));
    return add_queue(r, &q, ret, err);
}

/* The queue of the worker that was told nothing: task_default_queue and its friends. */
static celery_status add_default(struct cel_router *r, celery_error *err)
{
    const char *name = default_queue(r);
    struct cel_queue_def q = {
        .name = keep(r, cel_slice_of(name)),
        .exchange = keep(r, cel_slice_of(setting_or(r, "task_default_exchange", name))),
        .exchange_type =
            keep(r, cel_slice_of(setting_or(r, "task_default_exchange_type", "direct"))),
        .routing_key =
            keep(r, cel_slice_of(setting_or(r, "task_default_routing_key", name))),
        .max_priority = -1,
    };
    return add_queue(r, &q, NULL, err);
}

/* ---- task_queues ---- */

static celery_status wrong(const char *why, celery_error *err)
{
    return cel_error_set(err, CELERY_ECONFIG, "task_queues: %s", why);
}

static bool is_name(const struct cel_node *n)
{
    struct cel_slice text = cel_node_text(n);
    return cel_node_is_string(n) && text.len > 0 && !memchr(text.data, '\0', text.len);
}

/* A text of a queue's map; absent, null and "" leave what is there. */
static celery_status read_text(struct cel_router *r, const struct cel_node *map,
                               const char *key, char **field, celery_error *err)
{
    const struct cel_node *n = cel_node_get(map, cel_slice_of(key));
    if (!cel_node_truth(n)) {
        return CELERY_OK;
    }
    if (!is_name(n)) {
        return cel_error_set(err, CELERY_ECONFIG, "task_queues: %s is no text", key);
    }
    *field = keep(r, cel_node_text(n));
    return CELERY_OK;
}

/* "exchange" is a name, or a map of name and type. */
static celery_status read_exchange(struct cel_router *r, const struct cel_node *map,
                                   struct cel_queue_def *q, celery_error *err)
{
    const struct cel_node *n = cel_node_get(map, CEL_SLICE("exchange"));
    bool own = cel_node_truth(n);
    /* An exchange of its own is direct unless said otherwise, the default one is not. */
    q->exchange_type = own ? keep(r, CEL_SLICE("direct")) : q->exchange_type;
    if (own && n->kind == CELERY_KIND_OBJECT) {
        celery_status st = read_text(r, n, "name", &q->exchange, err);
        return st < 0 ? st : read_text(r, n, "type", &q->exchange_type, err);
    }
    celery_status st = read_text(r, map, "exchange", &q->exchange, err);
    return st < 0 ? st : read_text(r, map, "exchange_type", &q->exchange_type, err);
}

static celery_status read_numbers(const struct cel_node *map, struct cel_queue_def *q,
                                  celery_error *err)
{
    const struct cel_node *max = cel_node_get(map, CEL_SLICE("max_priority"));
    const struct cel_node *args = cel_node_get(map, CEL_SLICE("queue_arguments"));
    if (!cel_node_is_null(max)) {
        int64_t value = cel_node_int(max, -1);
        if (value < 0 || value > 255) {
            return wrong("max_priority must be between 0 and 255", err);
        }
        q->max_priority = (int)value;
    }
    if (!cel_node_is_null(args)) {
        if (args->kind != CELERY_KIND_OBJECT) {
            return wrong("queue_arguments is no map", err);
        }
        q->arguments = args;
    }
    return CELERY_OK;
}

/*
 * One queue as a map.  keyed: it stood under its name in a map, where the routing key is that
 * name (Queues.add_compat); in a list it is the default one (Queues._add).
 */
static celery_status read_queue(struct cel_router *r, struct cel_slice name,
                                const struct cel_node *map, bool keyed, celery_error *err)
{
    const char *fallback = default_queue(r);
    const char *key = setting_or(r, "task_default_routing_key", fallback);
    struct cel_queue_def q = {
        .name = keep(r, name),
        .exchange =
            keep(r, cel_slice_of(setting_or(r, "task_default_exchange", fallback))),
        .exchange_type =
            keep(r, cel_slice_of(setting_or(r, "task_default_exchange_type", "direct"))),
        .routing_key = keep(r, keyed ? name : cel_slice_of(key)),
        .max_priority = -1,
    };
    celery_status st = read_exchange(r, map, &q, err);
    if (st == CELERY_OK) {
        st = read_text(r, map, "binding_key", &q.routing_key, err);
    }
    if (st == CELERY_OK) {
        st = read_text(r, map, "routing_key", &q.routing_key, err);
    }
    if (st == CELERY_OK) {
        st = read_numbers(map, &q, err);
    }
    return st == CELERY_OK ? add_queue(r, &q, NULL, err) : st;
}

static celery_status read_listed(struct cel_router *r, const struct cel_node *n,
                                 celery_error *err)
{
    if (is_name(n)) {
        return add_missing(r, cel_node_text(n), NULL, err);
    }
    const struct cel_node *name = cel_node_get(n, CEL_SLICE("name"));
    return is_name(name) ? read_queue(r, cel_node_text(name), n, false, err)
                         : wrong("a queue without a name", err);
}

static celery_status read_keyed(struct cel_router *r, const struct cel_node *k,
                                const struct cel_node *v, celery_error *err)
{
    if (!is_name(k)) {
        return wrong("a queue without a name", err);
    }
    return v->kind == CELERY_KIND_OBJECT || cel_node_is_null(v)
               ? read_queue(r, cel_node_text(k), v, true, err)
               : wrong("a queue must be a map", err);
}

static celery_status read_queues(struct cel_router *r, const struct cel_node *doc,
                                 celery_error *err)
{
    celery_status st = CELERY_OK;
    struct cel_slice rest = cel_node_text(doc), name;
    if (!cel_node_truth(doc)) {
        return add_default(r, err);
    }
    if (cel_node_is_string(doc)) {
        while (st == CELERY_OK && cel_slice_split(&rest, ',', &name)) {
            name = cel_slice_trim(name);
            st = name.len ? add_missing(r, name, NULL, err) : CELERY_OK;
        }
    } else if (doc->kind == CELERY_KIND_ARRAY) {
        for (const struct cel_node *n = doc->first; n && st == CELERY_OK; n = n->next) {
            st = read_listed(r, n, err);
        }
    } else if (doc->kind == CELERY_KIND_OBJECT) {
        for (const struct cel_node *k = doc->first, *v; k && st == CELERY_OK;
             k = v->next) {
            v = k->next;
            st = read_keyed(r, k, v, err);
        }
    } else {
        st = wrong("must be a list or a map of queues, or names", err);
    }
    return st;
}

/* ---- the router ---- */

celery_status cel_router_new(const struct cel_config *config, struct cel_router **ret,
                             celery_error *err)
{
    struct cel_router *r = cel_calloc(1, sizeof *r);
    if (!r) {
        return cel_error_nomem(err);
    }
    r->config = config;
    celery_status st = read_queues(r, cel_config_doc(config, "task_queues"), err);
    if (st == CELERY_OK) {
        st = cel_route_table_read(&r->arena, cel_config_doc(config, "task_routes"),
                                  &r->routes, err);
    }
    if (st == CELERY_OK) {
        st = cel_router_select(r, NULL, NULL, err);
    }
    if (st < 0) {
        cel_router_free(r);
        return st;
    }
    *ret = r;
    return CELERY_OK;
}

struct cel_router *cel_router_free(struct cel_router *router)
{
    if (router) {
        cel_map_fini(&router->by_name);
        cel_arena_fini(&router->arena);
        cel_free(router);
    }
    return NULL;
}

static celery_status want_queue(struct cel_router *r, struct cel_slice name,
                                struct cel_queue_def **ret, celery_error *err)
{
    *ret = find_queue(r, name);
    if (*ret) {
        return CELERY_OK;
    }
    if (!cel_config_bool(r->config, "task_create_missing_queues")) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "queue %s is not in task_queues, and "
                             "task_create_missing_queues is off",
                             cel_log_safe(name));
    }
    if (name.len == 0) {
        return cel_error_set(err, CELERY_ECONFIG, "a queue without a name");
    }
    return add_missing(r, name, ret, err);
}

static size_t count_texts(const char *const *texts)
{
    size_t n = 0;
    while (texts && texts[n]) {
        n++;
    }
    return n;
}

static bool has_text(const char *const *texts, const char *text)
{
    for (; texts && *texts; texts++) {
        if (strcmp(*texts, text) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_chosen(struct cel_queue_def *const *chosen, size_t n,
                      const struct cel_queue_def *q)
{
    for (size_t i = 0; i < n; i++) {
        if (chosen[i] == q) {
            return true;
        }
    }
    return false;
}

celery_status cel_router_select(struct cel_router *router, const char *const *select,
                                const char *const *exclude, celery_error *err)
{
    size_t n_select = count_texts(select), n = 0;
    size_t max = n_select ? n_select : router->n_queues;
    struct cel_queue_def **chosen =
        cel_arena_alloc(&router->arena, (max + 1) * sizeof *chosen);
    if (!chosen) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < max; i++) {
        struct cel_queue_def *q = n_select ? NULL : router->queues[i];
        celery_status st = CELERY_OK;
        if (n_select) {
            st = want_queue(router, cel_slice_of(select[i]), &q, err);
        }
        if (st < 0) {
            return st;
        }
        if (!has_text(exclude, q->name) && !is_chosen(chosen, n, q)) {
            chosen[n++] = q;
        }
    }
    router->chosen = chosen;
    router->n_chosen = n;
    return CELERY_OK;
}

size_t cel_router_count(const struct cel_router *router)
{
    return router->n_chosen;
}

const struct cel_queue_def *cel_router_at(const struct cel_router *router, size_t i)
{
    return i < router->n_chosen ? router->chosen[i] : NULL;
}

/* ---- routes ---- */

/*
 * send_task_message(): without exchange or key of its own, a message to a direct exchange goes
 * to the queue by name, through the default exchange.
 */
static void fill_route(struct cel_route *route, const struct cel_queue_def *q,
                       const struct cel_route_rule *rule)
{
    const char *exchange = rule ? rule->exchange : NULL;
    const char *key = rule ? rule->routing_key : NULL;
    *route = (struct cel_route){.queue = q, .priority = rule ? rule->priority : -1};
    if ((!exchange || !key) && strcmp(q->exchange_type, "direct") == 0) {
        exchange = "";
        key = q->name;
    }
    route->exchange = cel_slice_of(exchange ? exchange : q->exchange);
    route->routing_key = cel_slice_of(key ? key : q->routing_key);
}

celery_status cel_router_route(struct cel_router *router, struct cel_slice task,
                               const char *queue, struct cel_route *ret_route,
                               celery_error *err)
{
    const struct cel_route_rule *rule = cel_route_table_find(&router->routes, task);
    struct cel_queue_def *q;
    if (!queue) {
        queue = rule && rule->queue ? rule->queue : default_queue(router);
    }
    celery_status st = want_queue(router, cel_slice_of(queue), &q, err);
    if (st == CELERY_OK) {
        fill_route(ret_route, q, rule);
    }
    return st;
}
