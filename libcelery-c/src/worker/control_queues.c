/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues: those that are consumed, one more, one less (celery/worker/control.py). */
#include "base/log.h"
#include "worker/control_change.h"
#include "worker/control_inspect.h"

/* ---- kombu/entity.py Queue.as_dict() ---- */

struct field {
    const char *name;
    enum { NOTHING, TEXT, TRUTH, MODE, DOCUMENT, LIST } kind;
    const void *value;
    bool truth;
};

static struct cel_node *field_value(struct cel_control_call *c, const struct field *f)
{
    switch (f->kind) {
    case TEXT:
        return cel_control_string(c, f->value);
    case TRUTH:
        return cel_node_new_bool(c->arena, f->truth);
    case MODE:
        return cel_node_new_int(c->arena, *(const int *)f->value);
    case DOCUMENT:
        return f->value ? cel_node_copy(c->arena, f->value) : cel_control_null(c);
    case LIST:
        return cel_node_new(c->arena, CELERY_KIND_ARRAY);
    default:
        return cel_control_null(c);
    }
}

static struct cel_node *as_map(struct cel_control_call *c, const struct field *fields)
{
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    for (; fields->name && map; fields++) {
        if (!cel_control_put(c, map, fields->name, field_value(c, fields))) {
            return NULL;
        }
    }
    return map;
}

static struct cel_node *exchange_info(struct cel_control_call *c,
                                      const struct cel_queue *q)
{
    const struct field fields[] = {
        {"name", TEXT, q->exchange, false},
        {"type", TEXT, q->exchange_type, false},
        {"arguments", DOCUMENT, q->exchange_arguments, false},
        {"durable", TRUTH, NULL, !q->exchange_transient},
        {"passive", TRUTH, NULL, q->exchange_passive},
        {"auto_delete", TRUTH, NULL, q->exchange_auto_delete},
        {"delivery_mode", q->delivery_mode ? MODE : NOTHING, &q->delivery_mode, false},
        {"no_declare", TRUTH, NULL, q->exchange_no_declare},
        {NULL, NOTHING, NULL, false},
    };

    return as_map(c, fields);
}

static struct cel_node *queue_info(struct cel_control_call *c, const struct cel_queue *q)
{
    const struct field fields[] = {
        {"name", TEXT, q->name, false},
        {"exchange", NOTHING, NULL, false},
        {"routing_key", TEXT, q->routing_key, false},
        {"queue_arguments", DOCUMENT, q->arguments, false},
        {"binding_arguments", DOCUMENT, q->binding_arguments, false},
        {"consumer_arguments", DOCUMENT, q->consumer_arguments, false},
        {"durable", TRUTH, NULL, q->durable},
        {"exclusive", TRUTH, NULL, q->exclusive},
        {"auto_delete", TRUTH, NULL, q->auto_delete},
        {"no_ack", TRUTH, NULL, q->no_ack},
        {"alias", NOTHING, NULL, false},
        {"bindings", LIST, NULL, false},
        {"no_declare", q->no_declare ? TRUTH : NOTHING, NULL, q->no_declare},
        /* What these say stands among the arguments. */
        {"expires", NOTHING, NULL, false},
        {"message_ttl", NOTHING, NULL, false},
        {"max_length", NOTHING, NULL, false},
        {"max_length_bytes", NOTHING, NULL, false},
        {"max_priority", NOTHING, NULL, false},
        {NULL, NOTHING, NULL, false},
    };
    struct cel_node *map = as_map(c, fields);

    return map && cel_control_put(c, map, "exchange", exchange_info(c, q)) ? map : NULL;
}

struct cel_node *cel_control_active_queues(struct cel_control_call *c)
{
    const struct cel_router *router = c->w->router;
    struct cel_node *list = cel_node_new(c->arena, CELERY_KIND_ARRAY);

    for (size_t i = 0; list && i < cel_router_count(router); i++) {
        if (cel_node_append(list, queue_info(c, cel_router_at(router, i))) < 0) {
            return NULL;
        }
    }
    return list;
}

/* ---- add_consumer, cancel_consumer ---- */

/* A text argument that a broker takes for a name; *ret NULL when it is absent or None. */
static bool read_name(struct cel_control_call *c, const char *key, const char **ret)
{
    const struct cel_node *n = cel_control_arg(c, key);
    struct cel_slice text = cel_node_text(n);

    *ret = NULL;
    if (!n) {
        return true;
    }
    if (!cel_node_is_string(n) || text.len == 0 || text.len > 255 ||
        memchr(text.data, '\0', text.len)) {
        return false;
    }
    *ret = cel_arena_strndup(c->arena, text.data, text.len);
    return *ret != NULL;
}

struct cel_node *cel_control_add_consumer(struct cel_control_call *c)
{
    struct cel_queue like = {0};
    const struct cel_queue *queue = NULL;
    celery_error err = {0};

    if (!read_name(c, "queue", &like.name) || !like.name ||
        !read_name(c, "exchange", &like.exchange) ||
        !read_name(c, "exchange_type", &like.exchange_type) ||
        !read_name(c, "routing_key", &like.routing_key)) {
        return cel_control_raise(c, "ValueError", "a name is no text of 1 to 255 bytes");
    }
    if (cel_router_start(c->w->router, &like, &queue, &err) < 0) {
        return cel_control_raise(c, "ValueError", "%s", err.message);
    }
    if (queue && c->w->shutdown == CEL_SHUTDOWN_NONE) {
        cel_log(CELERY_LOG_INFO, "Started consuming from %s",
                cel_log_safe(cel_slice_of(queue->name)));
        cel_link_consume(c->w->link, queue);
    }
    return cel_control_ok(c, "add consumer %s", like.name);
}

struct cel_node *cel_control_cancel_consumer(struct cel_control_call *c)
{
    struct cel_slice name = cel_node_text(cel_control_arg(c, "queue"));
    const struct cel_queue *queue = cel_router_stop(c->w->router, name);

    cel_log(CELERY_LOG_INFO, "Canceling queue %s", cel_log_safe(name));
    if (queue) {
        cel_link_cancel(c->w->link, queue);
    }
    return cel_control_ok(c, "no longer consuming from %.*s", (int)name.len, name.data);
}
