/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues and where tasks go (celery/app/amqp.py Queues, celery/app/routes.py Router). */
#include "app/router_state.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "message/delayed.h"
#include <strings.h>

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

static void set_defaults(struct cel_router *r)
{
    const char *name = default_queue(r);
    r->defaults = (struct cel_queue_defaults){
        .exchange = setting_or(r, "task_default_exchange", name),
        .exchange_type = setting_or(r, "task_default_exchange_type", "direct"),
        .routing_key = setting_or(r, "task_default_routing_key", name),
        .max_priority = cel_config_int(r->config, "task_queue_max_priority", -1),
    };
}

static struct cel_queue *find_queue(const struct cel_router *r, struct cel_slice name)
{
    return cel_map_get(&r->by_name, name);
}

static celery_status make_room(struct cel_router *r, celery_error *err)
{
    if (r->n_queues < r->cap) {
        return CELERY_OK;
    }
    size_t cap = r->cap ? r->cap * 2 : 8;
    struct cel_queue **grown = cel_arena_alloc(&r->arena, cap * sizeof *grown);
    if (!grown) {
        return cel_error_nomem(err);
    }
    if (r->n_queues > 0) {
        memcpy(grown, r->queues, r->n_queues * sizeof *grown);
    }
    r->queues = grown;
    r->cap = cap;
    return CELERY_OK;
}

celery_status cel_router_add(struct cel_router *r, const struct cel_queue *like,
                             struct cel_queue **ret, celery_error *err)
{
    struct cel_queue *q = cel_arena_alloc(&r->arena, sizeof *q);
    void *old = NULL;
    if (!q || make_room(r, err) < 0) {
        return cel_error_nomem(err);
    }
    *q = *like;
    if (cel_map_set(&r->by_name, cel_slice_of(q->name), q, &old) < 0) {
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
    r->quorum = r->quorum || cel_queue_is_quorum(q);
    if (ret) {
        *ret = q;
    }
    return CELERY_OK;
}

/* Queues.new_missing(): exchange and routing key are the queue's name. */
static celery_status add_missing(struct cel_router *r, struct cel_slice name,
                                 struct cel_queue **ret, celery_error *err)
{
    struct cel_queue q = {.durable = true};
    q.name = q.exchange = q.routing_key =
        cel_arena_strndup(&r->arena, name.data, name.len);
    q.exchange_type = setting_or(r, "task_create_missing_queue_exchange_type", "direct");
    if (!q.name || cel_queue_arguments(
                       &r->arena, setting_or(r, "task_create_missing_queue_type", NULL),
                       r->defaults.max_priority, &q.arguments, err) < 0) {
        return cel_error_nomem(err);
    }
    return cel_router_add(r, &q, ret, err);
}

/* The queue of the worker that was told nothing: task_default_queue and its friends. */
static celery_status add_default(struct cel_router *r, celery_error *err)
{
    struct cel_queue q = {
        .name = default_queue(r),
        .exchange = r->defaults.exchange,
        .exchange_type = r->defaults.exchange_type,
        .routing_key = r->defaults.routing_key,
        .durable = true,
    };
    celery_status st =
        cel_queue_arguments(&r->arena, setting_or(r, "task_default_queue_type", NULL),
                            r->defaults.max_priority, &q.arguments, err);
    return st == CELERY_OK ? cel_router_add(r, &q, NULL, err) : st;
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

static celery_status read_queue(struct cel_router *r,
                                const struct cel_queue_defaults *defaults,
                                struct cel_slice name, const struct cel_node *map,
                                celery_error *err)
{
    struct cel_queue q;
    celery_status st = cel_queue_read(&r->arena, defaults, name, map, &q, err);
    return st == CELERY_OK ? cel_router_add(r, &q, NULL, err) : st;
}

static celery_status read_listed(struct cel_router *r, const struct cel_node *n,
                                 celery_error *err)
{
    if (is_name(n)) {
        return add_missing(r, cel_node_text(n), NULL, err);
    }
    const struct cel_node *name = cel_node_get(n, CEL_SLICE("name"));
    return is_name(name) ? read_queue(r, &r->defaults, cel_node_text(name), n, err)
                         : wrong("a queue without a name", err);
}

/* Under its name in a map the routing key is that name (Queues.add_compat). */
static celery_status read_keyed(struct cel_router *r, const struct cel_node *k,
                                const struct cel_node *v, celery_error *err)
{
    if (!is_name(k)) {
        return wrong("a queue without a name", err);
    }
    if (v->kind != CELERY_KIND_OBJECT && !cel_node_is_null(v)) {
        return wrong("a queue must be a map", err);
    }
    struct cel_queue_defaults keyed = r->defaults;
    struct cel_slice name = cel_node_text(k);
    keyed.routing_key = cel_arena_strndup(&r->arena, name.data, name.len);
    return keyed.routing_key ? read_queue(r, &keyed, name, v, err) : cel_error_nomem(err);
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

/* kombu: transports whose driver_type is amqp.  Without a URL it is amqp://, too. */
static bool publishes_to_amqp(const struct cel_config *config)
{
    static const char *const schemes[] = {"amqp:", "amqps:", "pyamqp:", "librabbitmq:"};
    const char *url = cel_config_text(config, "broker_write_url");
    url = url && *url ? url : cel_config_text(config, "broker_url");
    for (size_t i = 0; url && i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0) {
            return true;
        }
    }
    return !url || !*url;
}

bool cel_router_delays(const struct cel_router *router)
{
    return router->amqp && router->quorum;
}

bool cel_router_can_delay(const struct cel_router *router, struct cel_slice exchange,
                          struct cel_slice routing_key)
{
    bool delayed = cel_slice_is(exchange, CEL_DELAYED_DELIVERY);
    if (cel_router_delays(router) && delayed &&
        cel_delayed_returns_to(routing_key).len > 0) {
        return true; /* a worker of ours bound it */
    }
    for (size_t i = 0; cel_router_delays(router) && i < router->n_queues; i++) {
        const struct cel_queue *q = router->queues[i];
        bool same = delayed || cel_slice_is(exchange, q->exchange);
        if (same && strcmp(q->exchange_type, "direct") != 0 &&
            (cel_slice_is(routing_key, q->routing_key) || strpbrk(q->routing_key, "*#") ||
             strcmp(q->exchange_type, "fanout") == 0)) {
            return true;
        }
    }
    return false;
}

celery_status cel_router_new(const struct cel_config *config, struct cel_router **ret,
                             celery_error *err)
{
    struct cel_router *r = cel_calloc(1, sizeof *r);
    if (!r) {
        return cel_error_nomem(err);
    }
    r->config = config;
    r->amqp = publishes_to_amqp(config);
    set_defaults(r);
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

celery_status cel_router_want(struct cel_router *r, struct cel_slice name,
                              struct cel_queue **ret, celery_error *err)
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

/* ---- routes ---- */

/*
 * send_task_message(): without exchange or key of its own, a message to a direct exchange goes
 * to the queue by name, through the default exchange.
 */
static void fill_route(struct cel_route *route, const struct cel_queue *q,
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
    struct cel_queue *q;
    if (!queue) {
        queue = rule && rule->queue ? rule->queue : default_queue(router);
    }
    celery_status st = cel_router_want(router, cel_slice_of(queue), &q, err);
    if (st == CELERY_OK) {
        fill_route(ret_route, q, rule);
    }
    return st;
}
