/* SPDX-License-Identifier: BSD-3-Clause */
#include "app/route.h"
#include "base/error.h"
#include "base/log.h"
#include <fnmatch.h>

enum { TASK_NAME_MAX = 1024 };

struct reader {
    struct cel_arena *a;
    struct cel_route_table *table;
    size_t cap;
    unsigned map;
    celery_error *err;
};

static celery_status wrong(struct reader *r, const char *why)
{
    return cel_error_set(r->err, CELERY_ECONFIG, "task_routes: %s", why);
}

static celery_status keep_text(struct reader *r, const struct cel_node *n,
                               const char **ret)
{
    if (cel_node_is_null(n)) {
        return CELERY_OK;
    }
    struct cel_slice text = cel_node_text(n);
    if (!cel_node_is_string(n) || text.len == 0 || memchr(text.data, '\0', text.len)) {
        return wrong(r, "queue, exchange and routing_key must be texts");
    }
    *ret = cel_arena_strndup(r->a, text.data, text.len);
    return *ret ? CELERY_OK : cel_error_nomem(r->err);
}

static celery_status read_map_target(struct reader *r, const struct cel_node *target,
                                     struct cel_route_rule *rule)
{
    celery_status st;
    const struct cel_node *priority = cel_node_get(target, CEL_SLICE("priority"));
    st = keep_text(r, cel_node_get(target, CEL_SLICE("queue")), &rule->queue);
    if (st == CELERY_OK) {
        st = keep_text(r, cel_node_get(target, CEL_SLICE("exchange")), &rule->exchange);
    }
    if (st == CELERY_OK) {
        st = keep_text(r, cel_node_get(target, CEL_SLICE("routing_key")),
                       &rule->routing_key);
    }
    if (st == CELERY_OK && !cel_node_is_null(priority)) {
        int64_t value = cel_node_int(priority, -1);
        if (value < 0 || value > 255) {
            return wrong(r, "priority must be between 0 and 255");
        }
        rule->priority = (int)value;
    }
    return st;
}

static celery_status add_rule(struct reader *r, struct cel_slice pattern,
                              const struct cel_node *target)
{
    struct cel_route_table *t = r->table;
    if (t->n_rules == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 8;
        struct cel_route_rule *grown = cel_arena_alloc(r->a, r->cap * sizeof *grown);
        if (!grown) {
            return cel_error_nomem(r->err);
        }
        if (t->n_rules > 0) {
            memcpy(grown, t->rules, t->n_rules * sizeof *grown);
        }
        t->rules = grown;
    }
    struct cel_route_rule *rule = &t->rules[t->n_rules];
    *rule = (struct cel_route_rule){
        .pattern = cel_arena_strndup(r->a, pattern.data, pattern.len),
        .glob = memchr(pattern.data, '*', pattern.len) != NULL,
        .map = r->map,
        .priority = -1,
    };
    if (!rule->pattern) {
        return cel_error_nomem(r->err);
    }
    t->n_rules++;
    if (cel_node_is_string(target)) {
        return keep_text(r, target, &rule->queue);
    }
    return target->kind == CELERY_KIND_OBJECT
               ? read_map_target(r, target, rule)
               : wrong(r, "a route is a queue name or a map");
}

static bool is_pair(const struct cel_node *n)
{
    return n->kind == CELERY_KIND_ARRAY && n->size == 2 && cel_node_is_string(n->first);
}

static celery_status read_router(struct reader *r, const struct cel_node *n)
{
    celery_status st = CELERY_OK;
    if (n->kind == CELERY_KIND_OBJECT) {
        for (const struct cel_node *k = cel_node_first(n), *v; k && st == CELERY_OK;
             k = v->next) {
            v = k->next;
            st = add_rule(r, cel_node_text(k), v);
        }
        return st;
    }
    if (n->kind != CELERY_KIND_ARRAY) {
        return wrong(r,
                     "must be a map of names to queues; Python routers cannot run here");
    }
    for (const struct cel_node *e = cel_node_first(n); e && st == CELERY_OK;
         e = e->next) {
        st = is_pair(e) ? add_rule(r, cel_node_text(e->first), e->first->next)
                        : wrong(r, "a list holds maps, or pairs of a name and a queue");
    }
    return st;
}

celery_status cel_route_table_read(struct cel_arena *a, const struct cel_node *doc,
                                   struct cel_route_table *ret, celery_error *err)
{
    struct reader r = {.a = a, .table = ret, .err = err};
    *ret = (struct cel_route_table){0};
    if (cel_node_is_null(doc)) {
        return CELERY_OK;
    }
    const struct cel_node *first = cel_node_first(doc);
    if (doc->kind != CELERY_KIND_ARRAY || (first && is_pair(first))) {
        return read_router(&r, doc);
    }
    celery_status st = CELERY_OK;
    for (; first && st == CELERY_OK; first = first->next, r.map++) {
        st = read_router(&r, first);
    }
    return st;
}

const struct cel_route_rule *cel_route_table_find(const struct cel_route_table *table,
                                                  struct cel_slice task)
{
    char name[TASK_NAME_MAX + 1];
    const struct cel_route_rule *best = NULL;
    if (task.len == 0 || task.len > TASK_NAME_MAX || table->n_rules == 0) {
        return NULL;
    }
    memcpy(name, task.data, task.len);
    name[task.len] = '\0';
    for (size_t i = 0; i < table->n_rules; i++) {
        const struct cel_route_rule *rule = &table->rules[i];
        if (best && rule->map != best->map) {
            break;
        }
        if (!rule->glob && strcmp(rule->pattern, name) == 0) {
            return rule;
        }
        if (!best && rule->glob && fnmatch(rule->pattern, name, FNM_NOESCAPE) == 0) {
            best = rule;
        }
    }
    return best;
}
