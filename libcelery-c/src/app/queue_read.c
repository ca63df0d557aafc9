/* SPDX-License-Identifier: BSD-3-Clause */
#include "app/queue_read.h"
#include "base/error.h"
#include "base/log.h"
#include <math.h>

/* Of one queue. */
enum { MAX_BINDINGS = 10000 };

struct reading {
    struct cel_arena *a;
    struct cel_slice name; /* of the queue */
    celery_error *err;
};

celery_status cel_queue_wrong(struct cel_slice name, const char *key, const char *why,
                              celery_error *err)
{
    return cel_error_set(err, CELERY_ECONFIG, "task_queues: queue %s: %s %s",
                         cel_log_safe(name), key, why);
}

static celery_status wrong(const struct reading *r, const char *key, const char *why)
{
    return cel_queue_wrong(r->name, key, why, r->err);
}

static const struct cel_node *member(const struct cel_node *map, const char *key)
{
    const struct cel_node *n = cel_node_get(map, cel_slice_of(key));
    return cel_node_is_null(n) ? NULL : n;
}

/* ---- single values; what is absent or null leaves *ret alone ---- */

/* Also "" leaves it alone, as `name or self.name` does. */
static celery_status read_text(struct reading *r, const struct cel_node *map,
                               const char *key, const char **ret)
{
    const struct cel_node *n = member(map, key);
    struct cel_slice text = cel_node_text(n);
    if (!cel_node_truth(n)) {
        return CELERY_OK;
    }
    if (!cel_node_is_string(n) || memchr(text.data, '\0', text.len)) {
        return wrong(r, key, "is no text");
    }
    *ret = cel_arena_strndup(r->a, text.data, text.len);
    return *ret ? CELERY_OK : cel_error_nomem(r->err);
}

static celery_status read_bool(struct reading *r, const struct cel_node *map,
                               const char *key, bool *ret)
{
    const struct cel_node *n = member(map, key);
    int64_t number;
    if (!n) {
        return CELERY_OK;
    }
    if (n->kind != CELERY_KIND_TRUE && n->kind != CELERY_KIND_FALSE &&
        !(celery_value_int(n, &number) && (number == 0 || number == 1))) {
        return wrong(r, key, "is neither true nor false");
    }
    *ret = cel_node_truth(n);
    return CELERY_OK;
}

static celery_status read_map(struct reading *r, const struct cel_node *map,
                              const char *key, const struct cel_node **ret)
{
    const struct cel_node *n = member(map, key);
    if (n && n->kind != CELERY_KIND_OBJECT) {
        return wrong(r, key, "is no map");
    }
    *ret = n ? n : *ret;
    return CELERY_OK;
}

/* A number, cut to an integer as Python's int() does. */
static celery_status read_int(struct reading *r, const struct cel_node *map,
                              const char *key, double factor, int64_t *ret, bool *ret_set)
{
    const struct cel_node *n = member(map, key);
    *ret_set = n != NULL;
    if (!n) {
        return CELERY_OK;
    }
    if (n->kind != CELERY_KIND_INT && n->kind != CELERY_KIND_FLOAT) {
        return wrong(r, key, "is no number");
    }
    double value = cel_node_double(n, -1) * factor;
    if (!(value >= 0 && value < 9007199254740992.0)) { /* also NaN */
        return wrong(r, key, "is out of range");
    }
    *ret = (int64_t)value;
    return CELERY_OK;
}

/* kombu's DELIVERY_MODES: also by name. */
static celery_status read_mode(struct reading *r, const struct cel_node *map, int *ret)
{
    const struct cel_node *n = member(map, "delivery_mode");
    struct cel_slice text = cel_node_text(n);
    if (!n) {
        return CELERY_OK;
    }
    if (cel_slice_is(text, "transient") || cel_slice_is(text, "1")) {
        *ret = 1;
    } else if (cel_slice_is(text, "persistent") || cel_slice_is(text, "2")) {
        *ret = 2;
    } else {
        return wrong(r, "delivery_mode", "is neither 1 (transient) nor 2 (persistent)");
    }
    return CELERY_OK;
}

/* ---- queue_arguments ---- */

/* kombu/transport/base.py RABBITMQ_QUEUE_ARGUMENTS, in the order of Queue.queue_declare(). */
static const struct {
    const char *key, *argument;
    double factor;
    int64_t max;
} limits[] = {
    {"expires", "x-expires", 1000, INT64_MAX},
    {"message_ttl", "x-message-ttl", 1000, INT64_MAX},
    {"max_length", "x-max-length", 1, INT64_MAX},
    {"max_length_bytes", "x-max-length-bytes", 1, INT64_MAX},
    {"max_priority", "x-max-priority", 1, 255},
};

static celery_status put_int(struct reading *r, struct cel_node *args, const char *name,
                             int64_t value)
{
    return cel_node_put(r->a, args, cel_slice_of(name), cel_node_new_int(r->a, value)) < 0
               ? cel_error_nomem(r->err)
               : CELERY_OK;
}

/* Queues._set_max_priority(): for queues that do not name one. */
static celery_status put_default_priority(struct reading *r, struct cel_node *args,
                                          int64_t max_priority)
{
    if (max_priority < 0 || cel_node_get(args, CEL_SLICE("x-max-priority"))) {
        return CELERY_OK;
    }
    return put_int(r, args, "x-max-priority", max_priority);
}

static celery_status put_limits(struct reading *r, const struct cel_node *map,
                                struct cel_node *args)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int64_t value = 0;
        bool set;
        celery_status st =
            read_int(r, map, limits[i].key, limits[i].factor, &value, &set);
        if (st < 0) {
            return st;
        }
        if (value > limits[i].max) {
            return wrong(r, limits[i].key, "is out of range");
        }
        if (set && put_int(r, args, limits[i].argument, value) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return CELERY_OK;
}

static celery_status read_arguments(struct reading *r, const struct cel_node *map,
                                    int64_t max_priority, struct cel_queue *q)
{
    const struct cel_node *given = NULL;
    celery_status st = read_map(r, map, "queue_arguments", &given);
    if (st < 0) {
        return st;
    }
    struct cel_node *args =
        given ? cel_node_copy(r->a, given) : cel_node_new(r->a, CELERY_KIND_OBJECT);
    if (!args) {
        return cel_error_nomem(r->err);
    }
    st = put_default_priority(r, args, max_priority);
    if (st == CELERY_OK) {
        st = put_limits(r, map, args);
    }
    q->arguments = args->size ? args : NULL;
    return st;
}

celery_status cel_queue_arguments(struct cel_arena *a, const char *type,
                                  int64_t max_priority, const struct cel_node **ret,
                                  celery_error *err)
{
    struct reading r = {.a = a, .err = err};
    struct cel_node *args = cel_node_new(a, CELERY_KIND_OBJECT);
    bool quorum = type && strcmp(type, "quorum") == 0;
    if (!args ||
        (quorum && cel_node_put(a, args, CEL_SLICE("x-queue-type"),
                                cel_node_new_string(a, CEL_SLICE("quorum"))) < 0)) {
        return cel_error_nomem(err);
    }
    celery_status st = put_default_priority(&r, args, max_priority);
    *ret = args->size ? args : NULL;
    return st;
}

/* ---- exchanges ---- */

/* kombu.Exchange() as a map. */
static celery_status read_exchange_map(struct reading *r, const struct cel_node *map,
                                       struct cel_binding *b, int *mode)
{
    bool durable = true;
    celery_status st = read_text(r, map, "name", &b->exchange);
    if (st == CELERY_OK) {
        st = read_text(r, map, "type", &b->exchange_type);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "durable", &durable);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "auto_delete", &b->exchange_auto_delete);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "passive", &b->exchange_passive);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "no_declare", &b->exchange_no_declare);
    }
    if (st == CELERY_OK) {
        st = read_map(r, map, "arguments", &b->exchange_arguments);
    }
    b->exchange_transient = !durable;
    return st == CELERY_OK ? read_mode(r, map, mode) : st;
}

/* The exchange in keys of the queue: what is said for both of them counts for it as well. */
static celery_status read_flat_exchange(struct reading *r, const struct cel_node *map,
                                        struct cel_binding *b, int *mode)
{
    bool durable = true;
    celery_status st = read_text(r, map, "exchange", &b->exchange);
    if (st == CELERY_OK) {
        st = read_text(r, map, "exchange_type", &b->exchange_type);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "durable", &durable);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "exchange_durable", &durable);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "auto_delete", &b->exchange_auto_delete);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "exchange_auto_delete", &b->exchange_auto_delete);
    }
    if (st == CELERY_OK) {
        st = read_map(r, map, "exchange_arguments", &b->exchange_arguments);
    }
    b->exchange_transient = !durable;
    return st == CELERY_OK ? read_mode(r, map, mode) : st;
}

static celery_status read_exchange(struct reading *r, const struct cel_node *map,
                                   struct cel_binding *b, int *mode)
{
    const struct cel_node *n = member(map, "exchange");
    b->exchange_type = "direct";
    return n && n->kind == CELERY_KIND_OBJECT ? read_exchange_map(r, n, b, mode)
                                              : read_flat_exchange(r, map, b, mode);
}

/* Queues._add(): who has no exchange, or bindings only, has the default one. */
static celery_status set_exchange(struct reading *r, const struct cel_queue_defaults *d,
                                  const struct cel_node *map, struct cel_queue *q)
{
    struct cel_binding b = {0};
    int mode = 0;
    celery_status st = read_exchange(r, map, &b, &mode);
    if (st < 0) {
        return st;
    }
    if (!b.exchange || q->n_bindings > 0) {
        q->exchange = d->exchange;
        q->exchange_type = d->exchange_type;
        return CELERY_OK;
    }
    q->exchange = b.exchange;
    q->exchange_type = b.exchange_type;
    q->exchange_transient = b.exchange_transient;
    q->exchange_auto_delete = b.exchange_auto_delete;
    q->exchange_passive = b.exchange_passive;
    q->exchange_no_declare = b.exchange_no_declare;
    q->exchange_arguments = b.exchange_arguments;
    q->delivery_mode = mode;
    return CELERY_OK;
}

static celery_status read_bindings(struct reading *r, const struct cel_node *map,
                                   struct cel_queue *q)
{
    const struct cel_node *list = member(map, "bindings");
    struct cel_binding *b;
    if (!list) {
        return CELERY_OK;
    }
    if (list->kind != CELERY_KIND_ARRAY || list->size > MAX_BINDINGS) {
        return wrong(r, "bindings", "is no list, or too long");
    }
    q->bindings = b = cel_arena_alloc(r->a, (list->size + 1) * sizeof *b);
    if (!b) {
        return cel_error_nomem(r->err);
    }
    for (const struct cel_node *n = cel_node_first(list); n; n = n->next, b++) {
        int mode = 0;
        *b = (struct cel_binding){.routing_key = ""};
        if (n->kind != CELERY_KIND_OBJECT) {
            return wrong(r, "bindings", "holds something that is no map");
        }
        celery_status st = read_exchange(r, n, b, &mode);
        if (st == CELERY_OK) {
            st = read_text(r, n, "routing_key", &b->routing_key);
        }
        if (st == CELERY_OK) {
            st = read_map(r, n, "arguments", &b->arguments);
        }
        if (st < 0) {
            return st;
        }
        if (!b->exchange) {
            return wrong(r, "bindings", "holds one without an exchange");
        }
        q->n_bindings++;
    }
    return CELERY_OK;
}

/* ---- the queue ---- */

static celery_status read_flags(struct reading *r, const struct cel_node *map,
                                struct cel_queue *q)
{
    celery_status st = read_bool(r, map, "durable", &q->durable);
    if (st == CELERY_OK) {
        st = read_bool(r, map, "queue_durable", &q->durable);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "auto_delete", &q->auto_delete);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "queue_auto_delete", &q->auto_delete);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "exclusive", &q->exclusive);
    }
    if (st == CELERY_OK) {
        st = read_bool(r, map, "no_declare", &q->no_declare);
    }
    q->auto_delete = q->auto_delete || q->exclusive;
    return st;
}

celery_status cel_queue_read(struct cel_arena *a, const struct cel_queue_defaults *d,
                             struct cel_slice name, const struct cel_node *map,
                             struct cel_queue *ret, celery_error *err)
{
    struct reading r = {.a = a, .name = name, .err = err};
    *ret = (struct cel_queue){.durable = true, .routing_key = d->routing_key};
    ret->name = cel_arena_strndup(a, name.data, name.len);
    if (!ret->name) {
        return cel_error_nomem(err);
    }
    celery_status st = read_bindings(&r, map, ret);
    if (st == CELERY_OK) {
        st = set_exchange(&r, d, map, ret);
    }
    if (st == CELERY_OK) {
        st = read_text(&r, map, "routing_key", &ret->routing_key);
    }
    if (st == CELERY_OK) {
        st = read_text(&r, map, "binding_key", &ret->routing_key);
    }
    if (st == CELERY_OK) {
        st = read_flags(&r, map, ret);
    }
    if (st == CELERY_OK) {
        st = read_arguments(&r, map, d->max_priority, ret);
    }
    if (st == CELERY_OK) {
        st = read_map(&r, map, "binding_arguments", &ret->binding_arguments);
    }
    return st == CELERY_OK
               ? read_map(&r, map, "consumer_arguments", &ret->consumer_arguments)
               : st;
}
