/* SPDX-License-Identifier: BSD-3-Clause */
/* Exchanges, which are known to this process alone (kombu/transport/virtual), and declarations. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/sqs_state.h"

static celery_status bind_to(struct cel_sqs *s, const struct cel_queue *def,
                             struct cel_sqs_queue *q, celery_error *err)
{
    const char *key = def->routing_key ? def->routing_key : "";
    struct cel_sqs_binding *b;
    enum cel_exchange_type type;
    struct cel_list *it, *tmp;

    if (!cel_exchange_type_parse(def->exchange_type, &type) ||
        type == CEL_EXCHANGE_FANOUT) {
        return cel_error_set(
            err, CELERY_ENOTSUP, "queue %.80s: SQS has no exchanges of type %.20s%s",
            def->name, def->exchange_type,
            type == CEL_EXCHANGE_FANOUT ? " unless supports_fanout is set" : "");
    }
    if (!def->exchange || !def->exchange[0]) {
        return CELERY_OK;
    }
    cel_list_foreach(it, tmp, &s->bindings) {
        b = cel_container_of(it, struct cel_sqs_binding, node);
        if (b->queue == q && strcmp(b->exchange, def->exchange) == 0 &&
            strcmp(b->routing_key, key) == 0) {
            return CELERY_OK;
        }
    }
    b = cel_calloc(1, sizeof *b);
    if (!b) {
        return cel_error_nomem(err);
    }
    b->exchange = cel_strdup(def->exchange);
    b->routing_key = cel_strdup(key);
    b->type = type;
    b->queue = q;
    cel_list_append(&s->bindings, &b->node);
    return b->exchange && b->routing_key ? CELERY_OK : cel_error_nomem(err);
}

void cel_sqs_declare(struct cel_transport *t, const struct cel_queue *def,
                     struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    celery_error err = {0};
    struct cel_sqs_queue *q;
    enum cel_exchange_type type;

    if (cel_sqs_is_closed(s, done)) {
        return;
    }
    if (!cel_exchange_type_parse(def->exchange_type, &type)) {
        cel_error_set(&err, CELERY_ENOTSUP, "queue %.80s: no exchanges of type %.20s",
                      def->name, def->exchange_type);
        cel_done(done, &err, 0);
        return;
    }
    if (type == CEL_EXCHANGE_FANOUT && s->set.fanout) {
        cel_sqs_subscribe(s, def, done);
        return;
    }
    q = cel_sqs_queue(s, def->name, &err);
    if (!q || bind_to(s, def, q, &err) < 0) {
        cel_done(done, &err, 0);
        return;
    }
    q->no_ack = def->no_ack;
    cel_sqs_find(q, done);
}
